"""Capabilities of the exchanges, as far as the spec depends on them.

To add an exchange, add its entry to CAPABILITIES.
"""

from typing import Annotated

import msgspec

from market_spec.kinds import OneOf, Text


class Capabilities(msgspec.Struct, frozen=True):
    """Capabilities of one exchange."""

    data_types: tuple[str, ...]
    depths: tuple[int, ...]
    """Depths of its order book channel, levels per side."""
    websocket_port: int = 443
    """Of its own WebSocket address."""
    rest_port: int = 443
    """Of its own REST address."""


ACCOUNT, BALANCE = "account", "balance"
"""The stream of the account is called account/balance."""
DATA_TYPES = ("trade", "orderbook", "ticker", "candle", BALANCE)
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w")
CAPABILITIES = {"okx": Capabilities(data_types=DATA_TYPES, depths=(400,), websocket_port=8443)}

Exchange = Annotated[str, OneOf(tuple(CAPABILITIES))]
DataType = Annotated[str, OneOf(DATA_TYPES)]
Interval = Annotated[str, OneOf(INTERVALS)]
Symbol = Annotated[
    str,
    Text(
        "a symbol",
        "BASE-QUOTE in capitals, such as BTC-USDT",
        pattern="^[A-Z0-9]+(-[A-Z0-9]+)+$",
        min_length=3,
        max_length=40,
    ),
]


def types_message(exchange: str, offer: Capabilities) -> str:
    """The message about a data type that the exchange does not offer."""
    return f"{exchange} offers {', '.join(offer.data_types)}"


def depths_message(exchange: str) -> str:
    """The message about an order book depth that the exchange does not offer."""
    return f"{exchange} offers order books of depth {', '.join(map(str, CAPABILITIES[exchange].depths))}"
