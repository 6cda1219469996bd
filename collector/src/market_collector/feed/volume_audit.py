"""Compares the trades of each minute with its closed candle while they are collected, where ids do not show a loss.

It sees the emitted records. A minute is judged when the next one closes, so that late trades and answers about an
interruption count. Minutes with a lost or open gap, and the first one, are left out. Exchanges may leave block trades
out of their candles, so a minute agrees with or without them.
"""

from collections.abc import Sequence
from decimal import Context, Decimal

import msgspec

from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import UnnumberedProgress
from market_collector.model.events import Candle, Gap, GapEvent, Record, Repaired, Trade
from market_collector.model.streams import LATEST_NS, DataType

MINUTE, MINUTE_NS = "1m", 60_000_000_000
BLOCK = "block"
_EXACT, _ZERO = Context(prec=100), Decimal(0)


class _Audited(msgspec.Struct):
    """One instrument. Minutes are their start in nanoseconds since 1970."""

    progress: UnnumberedProgress
    from_ns: int | None = None
    """Exchange time of the first trade."""
    usual: dict[int, Decimal] = msgspec.field(default_factory=dict)
    """Amount of the trades of each minute."""
    block: dict[int, Decimal] = msgspec.field(default_factory=dict)
    """The same of block trades."""
    gaps: dict[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Exchange times of gaps that are not filled."""
    waiting: Candle | None = None
    """The last closed candle."""


class VolumeAudit:
    """All instruments of one process. Its results are in the progress of their trades."""

    def __init__(self, ledger: Ledger) -> None:
        self._by_symbol = {stream.symbol: _Audited(each) for stream, each in ledger.trades.streams.items()}
        for each in self._by_symbol.values():
            each.progress.is_audited = True

    def take(self, records: Sequence[Record]) -> None:
        """Take emitted records, in order."""
        for record in records:
            audited = self._by_symbol.get(record.symbol or "")
            if audited is None:
                continue
            match record:
                case Trade():
                    _add(audited, record)
                case Candle(closed=True, backfilled=False, interval="1m"):
                    _judge_waiting(audited)
                    audited.waiting = record
                case GapEvent(data_type=DataType.TRADE):
                    _note_gap(audited, record)


def _add(audited: _Audited, trade: Trade) -> None:
    time_ns = trade.exchange_time_ns or 0
    if audited.from_ns is None:
        audited.from_ns = time_ns
    sums, minute = audited.block if trade.kind == BLOCK else audited.usual, time_ns - time_ns % MINUTE_NS
    sums[minute] = _EXACT.add(sums.get(minute, _ZERO), Decimal(trade.amount))


def _note_gap(audited: _Audited, event: GapEvent) -> None:
    if isinstance(event, Repaired):
        audited.gaps.pop(event.gap_id, None)
        return
    end_ns = LATEST_NS if isinstance(event, Gap) or event.to_time_ns is None else event.to_time_ns
    audited.gaps[event.gap_id] = event.from_time_ns or 0, end_ns


def _judge_waiting(audited: _Audited) -> None:
    candle = audited.waiting
    if candle is None:
        return
    start, progress = candle.open_time_ns, audited.progress
    end = start + MINUTE_NS
    usual, block = (sums.get(start, _ZERO) for sums in (audited.usual, audited.block))
    is_whole = audited.from_ns is not None and audited.from_ns < start
    is_proved = progress.interruption is None or progress.proved_ns >= end
    if is_whole and is_proved and not any(first < end and last > start for first, last in audited.gaps.values()):
        if Decimal(candle.volume) in (usual, _EXACT.add(usual, block)):
            progress.agreeing_minutes += 1
        else:
            progress.differing_minutes += 1
    _forget(audited, end)


def _forget(audited: _Audited, until_ns: int) -> None:
    for sums in (audited.usual, audited.block):
        for minute in [each for each in sums if each < until_ns]:
            del sums[minute]
    for gap_id in [name for name, (_, last) in audited.gaps.items() if last < until_ns]:
        del audited.gaps[gap_id]
