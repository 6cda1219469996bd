"""The interface of a sink. A sink stores batches; the fan-out does queues, retries and counting (`fanout.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from market_collector.model.events import Gap, Record

PAUSE_S = 0.1
"""Pause of sinks that write outside of the process, so that many records share the cost of a write."""


class Origin(msgspec.Struct, frozen=True):
    """The writing collector. It is part of file names, so that two on one volume never collide."""

    name: str
    """The resource."""
    shard: int
    host: str
    """The pod, or the host outside of Kubernetes."""


Packed = Record | bytes


class Sink(Protocol):
    """Stores batches of records, one call at a time.

    Every method may raise `SinkError` with the failure, its place and a remedy. The fan-out then waits and calls again.
    No method may block the event loop.
    """

    name: str
    """As in ``spec.sinks[].name``."""
    type: str
    sync_interval_s: float
    """Longest time between a write and its `sync`; 0 = after every write."""
    pause_s: float
    """Time between two writes of less than a full batch. After a longer pause, the next two writes are immediate."""
    is_recording: bool
    """Whether its readers may start in the middle, so that it gets headers and snapshots that repeat a book."""
    needs_header: bool
    """Whether the fan-out should queue a `Header`, because the next file is due. Only of a recording sink."""

    def pack(self, record: Record) -> Packed:
        """The form in which a record waits for the sink; called when the record arrives.

        A JSON line needs a fifth of a book record's memory. Freeing records at once saves a quarter of the time.
        """
        ...

    async def open(self) -> None:
        """Prepares for writing; called again until it succeeds."""
        ...

    async def write(self, batch: Sequence[Any]) -> bool:
        """Stores packed records, all or none: after a `SinkError`, the same batch comes again.

        A header is the first record of its batch, and everything before it was synced.
        Returns True if the sink needs `sync` at once, because a file is full.
        """
        ...

    async def sync(self) -> None:
        """Makes written records durable, which acknowledges them. Also called when idle.

        After a `SinkError`, everything since the last successful sync comes again. The sink discards repeats if it can.
        """
        ...

    async def close(self) -> None:
        """Releases all resources and ends a hanging call. Records that are not synced count as not written."""
        ...


class Memory(msgspec.Struct):
    """The content of a sink after a given position."""

    numbers: dict[str, list[tuple[int, int]]] = msgspec.field(default_factory=dict)
    """By stream: dense numbers (`queue.dense_number`) with their exchange times (nanoseconds), as they were written."""
    heads: dict[str, int] = msgspec.field(default_factory=dict)
    """By stream: sequence of the last book record."""
    head_times: dict[str, int] = msgspec.field(default_factory=dict)
    """By stream: exchange time of the last book record, nanoseconds since 1970; 0 if unknown."""
    trades: dict[str, list[tuple[str, int]]] = msgspec.field(default_factory=dict)
    """By stream: trade ids that are not dense, with their exchange times (nanoseconds)."""
    gaps: dict[str, Gap] = msgspec.field(default_factory=dict)
    """Open gaps by id."""
    closed: set[str] = msgspec.field(default_factory=set)
    """Ids of closed gaps."""


@runtime_checkable
class RememberingSink(Sink, Protocol):
    """A sink whose content can be read back, so that nothing is written twice after a crash."""

    def place(self) -> str:
        """The end of the acknowledged data, as a string for `recall`."""
        ...

    async def recall(self, place: str | None, *, keep: bool) -> Memory:
        """The content after a position; call it before `open`.

        Without a position: the end of the shard's data, also if a replaced pod wrote it on the same volume. With
        ``keep``, or after an error, the sink makes sure that none of it is written again.

        Raises:
            SinkError: the content cannot be read.
        """
        ...
