"""Sets of integers as runs ``(first, last)``, both inclusive. Memory grows with the number of gaps, not of ids."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

Run = tuple[int, int]


class IdRuns:
    """Set of numbers, with the exchange times at both ends of each run."""

    __slots__ = ("_ends", "_firsts", "_lasts", "_starts")

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._firsts)

    @property
    def low(self) -> int:
        """The lowest number; the set must not be empty."""
        return self._firsts[0]

    @property
    def high(self) -> int:
        """The highest number; the set must not be empty."""
        return self._lasts[-1]

    def runs(self) -> list[Run]:
        """Return all runs, in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def add(self, first: int, last: int, time_ns: int) -> int:
        """Add first..last with the exchange time ``time_ns``. Returns how many of them are new."""
        lasts = self._lasts
        if lasts and first == lasts[-1] + 1:
            lasts[-1] = last
            self._ends[-1] = time_ns
            return last - first + 1
        return self._insert(first, last, time_ns)

    def _insert(self, first: int, last: int, time_ns: int) -> int:
        """Merge first..last with all runs that overlap or touch it."""
        start, end = bisect_left(self._lasts, first - 1), bisect_right(self._firsts, last + 1)
        known = sum(max(0, min(last, self._lasts[at]) - max(first, self._firsts[at]) + 1) for at in range(start, end))
        keeps_first = start < end and self._firsts[start] <= first
        keeps_last = start < end and self._lasts[end - 1] >= last
        new_first = self._firsts[start] if keeps_first else first
        new_last = self._lasts[end - 1] if keeps_last else last
        new_start = self._starts[start] if keeps_first else time_ns
        new_end = self._ends[end - 1] if keeps_last else time_ns
        self._firsts[start:end], self._lasts[start:end] = [new_first], [new_last]
        self._starts[start:end], self._ends[start:end] = [new_start], [new_end]
        return last - first + 1 - known

    def has(self, number: int) -> bool:
        """Whether the set contains the number."""
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def times_around(self, first: int, last: int) -> tuple[int | None, int | None]:
        """Return the exchange times around the missing part of first..last; None for an open end."""
        before, after = bisect_right(self._firsts, first) - 1, bisect_left(self._lasts, last)
        if before == after:  # one run contains all of first..last
            return None, None
        return (
            self._ends[before] if before >= 0 else None,
            self._starts[after] if after < len(self._starts) else None,
        )


def merged(parts: Iterable[Sequence[Run]]) -> list[Run]:
    """Return the union of the parts, as the fewest runs."""
    union: list[Run] = []
    for first, last in sorted(run for part in parts for run in part):
        if union and first <= union[-1][1] + 1:
            union[-1] = (union[-1][0], max(last, union[-1][1]))
        else:
            union.append((first, last))
    return union


def absent(runs: Sequence[Run], first: int, last: int) -> list[Run]:
    """Return the part of first..last that is in none of the runs, which are in order and disjoint."""
    left: list[Run] = []
    at = bisect_left(runs, first, key=_last)
    while at < len(runs) and runs[at][0] <= last:
        if runs[at][0] > first:
            left.append((first, runs[at][0] - 1))
        first = runs[at][1] + 1
        at += 1
    if first <= last:
        left.append((first, last))
    return left


def minus(whole: Iterable[Run], runs: Sequence[Run]) -> list[Run]:
    """Return the part of ``whole`` that is in none of the runs."""
    return [part for first, last in whole for part in absent(runs, first, last)]


def common(whole: Sequence[Run], runs: Sequence[Run]) -> list[Run]:
    """Return the intersection."""
    return minus(whole, minus(whole, runs))


def size(runs: Iterable[Run]) -> int:
    """Return the number of ids in the runs."""
    return sum(last - first + 1 for first, last in runs)


def _last(run: Run) -> int:
    return run[1]
