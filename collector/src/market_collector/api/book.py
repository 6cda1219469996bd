"""Order books of a collector, to read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Context, Decimal
from typing import NamedTuple

from market_collector.api.points import utc
from market_collector.book.book import ALL_LEVELS, Book
from market_collector.errors import ConfigurationError
from market_collector.model.events import Level
from market_spec.messages import shown

_EXACT = Context(prec=80)
"""More digits than a sum of two prices has."""


class _State(NamedTuple):
    """One state of a book."""

    book: Book
    sequence: int | None
    exchange_time_ns: int | None
    bids: list[Level]
    """All, the highest first."""
    asks: list[Level]
    """All, the lowest first."""

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask."""
        return bool(self.bids and self.asks) and float(self.bids[0].price) >= float(self.asks[0].price)

    def is_of(self, book: Book) -> bool:
        """Whether this is the present state of the book."""
        return self.book is book and (self.sequence, self.exchange_time_ns) == (book.sequence, book.exchange_time_ns)


class BookView:
    """The present order book of one symbol, read-only; `ExchangeCollector.book` makes it.

    Each attribute is read from the newest state, which may be ahead of records that still wait for a callback or a
    stream. What is read without an ``await`` in between belongs together. While the book is not proved, every value is
    None, and `levels` is empty. A view stays valid over a stop and a new start.

    Every attribute raises `WrongLoopError` in another event loop than the collector's.
    """

    def __init__(self, symbol: str, proved: Callable[[], Book | None]) -> None:
        self.symbol = symbol
        self._proved = proved
        self._last: _State | None = None

    @property
    def is_proved(self) -> bool:
        """Whether the book is the exchange's newest: each update followed the one before, and the stream is not stale.

        False as well while the best bid is at or above the best ask, and while the collector does not run.
        """
        return self._state() is not None

    @property
    def sequence(self) -> int | None:
        """The sequence of the newest record in the book."""
        state = self._state()
        if state is None:
            return None
        return state.sequence if state.book.number is None else state.book.number

    @property
    def as_of(self) -> datetime | None:
        """The exchange's time of that record, in UTC; None as well where the exchange gives none."""
        state = self._state()
        return None if state is None or state.exchange_time_ns is None else utc(state.exchange_time_ns)

    @property
    def bid(self) -> Decimal | None:
        """The highest bid, exact; None as well without bids."""
        state = self._state()
        return None if state is None or not state.bids else Decimal(state.bids[0].price)

    @property
    def ask(self) -> Decimal | None:
        """The lowest ask, exact; None as well without asks."""
        state = self._state()
        return None if state is None or not state.asks else Decimal(state.asks[0].price)

    @property
    def mid(self) -> Decimal | None:
        """The mean of bid and ask, exact; None without one of them."""
        bid, ask = self.bid, self.ask
        return None if bid is None or ask is None else _EXACT.divide(_EXACT.add(bid, ask), Decimal(2))

    @property
    def spread(self) -> Decimal | None:
        """Ask minus bid, exact and positive; None without one of them."""
        bid, ask = self.bid, self.ask
        return None if bid is None or ask is None else _EXACT.subtract(ask, bid)

    def levels(self, count: int = ALL_LEVELS) -> tuple[list[Level], list[Level]]:
        """At most ``count`` bids and asks, the best first, with price and amount as exact decimal strings.

        Raises:
            ConfigurationError: ``count`` is no positive integer.
        """
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise ConfigurationError(f"count: must be an integer from 1, not {shown(count)}. Leave it out for all")
        state = self._state()
        return ([], []) if state is None else (state.bids[:count], state.asks[:count])

    def _state(self) -> _State | None:
        """The present state if it is proved; sorted once after each change."""
        book = self._proved()
        if book is None:
            self._last = None
        elif self._last is None or not self._last.is_of(book):
            bids, asks = book.best_bids(ALL_LEVELS), book.best_asks(ALL_LEVELS)
            self._last = _State(book, book.sequence, book.exchange_time_ns, bids, asks)
        return None if self._last is None or self._last.is_crossed else self._last
