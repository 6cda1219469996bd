"""One order book topic: its window of the best levels, its own update number, and its pace.

All connections of a topic get the same messages. They do not depend on whether there are connections.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias
from zlib import crc32

from market_simulator.engine.book import Book
from market_simulator.engine.events import BookChange, Level

DEPTHS: Final = {1: 10_000, 50: 20_000, 200: 100_000, 1000: 200_000}
"""The smallest period of each order book topic in microseconds."""
_REPEATED_US: Final = 3_000_000  # level 1 without a change


Window: TypeAlias = tuple[Sequence[Level], Sequence[Level]]
"""Bids and asks, best levels first."""


@dataclass(frozen=True, slots=True)
class BookMessage:
    """A message of an order book topic. `push_ms` and `ts_ms` are its times of publishing and of matching.

    A delta leads from the window `before` to `window`.
    """

    depth: int
    kind: str  # snapshot, delta
    push_ms: int
    ts_ms: int
    update: int
    sequence: int
    window: Window
    before: Window = ((), ())

    def content(self) -> Window:
        """The levels of the message."""
        if self.kind == "snapshot":
            return self.window
        (old_bids, old_asks), (bids, asks) = self.before, self.window
        return _differences(old_bids, bids, True), _differences(old_asks, asks, False)


class BookTopic:
    """The state of `orderbook.DEPTH.SYMBOL`.

    `first` is the update number of the first message of a recorded topic, which has the pace of the recording. Other
    topics start anywhere, like a server that has run for long.
    """

    def __init__(self, symbol: str, depth: int, first: int | None = None) -> None:
        self.depth = depth
        self._period_us = DEPTHS[depth] if first is None else 0
        self.window: Window = ((), ())
        self.update = first - 1 if first else 1_000 + crc32(f"{symbol}/{depth}".encode()) % 10_000_000
        self.sequence = self.ts_ms = 0
        self._newest: BookChange | None = None
        self._has_state = self._is_pending = False
        self._pushed_us = 0

    def changed(self, change: BookChange, book: Book) -> BookMessage | None:
        """Note a change, and return the message of this moment. `book` is the book after the change.

        A sequence number that jumps is a lost message. One that falls is a restart of the service, with update 1.
        """
        last, self._newest, self._is_pending = self._newest, change, True
        if last is not None and change.sequence < last.sequence:
            return self._restarted(change.time_us, book)
        self.update += last is not None and change.previous > last.sequence
        return self.due(change.time_us, book)

    def due(self, time_us: int, book: Book) -> BookMessage | None:
        """The message with the changes since the last one, or None if there are none or it is too early."""
        if not self._is_pending or time_us - self._pushed_us < self._period_us:
            return None
        before = self.window
        self._take(book)
        if before == self.window:
            return None
        self.update += 1
        is_whole = self.depth == 1 or not self._has_state
        return self._whole(time_us) if is_whole else self._message("delta", time_us, before)

    def repeated(self, time_us: int) -> BookMessage | None:
        """The state of level 1 once more, 3 s after the last message."""
        if self.depth != 1 or not self._has_state or time_us - self._pushed_us < _REPEATED_US:
            return None
        return self._whole(time_us)

    def snapshot(self) -> BookMessage | None:
        """The state of the last message, or None before the first one."""
        if not self._has_state:
            return None
        return self._message("snapshot", self._pushed_us)

    def _restarted(self, time_us: int, book: Book) -> BookMessage:
        self._take(book)
        self.update = 1
        return self._whole(time_us)

    def _take(self, book: Book) -> None:
        """Take over the window and the numbers of the newest change."""
        assert self._newest is not None  # there is a pending change
        self._is_pending = False
        self.sequence, self.ts_ms = self._newest.sequence, self._newest.ts_ms
        self.window = book.bids.best(self.depth), book.asks.best(self.depth)

    def _whole(self, time_us: int) -> BookMessage:
        self._has_state = True
        return self._message("snapshot", time_us)

    def _message(self, kind: str, time_us: int, before: Window = ((), ())) -> BookMessage:
        self._pushed_us = time_us
        numbers = self.ts_ms, self.update, self.sequence
        return BookMessage(self.depth, kind, time_us // 1000, *numbers, self.window, before)


def _differences(before: Sequence[Level], after: Sequence[Level], is_bid: bool) -> list[Level]:
    """The levels that turn one window into another, best price first. Size "0" removes a level from the window."""
    old, new = ({level.key: level for level in side} for side in (before, after))
    gone = [Level(key, row.price, "0", "0") for key, row in old.items() if key not in new]
    changed = [row for key, row in new.items() if old.get(key) != row]
    return sorted(gone + changed, key=lambda level: level.key, reverse=is_bid)
