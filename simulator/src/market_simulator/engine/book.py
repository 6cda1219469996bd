"""An order book with the exchange's decimal strings, its best levels and differences."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from typing import TypeAlias

from market_simulator.engine.events import Level, Levels


class Side:
    """One side of a book. Keys are in ascending order; `best_is_highest` selects the end that is the best."""

    __slots__ = ("_best_is_highest", "_keys", "_rows")

    def __init__(self, best_is_highest: bool) -> None:
        self._best_is_highest = best_is_highest
        self._keys: list[int] = []
        self._rows: dict[int, Level] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def apply(self, changes: Iterable[Level]) -> None:
        """Set the new absolute sizes. Size "0" deletes the level, if it exists."""
        for level in changes:
            if level.size == "0":
                self._remove(level.key)
            else:
                if level.key not in self._rows:
                    insort(self._keys, level.key)
                self._rows[level.key] = level

    def copy(self) -> "Side":
        """An independent copy."""
        side = Side(self._best_is_highest)
        side._keys, side._rows = self._keys.copy(), self._rows.copy()
        return side

    def key(self, place: int) -> int:
        """The key of the level at `place`: 0 is the best, -1 the worst.

        Raises:
            IndexError: the side has no such level.
        """
        return self._keys[-1 - place if self._best_is_highest else place]

    def best(self, count: int | None = None) -> list[Level]:
        """The best `count` levels (all, when None), best first."""
        keys = self._keys
        if self._best_is_highest:
            keys = keys[::-1] if count is None else keys[: -count - 1 : -1]
        elif count is not None:
            keys = keys[:count]
        return [self._rows[key] for key in keys]

    def changes_to(self, target: Iterable[Level]) -> Levels:
        """The changes that turn this side into exactly `target`, best price first."""
        by_key = {level.key: level for level in target}
        gone = [Level(key, row.price, "0", "0") for key, row in self._rows.items() if key not in by_key]
        changed = [level for key, level in by_key.items() if self._rows.get(key) != level]
        return tuple(sorted(gone + changed, key=lambda level: level.key, reverse=self._best_is_highest))

    def _remove(self, key: int) -> None:
        if self._rows.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]


class Book:
    """Both sides, with any number of levels. Not thread-safe."""

    __slots__ = ("asks", "bids")

    def __init__(self) -> None:
        self.bids = Side(best_is_highest=True)
        self.asks = Side(best_is_highest=False)

    def apply(self, bids: Iterable[Level], asks: Iterable[Level]) -> None:
        self.bids.apply(bids)
        self.asks.apply(asks)

    def copy(self) -> "Book":
        """An independent copy."""
        book = Book()
        book.bids, book.asks = self.bids.copy(), self.asks.copy()
        return book

    @property
    def is_crossed(self) -> bool:
        """Whether the best bid is not below the best ask."""
        return bool(len(self.bids) and len(self.asks)) and self.bids.key(0) >= self.asks.key(0)


Checksum: TypeAlias = Callable[[Book], int]
"""A dialect's checksum of a book."""
