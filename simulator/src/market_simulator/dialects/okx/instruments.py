"""Rows of `GET /api/v5/public/instruments`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from market_simulator.engine.instruments import Instrument, kind_of


def market_name(symbol: str) -> str:
    """OKX's name: BTC-USD-SWAP for BTC-USD-PERP-BTC. Markets have OKX's names, since recordings have them."""
    match symbol.split("-"):
        case [base, quote, "PERP", *_]:
            return f"{base}-{quote}-SWAP"
        case [base, quote, day, _] if day.isdecimal():
            return f"{base}-{quote}-{day}"
    return symbol


def recorded_instrument(row: Mapping[str, Any]) -> Instrument:
    """Create an instrument from a recorded row."""
    value, is_inverse = Decimal(str(row.get("ctVal") or "1")), row.get("ctType") == "inverse"
    return Instrument(str(row["instId"]), str(row["instType"]), row, value, is_inverse)


def made_instrument(symbol: str, tick: str, lot: str) -> Instrument:
    """Create an instrument without a recorded row; `tick` and `lot` are the steps of price and size."""
    kind = kind_of(symbol)
    base, _, rest = symbol.partition("-")
    quote = rest.partition("-")[0]
    spot = kind == "SPOT"
    inverse = not spot and quote == "USD"
    row = {
        "alias": "", "baseCcy": base if spot else "", "category": "1", "ctMult": "" if spot else "1",
        "ctType": "" if spot else ("inverse" if inverse else "linear"),
        "ctVal": "" if spot else ("100" if inverse else "0.01"),
        "ctValCcy": "" if spot else ("USD" if inverse else base),
        "expTime": "", "instFamily": "" if spot else f"{base}-{quote}", "instId": symbol, "instType": kind,
        "lever": "10", "listTime": "1548133413000", "lotSz": lot, "minSz": lot, "quoteCcy": quote if spot else "",
        "ruleType": "normal", "settleCcy": "" if spot else (base if inverse else quote), "state": "live", "stk": "",
        "tickSz": tick, "tradeQuoteCcyList": [quote] if spot else [], "uly": "" if spot else f"{base}-{quote}",
    }  # fmt: skip
    return recorded_instrument(row)
