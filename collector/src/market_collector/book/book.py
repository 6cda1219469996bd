"""An order book: two sides of exact decimal strings, changed only by records in sequence."""

from heapq import nlargest, nsmallest

from market_collector.book.ranking import Ranking
from market_collector.model.events import Level, Orderbook

DELETED_KEPT = 4096
"""Prices of a side above which deleted ones are removed, if no reader has removed them before (0.5 MB)."""


class Book:
    """The present state of one instrument's book.

    A side maps each price string to its last level, unsorted. Deleted levels stay until the book is read. An update is
    then one assignment per level: a third of the cost of removing deletions, a tenth of keeping order. A side is kept
    sorted only while `best` is called after each update, as a checksum does. An exchange writes a price always in the
    same way, so the string is a key.
    """

    __slots__ = ("_asks", "_bids", "_is_best_read", "_rankings", "exchange_time_ns", "sequence")

    def __init__(self, snapshot: Orderbook) -> None:
        self._bids = {level.price: level for level in snapshot.bids}
        self._asks = {level.price: level for level in snapshot.asks}
        self.sequence = snapshot.sequence
        self.exchange_time_ns = snapshot.exchange_time_ns
        self._rankings: tuple[Ranking, Ranking] | None = None
        self._is_best_read = False

    @property
    def bids(self) -> dict[str, str]:
        """Amounts by price, unsorted; a new dict for each call."""
        return self._amounts(0, self._bids)

    @property
    def asks(self) -> dict[str, str]:
        """Amounts by price, unsorted; a new dict for each call."""
        return self._amounts(1, self._asks)

    def _amounts(self, side: int, levels: dict[str, Level]) -> dict[str, str]:
        if self._rankings is not None:
            return dict(self._rankings[side].amounts)
        amounts = {price: level.amount for price, level in levels.items() if level.amount != "0"}
        if len(levels) > 2 * len(amounts):
            self._remove_deleted()
        return amounts

    def apply(self, update: Orderbook) -> None:
        """Apply an update that `continuity.is_next` accepted."""
        if self._rankings is not None:
            self._rank(update, *self._rankings)
        if self._rankings is None:
            bids, asks = self._bids, self._asks
            for level in update.bids:
                bids[level.price] = level
            for level in update.asks:
                asks[level.price] = level
            if len(bids) > DELETED_KEPT or len(asks) > DELETED_KEPT:
                self._remove_deleted()
        self.sequence = update.sequence
        self.exchange_time_ns = update.exchange_time_ns

    def _rank(self, update: Orderbook, bids: Ranking, asks: Ranking) -> None:
        """Keep the order, or stop doing so when `best` was not called since the last update."""
        if self._is_best_read:
            self._is_best_read = False
            bids.apply(update.bids)
            asks.apply(update.asks)
        else:
            self._bids, self._asks = _levels(bids.amounts), _levels(asks.amounts)
            self._rankings = None

    def _remove_deleted(self) -> None:
        self._bids = {price: level for price, level in self._bids.items() if level.amount != "0"}
        self._asks = {price: level for price, level in self._asks.items() if level.amount != "0"}

    def best(self, count: int) -> tuple[list[str], list[str], list[str], list[str]]:
        """Return bid prices, bid amounts, ask prices and ask amounts of the best levels. Fast after each update."""
        self._is_best_read = True
        if self._rankings is None:
            self._rankings = Ranking(self.bids, best="highest"), Ranking(self.asks, best="lowest")
        bids, asks = self._rankings
        return (*bids.best(count), *asks.best(count))

    def best_bids(self, count: int) -> list[Level]:
        """Return the highest bids, best first."""
        return nlargest(count, self._present(0), key=_value)

    def best_asks(self, count: int) -> list[Level]:
        """Return the lowest asks, best first."""
        return nsmallest(count, self._present(1), key=_value)

    def _present(self, side: int) -> list[Level]:
        """Return all present levels of a side."""
        if self._rankings is not None:
            return list(_levels(self._rankings[side].amounts).values())
        self._remove_deleted()
        return list((self._bids, self._asks)[side].values())


def _levels(amounts: dict[str, str]) -> dict[str, Level]:
    return {price: Level(price, amount) for price, amount in amounts.items()}


def _value(level: Level) -> float:
    return float(level.price)
