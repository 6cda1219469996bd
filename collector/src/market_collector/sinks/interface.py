"""What a sink is. A sink stores batches; queues, retries and counting are the fan-out's (`fanout.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from market_collector.model.events import Gap, Record

PAUSE_S = 0.1
"""A pause for sinks that write outside of the process: many records then share a write's price (a thread's wake-up
costs as much as a hundred records)."""


class Origin(msgspec.Struct, frozen=True):
    """Which collector writes: names files, so that two that share a volume never collide."""

    name: str
    """The resource."""
    shard: int
    host: str
    """The pod, or the host outside of Kubernetes."""


Packed = Record | bytes


class Sink(Protocol):
    """Takes batches of records, one call at a time. Every method raises `SinkError`, which says what failed, where,
    and what to do; the fan-out then waits and calls again. No method may block the event loop.
    """

    name: str
    """As in ``spec.sinks[].name``."""
    type: str
    sync_interval_s: float
    """Longest time between a write and its `sync`; 0 = after every write."""
    pause_s: float
    """Time between two writes of less than a full batch; after a longer one the next two are done at once: what a
    connection says of itself, and its first data."""

    def pack(self, record: Record) -> Packed:
        """A record as the sink wants to be given it; called at once when the record comes.

        What waits for a sink is kept in this form. A line of text is a fifth of a book record's memory; and a record
        that is let go at once leaves its memory for the next one (a quarter less time a message at full speed).
        """
        ...

    async def open(self) -> None:
        """Makes ready to write; tried again until it succeeds."""
        ...

    async def write(self, batch: Sequence[Any]) -> bool:
        """Stores what `pack` made, all of it or nothing: after a `SinkError` the very same batch comes again.

        True when the sink wants `sync` at once, because a file is full.
        """
        ...

    async def sync(self) -> None:
        """Makes durable what was written: only then does it count as acknowledged. Called when idle, too.

        After a `SinkError` everything since the last successful sync comes again; the sink discards what it can of it.
        """
        ...

    async def close(self) -> None:
        """Lets go of everything, and ends a call that hangs; what is not synced counts as not written."""
        ...


class Memory(msgspec.Struct):
    """What a sink holds beyond a place that it was told."""

    numbers: dict[str, list[tuple[int, int]]] = msgspec.field(default_factory=dict)
    """By stream: dense numbers (`queue.dense_number`) with their exchange times (nanoseconds), as they were written."""
    heads: dict[str, int] = msgspec.field(default_factory=dict)
    """By stream: sequence of the last book record."""
    gaps: dict[str, Gap] = msgspec.field(default_factory=dict)
    """Gaps that were opened and not closed, by id."""
    closed: set[str] = msgspec.field(default_factory=set)
    """Ids of gaps that were closed."""


@runtime_checkable
class RememberingSink(Sink, Protocol):
    """A sink that can tell what it holds, so that after a crash nothing is written twice."""

    def place(self) -> str:
        """Where the acknowledged data ends now: a text for `recall`."""
        ...

    async def recall(self, place: str | None, *, keep: bool) -> Memory:
        """What was stored after a place; to be called before `open`. Without a place: the end of what there is,
        whoever of this shard wrote it (a pod that this one replaces, on the same volume).

        With ``keep``, or when it raises, the sink sees to it that none of that is written again.

        Raises:
            SinkError: it cannot be read.
        """
        ...
