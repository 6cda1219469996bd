"""Faults of REST calls, and trades that are missing from REST."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from market_simulator.engine.faults.turns import Turns


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this HTTP status, without rows. `retry_after`: seconds until the end of a ban."""

    status: int
    retry_after: int | None = None


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """Answer with this error of the exchange, without rows."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Timeout:
    """Send no answer, and close the connection after `timeout` seconds."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Page:
    """Return only the `first` rows of a page, without every `every`-th row (None: with all of them)."""

    first: int | None = None
    every: int | None = None

    def rows(self, rows: list[str]) -> list[str]:
        """The remaining rows."""
        head = rows if self.first is None else rows[: self.first]
        return head if self.every is None else [row for place, row in enumerate(head, 1) if place % self.every]


@dataclass(frozen=True, slots=True)
class Stale:
    """Leave out the `stale` newest rows (trades or candles), or answer with the book before so many changes."""

    stale: int


How: TypeAlias = Status | ErrorCode | Timeout | Page | Stale


@dataclass(slots=True)
class Rest:
    """Answer calls wrongly. `path` None means any; `symbol` None means any, including calls without a symbol."""

    path: str | None
    symbol: str | None
    turns: Turns
    how: How

    def meets(self, path: str, symbol: str | None) -> bool:
        return self.path in (None, path) and self.symbol in (None, symbol)


@dataclass(slots=True)
class NoHistory:
    """Leave out trades with ids from `first` to `last`, or (`swallowed`) the trades that faults have swallowed."""

    symbol: str
    turns: Turns
    first: int = 0
    last: int = -1
    swallowed: bool = False


Gaps: TypeAlias = tuple[tuple[int, int], ...]
"""First and last missing ids, in ascending order, neither overlapping nor adjacent."""


def joined(gaps: Iterable[tuple[int, int]]) -> Gaps:
    """Merge ranges of ids in any order into gaps."""
    apart: list[tuple[int, int]] = []
    for first, last in sorted(gaps):
        if apart and first <= apart[-1][1] + 1:
            apart[-1] = (apart[-1][0], max(last, apart[-1][1]))
        elif first <= last:
            apart.append((first, last))
    return tuple(apart)
