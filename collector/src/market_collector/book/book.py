"""An order book: two sides of exact decimal text, changed only by records that were found to be in order."""

from collections.abc import Iterable
from heapq import nlargest, nsmallest

from market_collector.book.ranking import Ranking
from market_collector.model.events import Level, Orderbook


class Book:
    """The present state of one instrument's book.

    Sides map price text to amount text, unsorted: to keep order costs several times the update itself (ARCHITECTURE.md,
    decision 6). They are sorted when somebody looks (`best_bids`, `best_asks`), and kept in order only while somebody
    looks after each update (`best`), as a checksum does. An exchange writes one price always in the same way, so the
    text is a key.
    """

    __slots__ = ("_is_looked_at", "_rankings", "asks", "bids", "exchange_time_ns", "sequence")

    def __init__(self, snapshot: Orderbook) -> None:
        self.bids = {level.price: level.amount for level in snapshot.bids}
        self.asks = {level.price: level.amount for level in snapshot.asks}
        self.sequence = snapshot.sequence
        self.exchange_time_ns = snapshot.exchange_time_ns
        self._rankings: tuple[Ranking, Ranking] | None = None
        self._is_looked_at = False

    def apply(self, update: Orderbook) -> None:
        """Applies an update that `continuity.follows` accepted."""
        if self._is_looked_at and self._rankings is not None:
            self._is_looked_at = False
            bids, asks = self._rankings
            bids.apply(update.bids)
            asks.apply(update.asks)
        else:
            self._rankings = None
            _change(self.bids, update.bids)
            _change(self.asks, update.asks)
        self.sequence = update.sequence
        self.exchange_time_ns = update.exchange_time_ns

    def best(self, count: int) -> tuple[list[str], list[str], list[str], list[str]]:
        """Bid prices, bid amounts, ask prices and ask amounts of the best levels; for who asks after each update."""
        self._is_looked_at = True
        if self._rankings is None:
            self._rankings = Ranking(self.bids, best="highest"), Ranking(self.asks, best="lowest")
        bids, asks = self._rankings
        return (*bids.best(count), *asks.best(count))

    def best_bids(self, count: int) -> list[Level]:
        """The highest bids, best first."""
        return [Level(price, self.bids[price]) for price in nlargest(count, self.bids, key=float)]

    def best_asks(self, count: int) -> list[Level]:
        """The lowest asks, best first."""
        return [Level(price, self.asks[price]) for price in nsmallest(count, self.asks, key=float)]


def _change(side: dict[str, str], levels: Iterable[Level]) -> None:
    for level in levels:
        if (amount := level.amount) == "0":
            side.pop(level.price, None)
        else:
            side[level.price] = amount
