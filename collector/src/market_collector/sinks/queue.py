"""Bounded queue of the records for one sink, in order. Reports dropped records. No clock, no tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from market_collector.exchanges import has_dense_trade_ids
from market_collector.feed.ledger import Loss
from market_collector.model.events import (
    Balance,
    Candle,
    Connected,
    Disconnected,
    Dropped,
    Event,
    Funding,
    Gap,
    Header,
    Instrument,
    Liquidation,
    Lost,
    MarkPrice,
    OpenInterest,
    Orderbook,
    Quote,
    Raw,
    Record,
    Recording,
    Refused,
    Repaired,
    Resync,
    Ticker,
    Trade,
)
from market_collector.model.reasons import DropReason
from market_collector.model.streams import DataType, Stream
from market_collector.sinks.interface import Packed

EVENT_ROOM = 1_000
"""Events that are accepted beyond the limit, since gap records describe the dropped data."""


class Queue:
    """A record waits, is written, then acknowledged. Until then its `weight` counts against ``limit``.

    A full queue drops new records and counts them by stream, until it is half empty again. This makes one long gap
    instead of many short ones. Then it queues one `Dropped` record per stream, ahead of newer records.
    """

    def __init__(self, sink: str, limit: int, pack: Callable[[Record], Packed]) -> None:
        self._sink = sink
        self._limit = limit
        self._pack = pack
        self._records: deque[Packed] = deque()
        self._written = 0
        self._notes: deque[int] = deque()
        """Positions of the queue's own records, counted in ``_taken``: `Dropped`, headers, repeated books."""
        self._headers: deque[int] = deque()
        """Positions of headers."""
        self._load = 0
        self._lost: dict[tuple[str, str | None, str], _Missed] = {}
        self._reported: list[Loss] = []
        self._marks: deque[tuple[int, int]] = deque()
        self._taken = 0
        self._done = 0
        self._error = ""
        self.reached = 0
        """The newest `mark` up to which everything was acknowledged."""
        self.acknowledged = 0
        """Records, in total."""
        self.dropped = 0
        """Records, in total."""

    def __len__(self) -> int:
        """Records that are not acknowledged; the queue's own records do not count."""
        return len(self._records) - len(self._notes)

    @property
    def taken(self) -> int:
        """Records that were queued, in total, with the queue's own records."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Records that are not written."""
        return len(self._records) - self._written

    @property
    def written(self) -> int:
        """Records that are written, but not acknowledged."""
        return self._written

    @property
    def is_losing(self) -> bool:
        """Whether records were dropped without a `Dropped` record yet."""
        return bool(self._lost)

    @property
    def has_header(self) -> bool:
        """Whether a header is not acknowledged."""
        return bool(self._headers)

    @property
    def is_at_header(self) -> bool:
        """Whether the next record to be written is a header."""
        return self._done + self._written in self._headers

    @property
    def share(self) -> float:
        """Used share of the limit, 0 to 1, with events a little more."""
        return self._load / self._limit

    def mark(self, number: int) -> None:
        """Adds a mark after the newest record. ``number`` grows from mark to mark."""
        self._marks.append((self._taken, number))
        self._reach()

    def _reach(self) -> None:
        while self._marks and self._marks[0][0] <= self._done:
            self.reached = self._marks.popleft()[1]

    def put(self, records: Sequence[Record], error: str = "") -> None:
        """Queues one or more records and drops those that do not fit.

        ``error`` is that of a sink which cannot write, for the `Dropped` record.
        """
        packed = list(map(self._pack, records))
        load = sum(map(weight, packed))
        if not self._lost and self._load + load <= self._limit:
            self._take(packed, load)
            return
        self.report_losses(records[0].receive_time_ns)
        for record, item in zip(records, packed, strict=True):
            if self._fits(record, weight(item)):
                self._take((item,), weight(item))
            else:
                self._drop(record, error)

    def start_file(self, records: Sequence[Record]) -> None:
        """Queues a header and the records that belong to it."""
        self._headers.append(self._taken)
        self.put_own(records)

    def put_own(self, records: Sequence[Record]) -> None:
        """Queues records that do not count as records of the collector, beyond the limit if need be."""
        packed = list(map(self._pack, records))
        self._notes.extend(range(self._taken, self._taken + len(packed)))
        self._take(packed, sum(map(weight, packed)))

    def _take(self, packed: Sequence[Packed], load: int) -> None:
        self._records.extend(packed)
        self._taken += len(packed)
        self._load += load

    def _fits(self, record: Record, load: int) -> bool:
        load += self._load
        if isinstance(record, Event) and not isinstance(record, Raw):
            return load <= self._limit + EVENT_ROOM
        return not self._lost and (load <= self._limit or not self._records)

    def report_losses(self, now_ns: int) -> None:
        """Queues a `Dropped` record for each stream that lost records, if the queue is half empty."""
        if self._lost and self._load <= self._limit // 2:
            self._reported += self.losses()
            self.put_own(
                [
                    self._dropped_record(exchange, symbol, stream, missed.count, now_ns)
                    for (exchange, symbol, stream), missed in self._lost.items()
                ]
            )
            self._lost.clear()

    def _dropped_record(self, exchange: str, symbol: str | None, name: str, count: int, now_ns: int) -> Dropped:
        stream = stream_of(name)
        return Dropped(
            exchange,
            symbol,
            None,
            now_ns,
            stream=name,
            reason=DropReason.SINK_FAILED if self._error else DropReason.SINK_SLOW,
            detail=self._error or None,
            data_type=stream.data_type if stream else None,
            interval=(stream.interval or None) if stream else None,
            sink=self._sink,
            count=count,
        )

    def losses(self) -> list[Loss]:
        """Drops that no `Dropped` record reports yet."""
        return [
            Loss(self._sink, stream, missed.count, tuple((first, last) for first, last in missed.ids))
            for (_, _, stream), missed in self._lost.items()
        ]

    def take_reported(self) -> list[Loss]:
        """Losses reported since the last call, so that the caller can backfill them."""
        reported, self._reported = self._reported, []
        return reported

    def _drop(self, record: Record, error: str) -> None:
        place = (record.exchange, record.symbol, stream_name(record))
        self._lost.setdefault(place, _Missed()).add(record)
        self._error = error
        self.dropped += 1

    def next_batch(self, longest: int) -> list[Packed]:
        """The oldest records that are not written; they stay here until `acknowledge`. A header comes first only."""
        start = self._done + self._written
        end = next((at for at in self._headers if at > start), start + longest)
        return list(islice(self._records, self._written, self._written + min(longest, end - start)))

    def mark_written(self, count: int) -> None:
        """Moves the oldest ``count`` waiting records to the written ones."""
        self._written += count

    def acknowledge(self) -> None:
        """Removes the written records, which are durable now."""
        for _ in range(self._written):
            self._load -= weight(self._records.popleft())
        self._done += self._written
        self.acknowledged += self._written
        self._written = 0
        while self._notes and self._notes[0] < self._done:
            self._notes.popleft()
            self.acknowledged -= 1
        while self._headers and self._headers[0] < self._done:
            self._headers.popleft()
        self._reach()

    def rewind(self) -> None:
        """Moves the written records back to the waiting ones, since the sink may have lost them."""
        self._written = 0


