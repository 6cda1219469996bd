"""Bybit's categories and names, and the decimals of its numbers."""

from dataclasses import dataclass
from typing import Final

from market_simulator.engine.instruments import Instrument, pair_of
from market_simulator.engine.quantities import decimals_of

SPOT: Final = "spot"
LINEAR: Final = "linear"
_PERPETUAL: Final = "-PERP"


def category(symbol: str) -> str:
    """The category of a symbol: `category("BTC-USDT-PERP") == "linear"`."""
    return LINEAR if symbol.endswith(_PERPETUAL) else SPOT


def native(symbol: str) -> str:
    """The exchange's name, which both categories share: "BTCUSDT". Perpetuals in USDC are "BTCPERP"."""
    base, quote, *kind = symbol.split("-")
    return f"{base}PERP" if kind and quote == "USDC" else base + quote


def canonical(kind: str, name: str) -> str | None:
    """The symbol of a category's native name: `canonical("linear", "BTCUSDT") == "BTC-USDT-PERP"`. None: unknown form."""
    if kind == LINEAR and name.endswith("PERP"):
        return f"{name.removesuffix('PERP')}-USDC{_PERPETUAL}"
    pair = pair_of(name)
    return None if pair is None else "-".join(pair) + (_PERPETUAL if kind == LINEAR else "")


@dataclass(frozen=True, slots=True)
class Form:
    """The form of the numbers of an instrument.

    Linear has fixed decimals for prices and sizes ("0.320"). Spot has as many as a number needs, so both are 0.
    """

    name: str
    category: str
    price_decimals: int = 0
    size_decimals: int = 0

    def price(self, text: str) -> str:
        return padded(text, self.price_decimals)

    def size(self, text: str) -> str:
        """A size above 0."""
        return padded(text, self.size_decimals)


def form_of(instrument: Instrument) -> Form:
    """The form of an instrument's numbers."""
    row, name = instrument.row, native(instrument.id)
    if category(instrument.id) == SPOT:
        return Form(name, SPOT)
    tick, lot = row["priceFilter"]["tickSize"], row["lotSizeFilter"]["qtyStep"]
    return Form(name, LINEAR, decimals_of(tick), decimals_of(lot))


def padded(text: str, decimals: int) -> str:
    """A decimal string with at least this many decimals: `padded("0.5", 3) == "0.500"`."""
    if not decimals:
        return text
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction:0<{decimals}}"
