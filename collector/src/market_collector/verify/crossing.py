"""Detects a book whose best bid stays at or above its best ask for too long."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from market_collector.book.book import Book
from market_collector.book.side import is_present
from market_collector.model.events import Level, Orderbook

CROSSED_LIMIT_NS = 2_000_000_000
"""A collector resyncs a book that was crossed for 1 s. It checks every 250 ms and first asks the exchange whether there
is an auction."""
AUCTION_KNOWN_NS = 20_000_000_000
"""An auction is known from the exchange's answer, which takes up to 15 s. The question follows a crossing by 1 s, or a
few seconds with hundreds of books."""


class CrossWatch:
    """Tracks the best prices of one book. Reads a complete side only when its best level is deleted.

    A crossing lasts as long as both clocks say: the exchange's (``time_ns``) and the collector's (``receive_time_ns``).
    Each of them may jump, and records that waited in a socket arrive at the same time.
    """

    __slots__ = ("_ask", "_bid", "_is_reported", "_since_ns")

    def __init__(self, book: Book, time_ns: int, receive_time_ns: int) -> None:
        self._bid = max(map(float, book.bids), default=float("-inf"))
        self._ask = min(map(float, book.asks), default=float("inf"))
        self.restart(time_ns, receive_time_ns)

    def restart(self, time_ns: int, receive_time_ns: int) -> None:
        """Starts a crossing of the book as it is now."""
        self._since_ns = (time_ns, receive_time_ns) if self._bid >= self._ask else None
        self._is_reported = False

    def follow(self, book: Book, update: Orderbook, time_ns: int) -> int | None:
        """Checks a book after an update. Returns `lasted` for the state before the update."""
        lasted_ns = self.lasted(time_ns, update.receive_time_ns)
        self._bid = _best(self._bid, update.bids, lambda: book.bids, max, float("-inf"))
        self._ask = _best(self._ask, update.asks, lambda: book.asks, min, float("inf"))
        if self._bid < self._ask:
            self.forget()
        elif self._since_ns is None:
            self._since_ns = time_ns, update.receive_time_ns
        return lasted_ns

    def lasted(self, time_ns: int, receive_time_ns: int) -> int | None:
        """Time for which the book has been crossed, if it is too long. Each crossing is reported once."""
        if self._is_reported or self._since_ns is None:
            return None
        lasted_ns = min(time_ns - self._since_ns[0], receive_time_ns - self._since_ns[1])
        self._is_reported = lasted_ns > CROSSED_LIMIT_NS
        return lasted_ns if self._is_reported else None

    def forget(self) -> None:
        """Ends a crossing, because prices changed or a gap record says that the book is out of sync."""
        self._since_ns, self._is_reported = None, False


Pick = Callable[..., float]
Side = Callable[[], Iterable[str]]


def _best(best: float, changes: Iterable[Level], side: Side, pick: Pick, nothing: float) -> float:
    for level in changes:
        price = float(level.price)
        if is_present(level):
            best = pick(best, price)
        elif price == best:
            return pick(map(float, side()), default=nothing)
    return best
