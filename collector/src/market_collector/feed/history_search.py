"""Finds where the exchange's history continues above ids that it lacks, by halving the range.

Ids may jump: after maintenance or with a new matching engine, millions of ids may never have existed. History may also
end, because the collector was away for longer than history reaches. A page that shows the ids on both sides proves that
it has nothing between them, whatever the number of ids.
"""

from collections.abc import Collection

import msgspec


class HistorySearch(msgspec.Struct):
    """Search for the lowest id above ``first`` that history has."""

    first: int
    """The lowest missing id."""
    page: int
    """Largest number of records in one answer."""
    low: int
    """History has nothing from ``first`` to ``low`` - 1."""
    high: int | None = None
    """An id above ``first`` that history has."""

    @property
    def is_found(self) -> bool:
        """Whether a page showed ``high`` and the id below the missing ones, or that history starts with ``high``."""
        return self.high == self.low

    @property
    def is_blind(self) -> bool:
        """Whether history does not even have the id that follows the missing ones: it may be late."""
        return self.high is None and self.low > self.first + self.page

    @property
    def is_contradicted(self) -> bool:
        """Whether a page lacked an id that an earlier one had: the search starts again."""
        return self.high is None and self.low == self.first

    def next_page(self, last: int) -> int:
        """Return the id with which the next page ends; ``last`` is the highest missing id."""
        if self.high is None:
            return last + 1
        is_near = self.high - self.low < self.page
        return self.high if is_near else (self.low + self.high) // 2

    def take(self, end: int, numbers: Collection[int], *, reaches_back: bool) -> None:
        """Take the ids of a page.

        Args:
            end: the id with which the page was to end.
            numbers: the ids on it; a page that starts with the missing ids may exceed ``end``.
            reaches_back: whether it lists all ids from ``first`` on.
        """
        inside = [number for number in numbers if number >= self.first]
        if inside:
            self.high = min(inside)
            self.low = self.high if reaches_back else min(self.low, self.high)
        elif self.high is not None and end >= self.high:
            self.low, self.high = self.first, None
        else:
            self.low = end + 1
