"""Bybit's categories and names."""

from dataclasses import dataclass
from typing import Final

from market_simulator.engine.instruments import pair_of

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
    """The symbol of a category's native name: `canonical("linear", "BTCUSDT") == "BTC-USDT-PERP"`. None: unknown listing."""
    if kind == LINEAR and name.endswith("PERP"):
        return f"{name.removesuffix('PERP')}-USDC{_PERPETUAL}"
    pair = pair_of(name)
    return None if pair is None else "-".join(pair) + (_PERPETUAL if kind == LINEAR else "")


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument as the exchange lists it: its native name and its category."""

    name: str
    category: str


def listing_of(symbol: str) -> Listing:
    """The listing of a symbol."""
    return Listing(native(symbol), category(symbol))
