"""Volume audit: whether the trades of a minute sum up to the volume of its closed candle.

It is the only proof of trades without dense ids that does not rely on the connection. An exchange may leave block
trades out of its candles, so a minute agrees with or without them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Context, Decimal

from market_collector.model.events import Candle, Trade
from market_collector.verify.report import Finding, Span, find

MINUTE, MINUTE_NS = "1m", 60_000_000_000
EXACT = Context(prec=100)
BLOCK = "block"
_ZERO = Decimal(0)


@dataclass(slots=True)
class Sums:
    """Amounts of the trades of a minute."""

    usual: Decimal = _ZERO
    block: Decimal = _ZERO


@dataclass(slots=True)
class VolumeAudit:
    """Trades and candles of one instrument in one replica."""

    sums: dict[int, Sums] = field(default_factory=dict)
    """By the minute's start, nanoseconds since 1970."""
    volumes: dict[int, Decimal] = field(default_factory=dict)

    def trade(self, trade: Trade) -> None:
        """Add a trade that is no double."""
        time_ns = trade.exchange_time_ns or 0
        sums = self.sums.setdefault(time_ns - time_ns % MINUTE_NS, Sums())
        if trade.kind == BLOCK:
            sums.block = EXACT.add(sums.block, Decimal(trade.amount))
        else:
            sums.usual = EXACT.add(sums.usual, Decimal(trade.amount))

    def candle(self, candle: Candle) -> None:
        """Add a closed candle."""
        self.volumes[candle.open_time_ns] = Decimal(candle.volume)

    def judge(self, covered: Iterable[Span]) -> tuple[int, list[Finding]]:
        """Return the number of minutes that agree, and those that differ.

        Args:
            covered: exchange times in which no trade is known to be missing. Minutes beyond them are left out.
        """
        agreeing, findings = 0, list[Finding]()
        spans = list(covered)
        for start, volume in sorted(self.volumes.items()):
            if not any(first <= start and start + MINUTE_NS <= last for first, last in spans):
                continue
            sums = self.sums.get(start, Sums())
            if volume in (sums.usual, EXACT.add(sums.usual, sums.block)):
                agreeing += 1
                continue
            detail = f"the trades of the minute sum up to {sums.usual:f}, its candle has {volume:f}"
            find(findings, "VolumeDiffers", detail, start)
        return agreeing, findings
