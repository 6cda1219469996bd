"""An order book: two sides of exact decimal text, changed only by records that were found to be in order."""

from heapq import nlargest, nsmallest

from market_collector.book.ranking import Ranking
from market_collector.model.events import Level, Orderbook

DELETED_KEPT = 4096
"""Prices of a side after which the deleted ones among them are thrown out, if nobody looked before (0.5 MB)."""


class Book:
    """The present state of one instrument's book.

    A side maps price text to the level that came last, unsorted, and deleted ones stay until somebody looks: an update
    is then one assignment a level, a third of what it costs to tell deletions apart, and a tenth of keeping order
    (ARCHITECTURE.md, decision 6). Only while somebody looks after each update (`best`), as a checksum does, a side is
    kept in order. An exchange writes one price always in the same way, so the text is a key.
    """

    __slots__ = ("_asks", "_bids", "_is_looked_at", "_rankings", "exchange_time_ns", "sequence")

    def __init__(self, snapshot: Orderbook) -> None:
        self._bids = {level.price: level for level in snapshot.bids}
        self._asks = {level.price: level for level in snapshot.asks}
        self.sequence = snapshot.sequence
        self.exchange_time_ns = snapshot.exchange_time_ns
        self._rankings: tuple[Ranking, Ranking] | None = None
        self._is_looked_at = False

    @property
    def bids(self) -> dict[str, str]:
        """Amounts by price, unsorted; made anew for each look."""
        return self._amounts(0, self._bids)

    @property
    def asks(self) -> dict[str, str]:
        """Amounts by price, unsorted; made anew for each look."""
        return self._amounts(1, self._asks)

    def _amounts(self, side: int, levels: dict[str, Level]) -> dict[str, str]:
        if self._rankings is not None:
            return dict(self._rankings[side].amounts)
        amounts = {price: level.amount for price, level in levels.items() if level.amount != "0"}
        if len(levels) > 2 * len(amounts):
            self._throw_out()
        return amounts

    def apply(self, update: Orderbook) -> None:
        """Applies an update that `continuity.follows` accepted."""
        if self._rankings is not None:
            self._rank(update, *self._rankings)
        if self._rankings is None:
            bids, asks = self._bids, self._asks
            for level in update.bids:
                bids[level.price] = level
            for level in update.asks:
                asks[level.price] = level
            if len(bids) > DELETED_KEPT or len(asks) > DELETED_KEPT:
                self._throw_out()
        self.sequence = update.sequence
        self.exchange_time_ns = update.exchange_time_ns

    def _rank(self, update: Orderbook, bids: Ranking, asks: Ranking) -> None:
        """Keeps the order, or stops to do so when nobody has looked since the update before."""
        if self._is_looked_at:
            self._is_looked_at = False
            bids.apply(update.bids)
            asks.apply(update.asks)
        else:
            self._bids, self._asks = _levels(bids.amounts), _levels(asks.amounts)
            self._rankings = None

    def _throw_out(self) -> None:
        self._bids = {price: level for price, level in self._bids.items() if level.amount != "0"}
        self._asks = {price: level for price, level in self._asks.items() if level.amount != "0"}

    def best(self, count: int) -> tuple[list[str], list[str], list[str], list[str]]:
        """Bid prices, bid amounts, ask prices and ask amounts of the best levels; for who asks after each update."""
        self._is_looked_at = True
        if self._rankings is None:
            self._rankings = Ranking(self.bids, best="highest"), Ranking(self.asks, best="lowest")
        bids, asks = self._rankings
        return (*bids.best(count), *asks.best(count))

    def best_bids(self, count: int) -> list[Level]:
        """The highest bids, best first."""
        return nlargest(count, self._standing(0), key=_value)

    def best_asks(self, count: int) -> list[Level]:
        """The lowest asks, best first."""
        return nsmallest(count, self._standing(1), key=_value)

    def _standing(self, side: int) -> list[Level]:
        """All levels of a side that are there."""
        if self._rankings is not None:
            return list(_levels(self._rankings[side].amounts).values())
        self._throw_out()
        return list((self._bids, self._asks)[side].values())


def _levels(amounts: dict[str, str]) -> dict[str, Level]:
    return {price: Level(price, amount) for price, amount in amounts.items()}


def _value(level: Level) -> float:
    return float(level.price)
