"""A seeded market: the same seed, symbols and rate give the same events to the last byte, with any set of clients.

Prices are integers in ticks, sizes in lots, times in microseconds. Every choice comes from one generator per symbol
with a string as its seed. No float, clock, hash order or other symbol affects it.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from random import Random

from market_simulator.engine.book import Book, Checksum, Side
from market_simulator.engine.events import BookChange, Event, Level, Levels, TradeRow, Trades
from market_simulator.engine.instruments import Instrument, Making, kind_of
from market_simulator.engine.quantities import decimal_text, fixed_text

DEPTH = 400  # levels a side
_BURST = 40  # steps in a burst
_BURST_SPEED = 8
_PRICES = {"BTC": 640_000, "ETH": 185_000, "SOL": 1_423_000, "XRP": 224_000, "DOGE": 195_000, "OKB": 105_000}  # ticks
_TICK_DECIMALS = {"BTC": 1, "ETH": 2, "SOL": 4, "XRP": 5, "DOGE": 6, "OKB": 3}


@dataclass(frozen=True, slots=True)
class MarketPlan:
    """Parameters of a market.

    `rate`: average number of trades and changes of books per second and symbol. `checksum`: None leaves it out.
    `fixed_kinds`: kinds of instruments whose prices and sizes keep their zeros at the end.
    """

    seed: str
    symbols: tuple[str, ...]
    rate: Fraction
    checksum: Checksum | None = None
    depth: int = DEPTH
    fixed_kinds: frozenset[str] = frozenset()


def market(plan: MarketPlan, origin_us: int) -> Iterator[Event]:
    """Endless events of all symbols from `origin_us` (microseconds since 1970) on, in order of time."""
    events = [_Symbol(plan, symbol, origin_us).events() for symbol in plan.symbols]
    return heapq.merge(*events, key=lambda event: event.time_us)


def instruments(plan: MarketPlan, make: Making) -> list[Instrument]:
    """The plan's symbols as instruments, with the market's steps of price and size."""
    made = []
    for symbol in plan.symbols:
        scale = _scale(plan, symbol)
        tick, lot = decimal_text(1, scale.tick_decimals), decimal_text(1, scale.lot_decimals)
        made.append(make(symbol, tick, lot))
    return made


@dataclass(frozen=True, slots=True)
class _Scale:
    price_ticks: int
    tick_decimals: int
    lot_decimals: int
    write: Callable[[int, int], str]

    def price(self, ticks: int) -> str:
        return self.write(ticks, self.tick_decimals)

    def size(self, lots: int) -> str:
        return self.write(lots, self.lot_decimals) if lots else "0"


def _scale(plan: MarketPlan, symbol: str) -> _Scale:
    base = symbol.partition("-")[0]
    random = Random(f"{plan.seed}/{symbol}/scale")
    price = _PRICES.get(base) or random.randrange(50_000, 2_000_000)
    decimals = _TICK_DECIMALS.get(base) or random.randrange(1, 7)
    kind = kind_of(symbol)
    write = fixed_text if kind in plan.fixed_kinds else decimal_text
    return _Scale(price, decimals, 8 if kind == "SPOT" else 2, write)


class _Ladder:
    """One side's lots by tick, and its changes in the current step."""

    def __init__(self, side: Side, scale: _Scale, away: int) -> None:
        self.side = side
        self.lots: dict[int, int] = {}
        self.away = away  # direction from the best price into the book: -1 for bids, +1 for asks
        self._scale = scale
        self._changes: dict[int, Level] = {}

    def put(self, tick: int, lots: int, orders: int) -> None:
        """Set a level's lots; 0 deletes it."""
        if lots:
            self.lots[tick] = lots
        else:
            self.lots.pop(tick, None)
        level = Level(tick, self._scale.price(tick), self._scale.size(lots), str(orders if lots else 0))
        self._changes[tick] = level
        self.side.apply((level,))

    def take_changes(self) -> Levels:
        """Remove and return the step's changes, best price first."""
        changed = sorted(self._changes.values(), key=lambda level: level.key * self.away)
        self._changes = {}
        return tuple(changed)

    def tick(self, place: int) -> int:
        """The tick of the level at `place` (0 is the best, -1 the worst)."""
        return self.side.key(place)


