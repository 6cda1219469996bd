"""An order book: two sides of exact decimal text, changed only by records that were found to be in order."""

from collections.abc import Iterable
from heapq import nlargest, nsmallest

from market_collector.model.events import Level, Orderbook


class Book:
    """The present state of one instrument's book.

    Sides map price text to amount text, unsorted: sorting costs 5 to 20 times the update itself (ARCHITECTURE.md,
    decision 6), so it is done only when somebody looks. An exchange writes one price always in the same way, so the
    text is a key.
    """

    __slots__ = ("asks", "bids", "exchange_time_ns", "sequence")

    def __init__(self, snapshot: Orderbook) -> None:
        self.bids = {level.price: level.amount for level in snapshot.bids}
        self.asks = {level.price: level.amount for level in snapshot.asks}
        self.sequence = snapshot.sequence
        self.exchange_time_ns = snapshot.exchange_time_ns

    def apply(self, update: Orderbook) -> None:
        """Applies an update that `continuity.follows` accepted."""
        _change(self.bids, update.bids)
        _change(self.asks, update.asks)
        self.sequence = update.sequence
        self.exchange_time_ns = update.exchange_time_ns

    def best_bids(self, count: int) -> list[Level]:
        """The highest bids, best first."""
        return [Level(price, self.bids[price]) for price in nlargest(count, self.bids, key=float)]

    def best_asks(self, count: int) -> list[Level]:
        """The lowest asks, best first."""
        return [Level(price, self.asks[price]) for price in nsmallest(count, self.asks, key=float)]


def _change(side: dict[str, str], levels: Iterable[Level]) -> None:
    for level in levels:
        if level.amount == "0":
            side.pop(level.price, None)
        else:
            side[level.price] = level.amount
