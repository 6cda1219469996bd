"""Records on their way to one sink: bounded, in order, and honest about what did not fit. No clock, no tasks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from market_collector.model.events import (
    Candle,
    Connected,
    Disconnected,
    Dropped,
    Gap,
    Lost,
    Orderbook,
    Raw,
    Record,
    Refused,
    Repaired,
    Resync,
    Ticker,
    Trade,
)


class Queue:
    """A record is waiting, then written, then acknowledged; until then its `weight` counts against ``limit``.

    What comes while the queue is full is dropped and counted by stream. As soon as there is room again, a `Dropped`
    record a stream takes the place of what is missing, before anything newer.
    """

    def __init__(self, sink: str, limit: int) -> None:
        self._sink = sink
        self._limit = limit
        self._records: deque[Record] = deque()
        self._written = 0
        self._notes = 0
        self._load = 0
        self._lost: dict[tuple[str, str | None, str], int] = {}
        self._reason = ""
        self.acknowledged = 0
        """Records, in total."""
        self.dropped = 0
        """Records, in total."""

    def __len__(self) -> int:
        """Records that are not acknowledged; the queue's own `Dropped` records do not count."""
        return len(self._records) - self._notes

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
        """Whether records were dropped that no `Dropped` record tells of yet."""
        return bool(self._lost)

    def put(self, records: Sequence[Record], reason: str) -> None:
        """Takes records (at least one), or as many as fit; ``reason`` says why the sink is behind, should some not."""
        load = sum(map(weight, records))
        if not self._lost and self._load + load <= self._limit:
            self._records.extend(records)
            self._load += load
            return
        self.tell_losses(records[0].receive_time_ns)
        for record in records:
            if self._lost or not self._fits(record):
                self._drop(record, reason)
            else:
                self._records.append(record)
                self._load += weight(record)

    def _fits(self, record: Record) -> bool:
        return self._load + weight(record) <= self._limit or not self._records

    def tell_losses(self, now_ns: int) -> None:
        """Queues a `Dropped` record for each stream that lost records, if there is room."""
        if self._lost and self._load < self._limit:
            self._notes += len(self._lost)
            self._load += len(self._lost)
            self._records.extend(
                Dropped(exchange, symbol, None, now_ns, stream, self._sink, count, self._reason)
                for (exchange, symbol, stream), count in self._lost.items()
            )
            self._lost.clear()

    def _drop(self, record: Record, reason: str) -> None:
        place = (record.exchange, record.symbol, stream_name(record))
        self._lost[place] = self._lost.get(place, 0) + 1
        self._reason = reason
        self.dropped += 1

    def next_batch(self, longest: int) -> list[Record]:
        """The oldest records that are not written; they stay here until `acknowledge`."""
        return list(islice(self._records, self._written, self._written + longest))

    def mark_written(self, count: int) -> None:
        """The oldest ``count`` waiting records are in the sink now."""
        self._written += count

    def acknowledge(self) -> None:
        """All that is written is durable: forget it."""
        for _ in range(self._written):
            record = self._records.popleft()
            is_note = isinstance(record, Dropped)
            self._load -= weight(record)
            self._notes -= is_note
            self.acknowledged += not is_note
        self._written = 0

    def rewind(self) -> None:
        """What is written may not be there after all: it waits again."""
        self._written = 0


def weight(record: Record) -> int:
    """Memory of a record in units of about 450 bytes, a trade; a book's level takes a third of it.

    So that a queue of books that a sink does not take is full before the pod's memory is.
    """
    if isinstance(record, Orderbook):
        return 1 + (len(record.bids) + len(record.asks)) // 3
    return 1 + len(record.frame) // 450 if isinstance(record, Raw) else 1


def stream_name(record: Record) -> str:
    """The stream that a record belongs to, as in ``/status``; for what belongs to none, the nearest thing."""
    match record:
        case Candle():
            return f"{record.symbol}/candle:{record.interval}"
        case Trade():
            return f"{record.symbol}/trade"
        case Orderbook():
            return f"{record.symbol}/orderbook"
        case Ticker():
            return f"{record.symbol}/ticker"
        case Raw():
            return f"{record.connection}/raw"
        case Gap() | Repaired() | Lost() | Dropped() | Connected() | Disconnected() | Resync() | Refused():
            return record.stream or "events"
    raise TypeError(f"{type(record).__name__} is no record")
