"""Settings of a collector under test: BTC-USDT of an exchange on loopback, with the changes of the test."""

from typing import Any

from msgspec.structs import replace

from market_collector.config.settings import Settings
from market_collector.model.streams import DataType

NOBODY = "http://127.0.0.1:9"
"""An address without a server."""


def settings_of(
    websocket: str, *data_types: DataType, rest: str = NOBODY, exchange: str = "okx", **changes: Any
) -> Settings:
    """Default settings with changes."""
    plain = Settings(
        name=exchange,
        namespace="test",
        shard=0,
        exchange=exchange,
        symbols=("BTC-USDT",),
        data_types=data_types,
        endpoint_websocket=websocket,
        endpoint_rest=rest,
    )
    return replace(plain, **changes)
