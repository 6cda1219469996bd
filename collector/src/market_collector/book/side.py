"""One side of an order book: levels by price, unsorted. Those that did not change lately are packed as JSON."""

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Literal

import msgspec

from market_collector.model.events import Level

CHANGES_KEPT = 4096
"""Changes of a side above which deleted levels are removed, if no reader has removed them before (0.5 MB)."""
BEST_KEPT, BEST_SHARE = 320, 16
"""Best packed prices that are kept as numbers: at least this many (2.5 KB), and this part of a large side. A book is
packed again before so many have changed."""

_encode = msgspec.json.encode
_decode = msgspec.json.Decoder(list[Level]).decode


class Side:
    """All bids or all asks.

    A packed level takes 30 bytes, one in a dictionary 200. Changes of packed levels need no unpacking: a reader merges
    both. A side that was never packed costs its readers no decoding. Equal prices, such as "100" and "100.0", are one
    level: the last change counts.
    """

    __slots__ = (
        "_best_packed", "_is_best_highest", "_is_counted", "_is_sorted", "_packed", "_packed_levels", "_worst",
        "changes", "most_changes", "recent",
    )  # fmt: skip

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        best: Literal["highest", "lowest"],
        is_packed: bool = False,
        is_counted: bool = False,
    ) -> None:
        self._is_best_highest = best == "highest"
        self._is_counted = is_counted
        self._worst = float("-inf") if self._is_best_highest else float("inf")
        self._best_packed = array("d")
        """The best prices that are packed, the best first."""
        self._packed = _encode(levels) if is_packed else b""
        self._packed_levels = len(levels) if is_packed else 0
        self._is_sorted = not is_packed
        """Whether the packed levels are sorted, the best first, each price once."""
        self.changes = {} if is_packed else {level.price: level for level in levels}
        """The last level of each price's text that changed since the side was packed, deleted levels included."""
        self.recent: list[Sequence[Level]] = []
        """Changes since the last reader, in order. Seldom needed: an exchange writes a price always in the same way."""
        self.most_changes = self._most_changes()
        """More changes than this need `pack`. If the side ``is_counted``, fewer cannot delete all of its levels."""

    def restarted(self, levels: Sequence[Level]) -> "Side":
        """Return a side of the same kind with these levels."""
        best: Literal["highest", "lowest"] = "highest" if self._is_best_highest else "lowest"
        return Side(levels, best=best, is_counted=self._is_counted)

    def _most_changes(self) -> int:
        return min(CHANGES_KEPT, max(0, self._packed_levels - 1)) if self._is_counted else CHANGES_KEPT

    @property
    def size(self) -> int:
        """Number of levels in memory; changed and deleted ones may count twice until the side is packed."""
        return self._packed_levels + len(self.changes)

    @property
    def fewest(self) -> int:
        """Number of present levels, or fewer: each change may delete one. Exact after `pack`."""
        return max(0, self._packed_levels - len(self.changes))

    def levels(self) -> list[Level]:
        """Return all present levels, unsorted. Removes deleted ones if they are the most."""
        present = list(self._by_price().values())
        if not self._packed and len(self.changes) > 2 * len(present):
            self.changes = {level.price: level for level in present}
        return present

    def _by_price(self) -> dict[float, Level]:
        packed = _decode(self._packed) if self._packed else ()
        merged = {_value(level): level for level in packed} | self.changed()
        return {price: level for price, level in merged.items() if is_present(level)}

    def changed(self) -> dict[float, Level]:
        """Return the last change of each price since the side was packed."""
        merged = {_value(level): level for level in self.changes.values()}
        if len(merged) < len(self.changes):  # a price came in two forms
            for level in chain.from_iterable(self.recent):
                merged.pop(_value(level), None)
                merged[_value(level)] = level
            self.changes = {level.price: level for level in merged.values()}
        self.recent.clear()
        return merged

    def pack(self) -> None:
        """Pack all present levels."""
        present = self._by_price()
        prices = sorted(present, reverse=self._is_best_highest)
        self._packed, self._is_sorted, self.changes = _encode([present[price] for price in prices]), True, {}
        self._packed_levels = len(prices)
        self.most_changes = self._most_changes()
        self._best_packed = array("d", prices[: max(BEST_KEPT, len(prices) // BEST_SHARE)])

    def bound(self) -> float:
        """Return a price that no level is better than: the best one, unless all kept prices have changed since `pack`.

        Decodes nothing, except a snapshot on its first call.
        """
        if not self._is_sorted:
            self.pack()
        changed, kept = self.changed(), self._best_packed
        limit = kept[-1] if len(kept) < self._packed_levels else self._worst
        return self._better(next((price for price in kept if price not in changed), limit), changed)

    def best(self) -> float:
        """Return the best price; infinite, and worse than any other, on an empty side. Call `bound` first."""
        packed = _decode(self._packed) if self._packed else ()
        changed = self.changed()
        unchanged = (price for price in map(_value, packed) if price not in changed)
        return self._better(next(unchanged, self._worst), changed)

    def _better(self, price: float, changed: Mapping[float, Level]) -> float:
        """Return the best of this price and the changed levels' prices."""
        prices = [price, *(value for value, level in changed.items() if is_present(level))]
        return max(prices) if self._is_best_highest else min(prices)


def is_present(level: Level) -> bool:
    """Return whether the level has an amount. Zero in any form deletes it."""
    return level.amount.strip("0.") != ""


def _value(level: Level) -> float:
    return float(level.price)
