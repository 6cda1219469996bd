"""What each exchange offers, as far as the spec needs to know."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from market_operator.resource.schema import Words


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one exchange offers: data types, the book depths (levels per side) of its order book channel, and the TCP
    ports of its own WebSocket and REST addresses."""

    data_types: tuple[str, ...]
    depths: tuple[int, ...]
    websocket_port: int = 443
    rest_port: int = 443


CAPABILITIES = {
    "okx": Capabilities(
        data_types=("trade", "orderbook", "ticker", "candle", "balance"), depths=(400,), websocket_port=8443
    ),
}


def _known_exchange(name: str) -> str:
    if name not in CAPABILITIES:
        raise ValueError(f"{name!r} is not supported; supported: {', '.join(CAPABILITIES)}")
    return name


Exchange = Annotated[str, AfterValidator(_known_exchange), Words(enum=[*CAPABILITIES])]
ACCOUNT, BALANCE = "account", "balance"
"""The stream of the account is called account/balance."""
DataType = Literal["trade", "orderbook", "ticker", "candle", "balance"]
Symbol = Annotated[str, Field(min_length=3, max_length=40, pattern="^[A-Z0-9]+(-[A-Z0-9]+)+$")]
Interval = Literal["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w"]
