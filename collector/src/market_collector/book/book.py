"""An order book: two sides of exact decimal strings, changed only by records in sequence."""

from collections.abc import Sequence
from heapq import nlargest, nsmallest

from market_collector.book.known_range import KnownRange, TextRange
from market_collector.book.ranking import Ranking
from market_collector.book.side import Side
from market_collector.model.events import Level, Orderbook

ALL_LEVELS = 1_000_000
"""More levels than any book has."""
LEVELS_OF_A_WHOLE_BOOK = 500_000
"""Most levels of a book whose depth the exchange does not limit (15 MB)."""
LEVELS_PER_DEPTH = 20
"""Most levels for each of `Book.depth`. The exchange deletes those beyond, and adds others, in the same update."""
UPDATES_KEPT = 512
"""Updates that are kept for the next reader. More of them come without one only while a recording is read."""


class Book:
    """The present state of one instrument's book.

    A side maps each price string to its last level, unsorted. Deleted levels stay until the book is read. An update is
    then one assignment per level: a third of the cost of removing deletions, a tenth of keeping order. A side is kept
    sorted only while `best` is called after each update, as a checksum does. The price's text is the key; readers merge
    equal prices.
    """

    __slots__ = (
        "_asks", "_bids", "_is_best_read", "_rankings", "depth", "exchange_time_ns", "has_empty_side", "number",
        "sequence",
    )  # fmt: skip

    def __init__(self, snapshot: Orderbook, *, is_packed: bool = False, is_partial: bool = False) -> None:
        """Start with a snapshot. Of a book that ``is_partial``, each side ends at some price."""
        self._bids = Side(snapshot.bids, best="highest", is_packed=is_packed, is_counted=is_partial)
        self._asks = Side(snapshot.asks, best="lowest", is_packed=is_packed, is_counted=is_partial)
        self.has_empty_side = False
        """Whether a side has no level left. Known after each update of a book that is partial, else after `pack`."""
        self.sequence = snapshot.sequence
        self.number: int | None = None
        """The number that the collector published for this state; None if it published `sequence`."""
        self.exchange_time_ns = snapshot.exchange_time_ns
        self.depth = snapshot.depth
        """Levels that the exchange keeps on each side; None for all."""
        self._rankings: tuple[Ranking, Ranking] | None = None
        self._is_best_read = False
        if is_partial:
            self.pack()

    @property
    def bids(self) -> dict[str, str]:
        """Amounts by price, unsorted; a new dict for each call."""
        return self._amounts(0, self._bids)

    @property
    def asks(self) -> dict[str, str]:
        """Amounts by price, unsorted; a new dict for each call."""
        return self._amounts(1, self._asks)

    def _amounts(self, number: int, side: Side) -> dict[str, str]:
        if self._rankings is not None:
            return dict(self._rankings[number].amounts)
        return {level.price: level.amount for level in side.levels()}

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is at or above the best ask. Reads only changed levels, unless very many changed."""
        if self._rankings is not None:
            (bids, _), (asks, _) = (ranking.best(1) for ranking in self._rankings)
            return bool(bids and asks) and float(bids[0]) >= float(asks[0])
        return self._bids.bound() >= self._asks.bound() and self._bids.best() >= self._asks.best()

    @property
    def unpacked_levels(self) -> int:
        """Number of levels that `pack` would pack, and of those deleted since."""
        return len(self._bids.changes) + len(self._asks.changes)

    @property
    def size(self) -> int:
        """Number of levels in memory, nearly that of the present levels after `pack`."""
        if self._rankings is not None:
            return sum(len(ranking.amounts) for ranking in self._rankings)
        return self._bids.size + self._asks.size

    @property
    def is_too_large(self) -> bool:
        """Whether the exchange adds levels without an end, which would fill the memory. Call `pack` first."""
        return self.size > (LEVELS_PER_DEPTH * self.depth if self.depth else LEVELS_OF_A_WHOLE_BOOK)

    def pack(self) -> None:
        """Reduce the memory of a book that is read seldom to a fifth. Does nothing while it is kept sorted."""
        if self._rankings is None:
            self._bids.pack()
            self._asks.pack()
            self.has_empty_side = not (self._bids.size and self._asks.size)

    def apply(self, update: Orderbook) -> None:
        """Apply an update that follows the book's state."""
        if self._rankings is not None:
            self._rank(update, *self._rankings)
        if self._rankings is None:
            bids, asks = self._bids.changes, self._asks.changes
            for level in update.bids:
                bids[level.price] = level
            for level in update.asks:
                asks[level.price] = level
            self._keep(update)
        self.sequence = update.sequence
        self.exchange_time_ns = update.exchange_time_ns

    def apply_within(self, known: KnownRange, update: Orderbook) -> Orderbook:
        """Apply an update without the levels beyond the range of the book's snapshot; return it without them."""
        if self._rankings is not None or known.texts is None or not self._change_within(known.texts, update):
            update = known.cut(update)  # compares the numbers
            self.apply(update)  # repeats the changes that were made
            return update
        self._keep(update)
        self.sequence = update.sequence
        self.exchange_time_ns = update.exchange_time_ns
        return update

    def _change_within(self, known: TextRange, update: Orderbook) -> bool:
        """Change levels while the text of each price shows that it is in the range, at half the cost of numbers.

        Returns False at the first that does not.
        """
        point, end, changes = known.bid_point, known.lowest_bid, self._bids.changes
        try:
            for level in update.bids:
                price = level.price
                if price[point] != "." or price < end:
                    return False
                changes[price] = level
            point, end, changes = known.ask_point, known.highest_ask, self._asks.changes
            for level in update.asks:
                price = level.price
                if price[point] != "." or price > end:
                    return False
                changes[price] = level
        except IndexError:
            return False
        return True

    def _keep(self, update: Orderbook) -> None:
        """Keep the changes of an update for the next reader."""
        bids, asks = self._bids, self._asks
        bids.recent.append(update.bids)
        asks.recent.append(update.asks)
        if len(bids.changes) > bids.most_changes or len(asks.changes) > asks.most_changes:
            self.pack()
        elif len(bids.recent) > UPDATES_KEPT:
            bids.changed()
            asks.changed()

    def trim(self, depth: int) -> tuple[list[Level], list[Level]]:
        """Delete the levels beyond the best ``depth`` of each side; return the deletions. Keeps the sides sorted."""
        self._is_best_read = True
        bids, asks = self._rankings or self._sort()
        return _trim(bids, depth), _trim(asks, depth)

    def count(self) -> tuple[int, int]:
        """Return the numbers of bids and asks."""
        self.pack()
        return self.fewest

    @property
    def fewest(self) -> tuple[int, int]:
        """Numbers of bids and asks that are there for certain. Fast, and exact after `pack`."""
        if self._rankings is not None:
            bids, asks = self._rankings
            return len(bids.amounts), len(asks.amounts)
        return self._bids.fewest, self._asks.fewest

    def _sort(self) -> tuple[Ranking, Ranking]:
        self._rankings = Ranking(self.bids, best="highest"), Ranking(self.asks, best="lowest")
        return self._rankings

    def _rank(self, update: Orderbook, bids: Ranking, asks: Ranking) -> None:
        """Keep the order, or stop doing so when `best` was not called since the last update."""
        if self._is_best_read:
            self._is_best_read = False
            bids.apply(update.bids)
            asks.apply(update.asks)
            self.has_empty_side = not (bids.amounts and asks.amounts)
        else:
            self._bids = self._bids.restarted(_levels(bids.amounts))
            self._asks = self._asks.restarted(_levels(asks.amounts))
            self._rankings = None

    def best(self, count: int) -> tuple[Sequence[str], Sequence[str], Sequence[str], Sequence[str]]:
        """Return bid prices, bid amounts, ask prices and ask amounts of the best levels. Fast after each update."""
        self._is_best_read = True
        bids, asks = self._rankings or self._sort()
        return (*bids.best(count), *asks.best(count))

    def best_bids(self, count: int) -> list[Level]:
        """Return the highest bids, best first."""
        return nlargest(count, self._present(0), key=_value)

    def best_asks(self, count: int) -> list[Level]:
        """Return the lowest asks, best first."""
        return nsmallest(count, self._present(1), key=_value)

    def snapshot(self, exchange: str, symbol: str, receive_time_ns: int, cause: str = "exchange") -> Orderbook:
        """Return the present state as a record, with this `Orderbook.cause`."""
        previous = None if cause == "exchange" else self.sequence
        return Orderbook(
            exchange, symbol, self.exchange_time_ns, receive_time_ns, "snapshot", self.best_bids(ALL_LEVELS),
            self.best_asks(ALL_LEVELS), self.sequence, previous, None, cause, self.depth,
        )  # fmt: skip

    def _present(self, number: int) -> list[Level]:
        """Return all present levels of a side."""
        if self._rankings is not None:
            return _levels(self._rankings[number].amounts)
        return (self._bids, self._asks)[number].levels()


def _trim(ranking: Ranking, depth: int) -> list[Level]:
    excess = len(ranking.amounts) - depth
    if excess <= 0:
        return []
    prices, _ = ranking.best(depth + excess)
    deletions = [Level(price, "0") for price in prices[depth:]]
    ranking.apply(deletions)
    return deletions


def _levels(amounts: dict[str, str]) -> list[Level]:
    return list(map(Level, amounts, amounts.values()))


def _value(level: Level) -> float:
    return float(level.price)
