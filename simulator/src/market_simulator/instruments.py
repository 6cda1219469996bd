"""Instruments: names, kinds, steps of price and size, and the rows of the REST API."""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument. `row` is its row of `GET /api/v5/public/instruments`."""

    id: str
    kind: str  # SPOT, SWAP, FUTURES, OPTION
    row: dict[str, Any]

    def turnover(self, price: Decimal, size: Decimal) -> tuple[Decimal, Decimal]:
        """Turnover of a fill as (volCcy, volCcyQuote).

        Both are in quote currency for SPOT, and in base and quote currency for derivatives.
        """
        if self.kind == "SPOT":
            return price * size, price * size
        value = Decimal(str(self.row.get("ctVal") or "1")) * size
        if self.row.get("ctType") == "inverse":
            return (value / price).quantize(Decimal("1e-12")), value
        return value, value * price


def kind_of(instrument_id: str) -> str:
    """Derive OKX's instType from the form of the name (docs/exchanges/okx.md section 10)."""
    if instrument_id.endswith("-SWAP"):
        return "SWAP"
    if re.search(r"-\d{6}-[\d.]+-[CP]$", instrument_id):
        return "OPTION"
    return "FUTURES" if re.search(r"-\d{6}$", instrument_id) else "SPOT"


def recorded_instrument(row: dict[str, Any]) -> Instrument:
    """Create an instrument from a recorded REST row."""
    return Instrument(str(row["instId"]), str(row["instType"]), row)


def made_instrument(instrument_id: str, tick: str, lot: str) -> Instrument:
    """Create an instrument without a recorded row; `tick` and `lot` are the steps of price and size."""
    kind = kind_of(instrument_id)
    base, _, rest = instrument_id.partition("-")
    quote = rest.partition("-")[0]
    spot = kind == "SPOT"
    inverse = not spot and quote == "USD"
    row = {
        "alias": "", "baseCcy": base if spot else "", "category": "1", "ctMult": "" if spot else "1",
        "ctType": "" if spot else ("inverse" if inverse else "linear"),
        "ctVal": "" if spot else ("100" if inverse else "0.01"),
        "ctValCcy": "" if spot else ("USD" if inverse else base),
        "expTime": "", "instFamily": "" if spot else f"{base}-{quote}", "instId": instrument_id, "instType": kind,
        "lever": "10", "listTime": "1548133413000", "lotSz": lot, "minSz": lot, "quoteCcy": quote if spot else "",
        "ruleType": "normal", "settleCcy": "" if spot else (base if inverse else quote), "state": "live", "stk": "",
        "tickSz": tick, "tradeQuoteCcyList": [quote] if spot else [], "uly": "" if spot else f"{base}-{quote}",
    }  # fmt: skip
    return Instrument(instrument_id, kind, row)
