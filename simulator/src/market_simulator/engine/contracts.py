"""The data that only derivatives have, made from their trades and books: any source of events gets it.

All choices come from one generator per instrument with its name as the seed. Prices and rates are decimal strings.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Final, Generic, TypeVar

from market_simulator.engine.book import Book
from market_simulator.engine.events import TradeRow

MARK_US: Final = 200_000
"""Shortest time between two mark prices."""
REPEATED_MS: Final = 10_000
"""An unchanged mark price is repeated after this time."""
INTEREST_US: Final = 3_000_000
RATE_US: Final = 30_000_000
FUNDING_MS: Final = 8 * 3_600_000
"""Time between two payments of funding, which are at 0, 8 and 16 o'clock UTC."""
_KEPT = 20_000
_ONE_IN = 25  # orders, of which one is a liquidation
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark price, and the price of the underlying."""

    ts_ms: int
    price: str
    index: str


@dataclass(frozen=True, slots=True)
class Interest:
    """Open interest in contracts, and the mark price then."""

    ts_ms: int
    contracts: Decimal
    price: str


@dataclass(frozen=True, slots=True)
class Rate:
    """The funding rate that is due at `due_ms`, and the one paid at the payment before."""

    ts_ms: int
    rate: str
    due_ms: int
    settled: str


@dataclass(frozen=True, slots=True)
class Liquidation:
    """A position closed by force. `side` is that of the order: sell closes a long position."""

    ts_ms: int
    side: str
    price: str
    contracts: str


Fact = TypeVar("Fact", Mark, Interest, Rate, Liquidation)


@dataclass(slots=True)
class History(Generic[Fact]):
    """The newest facts of one kind, oldest first."""

    rows: deque[Fact] = field(default_factory=lambda: deque(maxlen=_KEPT))
    count: int = 0
    """Of all facts, also those that are no longer kept."""

    def add(self, row: Fact) -> None:
        """Add the newest one."""
        self.rows.append(row)
        self.count += 1

    def newest(self, lag: int = 0) -> Fact | None:
        """The newest one, or the one that was it before the last `lag`. None before the first one."""
        return self.rows[max(-1 - lag, -len(self.rows))] if self.rows else None

    def after(self, count: int) -> list[Fact]:
        """Those that were added after the first `count`, newest first."""
        return list(islice(reversed(self.rows), self.count - count))


class Contract:
    """One instrument's mark prices, open interest, funding rates and liquidations: all that happened."""

    def __init__(self, name: str) -> None:
        self.marks = History[Mark]()
        self.interests = History[Interest]()
        self.rates = History[Rate]()
        self.liquidations = History[Liquidation]()
        self._random = Random(f"{name}/contract")
        self._contracts = Decimal(self._random.randrange(100_000_000, 900_000_000)) / 100
        self._premium = self._random.randrange(-200, 200)  # of the mark price over the index, millionths

    def trade(self, rows: Iterable[TradeRow]) -> None:
        """Each trade opens or closes positions, and some are liquidations."""
        for row in rows:
            opens = self._random.randrange(100) < 55
            self._contracts = max(Decimal(0), self._contracts + Decimal(row.size) * (1 if opens else -1))
            if not self._random.randrange(_ONE_IN):
                self.liquidations.add(Liquidation(row.ts_ms, row.side, row.price, row.size))

    def tick(self, time_us: int, book: Book) -> None:
        """Make the facts that are due now."""
        ts_ms = time_us // 1000
        if time_us % MARK_US == 0:
            self._mark(ts_ms, book)
        if time_us % INTEREST_US == 0 or not self.interests.rows:
            self._interest(ts_ms)
        if time_us % RATE_US == 0 or not self.rates.rows:
            self._rate(ts_ms)

    def _mark(self, ts_ms: int, book: Book) -> None:
        bids, asks = book.bids.best(1), book.asks.best(1)
        if not bids or not asks:
            return
        self._premium = max(-500, min(500, self._premium + self._random.randrange(-3, 4)))
        tick = Decimal(bids[0].price)
        mark = ((tick + Decimal(asks[0].price)) / 2).quantize(tick)
        index = (mark * (_MILLION - self._premium) / _MILLION).quantize(tick)
        last = self.marks.newest()
        if last is None or last.price != str(mark) or ts_ms - last.ts_ms >= REPEATED_MS:
            self.marks.add(Mark(ts_ms, str(mark), str(index)))

    def _interest(self, ts_ms: int) -> None:
        last, mark = self.interests.newest(), self.marks.newest()
        if mark and (last is None or last.contracts != self._contracts):
            self.interests.add(Interest(ts_ms, self._contracts, mark.price))

    def _rate(self, ts_ms: int) -> None:
        last, due_ms = self.rates.newest(), ts_ms - ts_ms % FUNDING_MS + FUNDING_MS
        rate = f"{Decimal(self._premium) / 10 / _MILLION:.16f}"
        settled = rate if last is None else last.settled if last.due_ms == due_ms else last.rate
        self.rates.add(Rate(ts_ms, rate, due_ms, settled))