class _Missed:
    """Dropped records of one stream."""

    __slots__ = ("count", "ids")

    def __init__(self) -> None:
        self.count = 0
        self.ids: list[list[int]] = []

    def add(self, record: Record) -> None:
        self.count += 1
        number = dense_number(record)
        if number is None:
            return
        if self.ids and self.ids[-1][1] == number - 1:
            self.ids[-1][1] = number
        else:
            self.ids.append([number, number])


def dense_number(record: Record) -> int | None:
    """A record's number, if the numbers of its stream are dense; otherwise None."""
    if isinstance(record, Trade):
        return int(record.trade_id) if has_dense_trade_ids(record.exchange) else None
    if isinstance(record, Candle) and record.closed:
        return Stream(record.symbol, DataType.CANDLE, record.interval).candle_number(record.open_time_ns)
    return None


def stream_of(name: str) -> Stream | None:
    """The stream with this name of `stream_name`; None for a substitute name."""
    try:
        return Stream.parse(name)
    except ValueError:
        return None


def weight(record: Packed) -> int:
    """Memory in units of about 450 bytes, the size of a trade record. A level of a book takes a third of it.

    With it, a queue of books that a sink does not accept is full before the pod's memory is.
    """
    if isinstance(record, bytes):
        return 1 + len(record) // 450
    if isinstance(record, Orderbook):
        return 1 + (len(record.bids) + len(record.asks)) // 3
    return 1 + len(record.frame) // 450 if isinstance(record, Raw) else 1


def stream_name(record: Record) -> str:
    """The stream of a record as in ``/status``, or a substitute name for a record without a stream."""
    match record:
        case Candle():
            return f"{record.symbol}/candle:{record.interval}"
        case Trade():
            return f"{record.symbol}/trade"
        case Orderbook():
            return f"{record.symbol}/orderbook"
        case Ticker():
            return f"{record.symbol}/ticker"
        case Quote():
            return f"{record.symbol}/quote"
        case Balance() | Funding() | MarkPrice() | OpenInterest() | Liquidation():
            return f"{record.symbol}/{record.__struct_config__.tag}"
        case Raw():
            return f"{record.connection}/raw"
        case Header() | Instrument():
            return "events"
        case (
            Gap() | Repaired() | Lost() | Dropped() | Connected() | Disconnected() | Resync() | Refused() | Recording()
        ):
            return record.stream or "events"
    raise TypeError(f"{type(record).__name__} is no record")