class _Symbol:
    """One symbol's market."""

    def __init__(self, plan: MarketPlan, symbol: str, origin_us: int) -> None:
        self._plan = plan
        self._symbol = symbol
        self._time_us = origin_us
        self._random = Random(f"{plan.seed}/{symbol}")
        self._scale = _scale(plan, symbol)
        self._book = Book()
        self._bids = _Ladder(self._book.bids, self._scale, -1)
        self._asks = _Ladder(self._book.asks, self._scale, +1)
        self._sequence = self._random.randrange(10_000_000, 90_000_000_000)
        self._trade_id = self._random.randrange(100_000, 1_000_000_000)
        self._book_sequence = -1
        self._burst_left = 0
        # A step is one message (books) or two (trades and books) with equal chance. Bursts (40 of 440 steps, eight
        # times as fast) shorten the mean by 0.9205, and the factor compensates for that.
        self._mean_us = max(1, int(Fraction(1_500_000) / plan.rate * 10864 / 10000))

    def events(self) -> Iterator[Event]:
        yield self._open()
        yield from self._trade_step()
        while True:
            self._time_us += self._interval_us()
            yield from self._trade_step() if self._random.randrange(2) else self._quote_step()

    def _interval_us(self) -> int:
        if self._burst_left:
            self._burst_left -= 1
        elif not self._random.randrange(400):
            self._burst_left = _BURST
        mean = self._mean_us // _BURST_SPEED if self._burst_left else self._mean_us
        return 1 + self._random.randrange(2 * mean) if mean else 1

    def _open(self) -> BookChange:
        for ladder, best in ((self._bids, self._scale.price_ticks - 1), (self._asks, self._scale.price_ticks)):
            ladder.put(best, self._new_lots(), self._new_orders())
            self._fill_up(ladder)
        return self._book_change(is_snapshot=True)

    # -- the two kinds of step ------------------------------------------------------------------------------------

    def _quote_step(self) -> Iterator[Event]:
        if not self._random.randrange(5):
            self._drift()
        for _ in range(1 + self._random.randrange(6)):
            self._quote(self._random.choice((self._bids, self._asks)))
        yield self._settled()

    def _trade_step(self) -> Iterator[Event]:
        is_buy = self._goes_up()
        hit = self._asks if is_buy else self._bids
        self._next_sequence()
        prices = self._random.choices((1, 2, 3), weights=(85, 12, 3))[0]
        rows = tuple(self._take(hit, "buy" if is_buy else "sell", place == prices - 1) for place in range(prices))
        yield Trades(self._time_us, self._symbol, rows)
        yield self._settled()

    def _take(self, ladder: _Ladder, side: str, is_last: bool) -> TradeRow:
        """One taker order's fills at the best price: the full level, or a part of it at the last price."""
        tick = ladder.tick(0)
        available = ladder.lots[tick]
        taken = 1 + self._random.randrange(available) if is_last else available
        fills = min(taken, self._random.choices((1, 2, 3, 6, 17), weights=(70, 15, 8, 6, 1))[0])
        ladder.put(tick, available - taken, self._new_orders())
        self._trade_id += fills
        return TradeRow(
            last_id=self._trade_id,
            price=self._scale.price(tick),
            size=self._scale.size(taken),
            sizes=self._fill_sizes(taken, fills),
            side=side,
            source="0",
            ts_ms=self._time_us // 1000,
            sequence=self._sequence,
        )

    def _fill_sizes(self, lots: int, fills: int) -> tuple[str, ...]:
        cuts = sorted(self._random.sample(range(1, lots), fills - 1)) if fills > 1 else []
        ends = zip([0, *cuts], [*cuts, lots], strict=True)
        return tuple(self._scale.size(end - start) for start, end in ends)

    # -- quotes ---------------------------------------------------------------------------------------------------

    def _goes_up(self) -> bool:
        """A random direction, biased towards the first price once the market has halved or doubled."""
        middle, start = self._bids.tick(0), self._scale.price_ticks
        bias = 90 if middle < start // 2 else 10 if middle > start * 2 else 50
        return self._random.randrange(100) < bias

    def _drift(self) -> None:
        """Remove the best level of one side, and add a better one to the other side."""
        retreating, following = (self._asks, self._bids) if self._goes_up() else (self._bids, self._asks)
        retreating.put(retreating.tick(0), 0, 0)
        self._add(following, following.tick(0) - following.away)

    def _quote(self, ladder: _Ladder) -> None:
        what = self._random.randrange(10)
        near = min(self._random.randrange(len(ladder.lots)), self._random.randrange(len(ladder.lots)))
        tick = ladder.tick(near)
        if what < 5:
            ladder.put(tick, self._new_lots(), self._new_orders())
        elif what < 7 and len(ladder.lots) > self._plan.depth // 2:
            ladder.put(tick, 0, 0)
        else:
            self._add(ladder, tick - ladder.away * (self._random.randrange(3) - 1))

    def _add(self, ladder: _Ladder, tick: int) -> None:
        """Add a level, unless it would touch the other side."""
        other = self._asks if ladder is self._bids else self._bids
        if (tick - other.tick(0)) * ladder.away > 0:
            ladder.put(tick, self._new_lots(), self._new_orders())

    def _settled(self) -> BookChange:
        for ladder in (self._bids, self._asks):
            self._fill_up(ladder)
            while len(ladder.lots) > self._plan.depth:
                ladder.put(ladder.tick(-1), 0, 0)
        return self._book_change()

    def _fill_up(self, ladder: _Ladder) -> None:
        while len(ladder.lots) < self._plan.depth:
            step = 1 + self._random.randrange(3)
            ladder.put(ladder.tick(-1) + ladder.away * step, self._new_lots(), self._new_orders())

    def _book_change(self, is_snapshot: bool = False) -> BookChange:
        previous, self._book_sequence = self._book_sequence, self._next_sequence()
        return BookChange(
            time_us=self._time_us,
            instrument=self._symbol,
            ts_ms=self._time_us // 1000,
            bids=self._bids.take_changes(),
            asks=self._asks.take_changes(),
            sequence=self._sequence,
            previous=previous,
            checksum=self._plan.checksum(self._book) if self._plan.checksum else 0,
            is_snapshot=is_snapshot,
        )

    def _next_sequence(self) -> int:
        self._sequence += 2 + self._random.randrange(11)
        return self._sequence

    def _new_lots(self) -> int:
        return 1 + self._random.randrange(10 ** self._random.randrange(3, self._scale.lot_decimals + 2))

    def _new_orders(self) -> int:
        return 1 + min(self._random.randrange(30), self._random.randrange(30))
