"""Sets of whole numbers as runs ``(first, last)``, both inclusive: memory grows with the holes, not with the ids."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

Run = tuple[int, int]


class IdRuns:
    """Numbers that are there, and the exchange times at both ends of each run."""

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
        """The lowest number; there must be one."""
        return self._firsts[0]

    @property
    def high(self) -> int:
        """The highest number; there must be one."""
        return self._lasts[-1]

    def runs(self) -> list[Run]:
        """All of them, in order."""
        return list(zip(self._firsts, self._lasts, strict=True))

    def add(self, first: int, last: int, time_ns: int) -> int:
        """Adds first..last, which happened at ``time_ns``; returns how many of them were not there before."""
        lasts = self._lasts
        if lasts and first == lasts[-1] + 1:
            lasts[-1] = last
            self._ends[-1] = time_ns
            return last - first + 1
        return self._insert(first, last, time_ns)

    def _insert(self, first: int, last: int, time_ns: int) -> int:
        """Joins all runs that overlap or touch first..last."""
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
        """Whether it is there."""
        at = bisect_left(self._lasts, number)
        return at < len(self._firsts) and self._firsts[at] <= number

    def times_around(self, first: int, last: int) -> tuple[int | None, int | None]:
        """Exchange times between which lies what is missing of first..last; None where nothing bounds it."""
        before, after = bisect_right(self._firsts, first) - 1, bisect_left(self._lasts, last)
        if before == after:  # one run holds all of it
            return None, None
        return (
            self._ends[before] if before >= 0 else None,
            self._starts[after] if after < len(self._starts) else None,
        )


def merged(parts: Iterable[Sequence[Run]]) -> list[Run]:
    """Everything that is in any of the parts, as the fewest runs."""
    whole: list[Run] = []
    for first, last in sorted(run for part in parts for run in part):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]))
        else:
            whole.append((first, last))
    return whole


def absent(runs: Sequence[Run], first: int, last: int) -> list[Run]:
    """What of first..last is in none of the runs, which are in order and apart."""
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
    """What of ``whole`` is in none of the runs."""
    return [part for first, last in whole for part in absent(runs, first, last)]


def common(whole: Sequence[Run], runs: Sequence[Run]) -> list[Run]:
    """What is in both."""
    return minus(whole, minus(whole, runs))


def size(runs: Iterable[Run]) -> int:
    """How many numbers these are."""
    return sum(last - first + 1 for first, last in runs)


def _last(run: Run) -> int:
    return run[1]
