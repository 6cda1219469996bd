"""Instruments: symbols, kinds, and steps of price and size."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument. `row` is its description in the words of the dialect.

    `contract_value` is the value of one contract: in the base currency or, for an inverse one, in the quote currency.
    """

    id: str
    kind: str  # SPOT, SWAP, FUTURES, OPTION
    row: Mapping[str, Any]
    contract_value: Decimal = Decimal(1)
    is_inverse: bool = False

    def turnover(self, price: Decimal, size: Decimal) -> tuple[Decimal, Decimal]:
        """Turnover of a fill: in quote currency (twice) for SPOT, in base and quote currency for derivatives."""
        if self.kind == "SPOT":
            return price * size, price * size
        value = self.contract_value * size
        if self.is_inverse:
            return (value / price).quantize(Decimal("1e-12")), value
        return value, value * price


Making: TypeAlias = Callable[[str, str, str], Instrument]
"""Makes an instrument from its symbol and its steps of price and size."""


_QUOTES: Final = (
    "FDUSD", "USDT", "USDC", "USDE", "TUSD", "BUSD", "EUR", "BRL", "TRY", "PLN", "BTC", "ETH", "BNB", "SOL", "MNT",
)  # fmt: skip


def pair_of(name: str) -> tuple[str, str] | None:
    """Split a name without a separator: `pair_of("BTCUSDT") == ("BTC", "USDT")`. None: the quote is unknown."""
    quote = next((quote for quote in _QUOTES if name.endswith(quote) and name != quote), None)
    return None if quote is None else (name.removesuffix(quote), quote)


def kind_of(symbol: str) -> str:
    """Derive the kind from the form of the symbol: BASE-QUOTE is SPOT, BASE-QUOTE-PERP and -SWAP are SWAP."""
    if symbol.endswith(("-PERP", "-SWAP")):
        return "SWAP"
    if re.search(r"-\d{6}-[\d.]+-[CP]$", symbol):
        return "OPTION"
    return "FUTURES" if re.search(r"-\d{6}$", symbol) else "SPOT"
