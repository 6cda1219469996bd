"""Reads answers and frames of which a part may be malformed."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.interface import Batch, Message, UnreadableData
from market_collector.model.streams import Stream

Reader = Callable[[bytes, int], Batch]
"""Gets the frame and its receive time. It raises a `FrameError` or one of `UNREADABLE`."""
R = TypeVar("R")
T = TypeVar("T")


def readable(rows: Iterable[R], read: Callable[[R], T]) -> list[T]:
    """Return what can be read. Raises the last row's error if that is nothing."""
    found: list[T] = []
    failure: Exception | None = None
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            failure = error
    if failure is not None and not found:
        raise failure
    return found


def read_shared(
    readers: Sequence[tuple[Stream, Reader]], frame: bytes, receive_time_ns: int, exchange: str
) -> Sequence[Message]:
    """Read the data of each stream. What cannot be read hurts its own stream only.

    Raises:
        FrameError: the data of the only stream cannot be read.
    """
    messages: list[Message] = []
    for stream, read in readers:
        try:
            messages.append(read(frame, receive_time_ns))
        except (FrameError, *UNREADABLE) as error:
            reason = str(error) if isinstance(error, FrameError) else f"{exchange} frame cannot be read: {error}"
            if len(readers) == 1:
                raise FrameError(reason, stream) from error
            messages.append(UnreadableData(stream, reason))
    return messages
