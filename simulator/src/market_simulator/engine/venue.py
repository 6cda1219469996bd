"""The current state of all markets: books, candles and the statistics of the last 24 hours."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

from market_simulator.engine.book import Book
from market_simulator.engine.candles import MINUTE, Candle, Candles
from market_simulator.engine.contracts import Contract
from market_simulator.engine.events import BookChange, Event, Key, Tick, TradeRow, Trades
from market_simulator.engine.instruments import Instrument

_DAY_MS = 86_400_000
_SECOND_US = 1_000_000


class Venue:
    """All instruments.

    `recorded`: streams that the source contains itself. `late_ms`: how long a candle stays open for late trades. In a
    recording, trades arrive some time after their own time. `books`: the recorded streams of order books, each with the
    number of its first message.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        recorded: Collection[Key] = (),
        late_ms: int = 0,
        books: Mapping[Key, int] | None = None,
    ) -> None:
        self.instruments = {instrument.id: instrument for instrument in instruments}
        self.boards = {name: Board(instrument, late_ms) for name, instrument in self.instruments.items()}
        self.recorded = recorded
        self.books = books or {}
        self.now_ms = 0

    def apply(self, event: Event) -> None:
        """Apply an event."""
        self.now_ms = max(self.now_ms, event.time_us // 1000)
        match event:
            case Trades():
                self.boards[event.instrument].trade(event)
            case BookChange():
                self.boards[event.instrument].change_book(event)
            case Tick():
                for board in self.boards.values():
                    board.tick(event.time_us)


class Board:
    """The current state of one instrument."""

    def __init__(self, instrument: Instrument, late_ms: int) -> None:
        self.instrument = instrument
        self.book = Book()
        self.state: BookChange | None = None
        self.last: TradeRow | None = None
        self.candles = Candles(instrument)
        self.day = Day(self.candles)
        self.candles_until_ms = 0  # candles that end at or before this time are closed
        self.contract = Contract(instrument.id) if instrument.kind in ("SWAP", "FUTURES") else None
        self._late_ms = late_ms

    def trade(self, event: Trades) -> None:
        for row in event.rows:
            self.day.now_ms = max(self.day.now_ms, row.ts_ms)
            self.candles.add(row, self.candles_until_ms)
        self.last = event.rows[-1]
        if self.contract:
            self.contract.trade(event.rows)

    def change_book(self, change: BookChange) -> None:
        self.book.apply(change.bids, change.asks)
        self.state = change

    def tick(self, time_us: int) -> None:
        """Each second, close the candles that have ended, except for the time of late trades."""
        if time_us % _SECOND_US == 0:
            self.candles_until_ms = time_us // 1000 - self._late_ms
        if self.contract:
            self.contract.tick(time_us, self.book)


class Day:
    """The last 24 hours until the newest trade, minute by minute."""

    def __init__(self, candles: Candles) -> None:
        self.now_ms = 0
        self._candles = candles
        self._closed: Candle | None = None
        self._minute_ms = -1

    def candle(self) -> Candle:
        """Open, high, low and volumes of the 24 hours. There is a trade."""
        minute_ms = MINUTE.open_ms(self.now_ms)
        if minute_ms != self._minute_ms:
            self._minute_ms = minute_ms
            self._closed = _sum([c for c in self._candles.last_minutes(minute_ms - _DAY_MS) if c.open_ms < minute_ms])
        day = _sum([*([self._closed] if self._closed else []), *self._candles.last_minutes(minute_ms)])
        assert day is not None
        return day


def _sum(candles: list[Candle]) -> Candle | None:
    if not candles:
        return None
    first = candles[0]
    total = Candle(first.open_ms, first.open, first.high, first.low, first.close, Decimal(0), (Decimal(0), Decimal(0)))
    for candle in candles:
        total.add(candle)
    return total
