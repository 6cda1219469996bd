"""Puts gap records before the first record beyond their gap.

Files of version 0.1 have the gaps of trades and candles up to 2 s after the first record beyond. So may those of a pod
that takes over from another one: it waits for the other's position.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from market_collector.model.events import AnyRecord, Candle, Gap, Trade
from market_collector.model.streams import DataType, Stream
from market_collector.reading.plausible import IMPOSSIBLE

WINDOW_NS = 10_000_000_000
"""Receive time of the records that are held back. A gap that is reported later comes after some records beyond it."""

MOST_HELD = 100_000
"""Records that are held back, whatever their times say."""

Timed = tuple[int, AnyRecord]
"""A record with its place in the replay: its receive time, or that of the record which it precedes."""


def gaps_first(records: Iterable[AnyRecord]) -> Iterator[Timed]:
    """Yield the records of one process in the order of the file, but gap records before any record beyond them."""
    held: deque[Timed] = deque()
    for record in records:
        time_ns = record.receive_time_ns
        if isinstance(record, Gap):
            _insert(held, record)
        else:
            held.append((time_ns, record))
        while held and (abs(time_ns - held[0][0]) > WINDOW_NS or len(held) > MOST_HELD):  # a clock may go back
            yield held.popleft()
    yield from held


def _insert(held: deque[Timed], gap: Gap) -> None:
    at = _first_beyond(held, gap)
    time_ns = gap.receive_time_ns if at == len(held) else held[at][0]
    held.insert(at, (time_ns, gap))


def numbers_of(gap: Gap) -> tuple[Stream, int, int | None] | None:
    """Return the stream of trades or candles with the first and last missing number. None for any other gap."""
    try:
        stream = Stream.parse(gap.stream)
        if gap.first_id is None or stream.data_type not in (DataType.TRADE, DataType.CANDLE):
            return None
        return stream, stream.parse_id(gap.first_id), None if gap.last_id is None else stream.parse_id(gap.last_id)
    except IMPOSSIBLE:  # a newer version
        return None


def _first_beyond(held: deque[Timed], gap: Gap) -> int:
    """The index of the first record beyond the gap; the end if there is none, or for a book, whose gap comes first."""
    numbers = numbers_of(gap)
    if numbers is None:
        return len(held)
    stream, first, _ = numbers
    beyond = (at for at, (_, record) in enumerate(held) if _is_beyond(record, gap.exchange, stream, first))
    return next(beyond, len(held))


def _is_beyond(record: AnyRecord, exchange: str, stream: Stream, start: int) -> bool:
    """Whether it is a live record of the stream with a higher number than the first missing one."""
    if not isinstance(record, Trade | Candle) or record.backfilled or record.exchange != exchange:
        return False
    if record.symbol != stream.symbol:
        return False
    if isinstance(record, Trade):
        return stream.data_type is DataType.TRADE and int(record.trade_id) > start
    is_of_stream = stream.data_type is DataType.CANDLE and record.interval == stream.interval
    return is_of_stream and stream.candle_number(record.open_time_ns) > start
