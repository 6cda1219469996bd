"""Capabilities of the exchanges, as far as the spec depends on them.

To add an exchange, add its entry to CAPABILITIES.
"""

import re
from typing import Annotated, Any

import msgspec

from market_spec.kinds import Findings, OneOf, Text
from market_spec.messages import Path, shown


class Capabilities(msgspec.Struct, frozen=True):
    """Capabilities of one exchange."""

    data_types: tuple[str, ...]
    depths: tuple[int, ...]
    """Depths of its order book channel, levels per side, the default one first."""
    websocket_port: int = 443
    """Of its own WebSocket address."""
    rest_port: int = 443
    """Of its own REST address."""

    @property
    def default_depth(self) -> int:
        """The depth that is collected where none is given."""
        return self.depths[0]


ACCOUNT, BALANCE = "account", "balance"
"""The stream of the account is called account/balance."""
QUOTE = "quote"
"""Quotes are made from order books, so they have no stream of their own."""
DATA_TYPES = ("trade", "orderbook", "ticker", "candle", QUOTE, BALANCE)
INTERVALS = ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w")
CAPABILITIES = {"okx": Capabilities(data_types=DATA_TYPES, depths=(400,), websocket_port=8443)}

_DERIVATIVES = {
    r"-SWAP$": "a perpetual swap",
    r"-\d+-[^-]+-[CP]$": "an option",
    r"-\d{6,8}$": "a future",
    r"": "a derivative",
}
"""Names of symbols with more than two parts, by pattern; the first match counts."""


class SpotSymbol(Text, frozen=True):
    """A spot instrument's symbol. Derivatives are refused by name, since they are not supported."""

    def read(self, value: Any, path: Path, findings: Findings) -> Any:
        """See `Kind.read`."""
        if isinstance(value, str) and re.fullmatch("[A-Z0-9]+(-[A-Z0-9]+){2,}", value.upper()):
            kind = next(name for pattern, name in _DERIVATIVES.items() if re.search(pattern, value.upper()))
            findings.add(path, f"{shown(value)} is {kind}. Only spot instruments are supported: {self.form}")
            return value
        return super().read(value, path, findings)


Exchange = Annotated[str, OneOf(tuple(CAPABILITIES))]
DataType = Annotated[str, OneOf(DATA_TYPES)]
Interval = Annotated[str, OneOf(INTERVALS)]
Symbol = Annotated[
    str,
    SpotSymbol(
        "a symbol",
        "BASE-QUOTE in capitals, such as BTC-USDT",
        pattern="^[A-Z0-9]+-[A-Z0-9]+$",
        min_length=3,
        max_length=40,
    ),
]


def types_message(exchange: str, offer: Capabilities) -> str:
    """The message about a data type that the exchange does not offer."""
    return f"{exchange} offers {', '.join(offer.data_types)}"


def depths_message(exchange: str) -> str:
    """The message about an order book depth that the exchange does not offer."""
    return f"{exchange} offers order books of depth {', '.join(map(str, sorted(CAPABILITIES[exchange].depths)))}"
