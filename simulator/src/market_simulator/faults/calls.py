"""What goes wrong with REST calls, and which trades REST does not know."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from market_simulator.faults.turns import Turns


@dataclass(frozen=True, slots=True)
class Status:
    """The answer is this HTTP status, without rows."""

    status: int


@dataclass(frozen=True, slots=True)
class Timeout:
    """There is no answer, for so many seconds; then the connection ends."""

    timeout: float


@dataclass(frozen=True, slots=True)
class Page:
    """The page has only its `first` rows, and of these every `every`th is missing (None: none is)."""

    first: int | None = None
    every: int | None = None

    def rows(self, rows: list[str]) -> list[str]:
        """What is left of the rows."""
        left = rows if self.first is None else rows[: self.first]
        return left if self.every is None else [row for place, row in enumerate(left, 1) if place % self.every]


@dataclass(frozen=True, slots=True)
class Stale:
    """The answer knows nothing of the newest so many rows: trades, or bars of candles."""

    stale: int


How: TypeAlias = Status | Timeout | Page | Stale


@dataclass(slots=True)
class Rest:
    """Calls of a path (None: any) for a symbol (None: any, and those that name none) are answered wrongly."""

    path: str | None
    symbol: str | None
    turns: Turns
    how: How

    def meets(self, path: str, symbol: str | None) -> bool:
        return self.path in (None, path) and self.symbol in (None, symbol)


@dataclass(slots=True)
class NoHistory:
    """REST has no trades with ids from `first` to `last`, for ever; `swallowed`: nor those that faults have swallowed."""

    symbol: str
    turns: Turns
    first: int = 0
    last: int = -1
    swallowed: bool = False


Gaps: TypeAlias = tuple[tuple[int, int], ...]
"""First and last ids that are missing: ascending, apart from each other."""


def joined(gaps: Iterable[tuple[int, int]]) -> Gaps:
    """Any ranges of ids as gaps."""
    apart: list[tuple[int, int]] = []
    for first, last in sorted(gaps):
        if apart and first <= apart[-1][1] + 1:
            apart[-1] = (apart[-1][0], max(last, apart[-1][1]))
        elif first <= last:
            apart.append((first, last))
    return tuple(apart)
