"""The current state of all markets: it applies events and creates the messages of each channel.

Messages depend only on the events and not on the clients: the same events give the same messages. Messages of
streams without subscribers are not created, and that does not affect other streams.
"""

from collections.abc import Container, Iterable
from decimal import Decimal

from market_simulator import okx
from market_simulator.book import Book
from market_simulator.candles import BARS, Candle, Candles
from market_simulator.events import BookChange, Event, Key, RecordedRow, Tick, TradeRow, Trades, levels
from market_simulator.instruments import Instrument
from market_simulator.quantities import plain

_DAY_MS = 86_400_000
_SECOND_US = 1_000_000
_TOP_PACE_US = 10_000  # bbo-tbt: at most one push per 10 ms


class Venue:
    """All instruments.

    `recorded`: streams that the source contains itself. `late_ms`: how long a candle stays open for late trades. In a
    recording, trades arrive some time after their own time.
    """

    def __init__(self, instruments: Iterable[Instrument], recorded: Container[Key] = (), late_ms: int = 0) -> None:
        self.instruments = {instrument.id: instrument for instrument in instruments}
        self.boards = {name: Board(instrument, recorded, late_ms) for name, instrument in self.instruments.items()}
        self.now_ms = 0

    def apply(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Apply an event, and return the resulting messages of the streams in `wanted`."""
        self.now_ms = max(self.now_ms, event.time_us // 1000)
        if isinstance(event, Tick):
            return [push for board in self.boards.values() for push in board.tick(event.time_us, wanted)]
        return self.boards[event.instrument].apply(event, wanted)

    def first_push(self, key: Key) -> str | None:
        """The current state for a new subscriber, or None for trades and for a stream without a state."""
        return self.boards[key.instrument].present(key)


class Board:
    """The current state of one instrument."""

    def __init__(self, instrument: Instrument, recorded: Container[Key], late_ms: int) -> None:
        self.instrument = instrument
        self.book = Book()
        self.state: BookChange | None = None
        self.candles = Candles(instrument)
        self._recorded = recorded
        self._late_ms = late_ms
        self._rows: dict[str, str] = {}
        self._day = _Day(self.candles)
        self._last: TradeRow | None = None
        self.candles_until_ms = 0  # candles that end at or before this time are closed
        self._traded_since_second = False
        self._ticker_is_new = self._book_is_new = False
        self._top: tuple[object, ...] = ()
        self._top_us = 0

    # -- events in ------------------------------------------------------------------------------------------------

    def apply(self, event: Trades | BookChange | RecordedRow, wanted: Container[Key]) -> list[tuple[Key, str]]:
        match event:
            case Trades():
                return self._trades(event, wanted)
            case BookChange():
                return self._book_change(event, wanted)
            case RecordedRow():
                self._rows[event.channel] = event.text
                key = Key(event.channel, event.instrument)
                return [(key, okx.push(key, event.text))] if key in wanted else []

    def _trades(self, event: Trades, wanted: Container[Key]) -> list[tuple[Key, str]]:
        for row in event.rows:
            self._day.trade(row)
            self.candles.add(row, self.candles_until_ms)
        self._last = event.rows[-1]
        self._ticker_is_new = self._traded_since_second = True
        merged, single = self._key("trades"), self._key("trades-all")
        pushes = [(merged, okx.push(merged, okx.merged_trades(event)))] if merged in wanted else []
        return pushes + ([(single, okx.push(single, okx.single_fills(event)))] if single in wanted else [])

    def _book_change(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        self.book.apply(change.bids.rows, change.asks.rows)
        self.state = change
        self._book_is_new = self._book_is_new or not change.is_no_change
        key = self._key("books")
        pushes = [(key, okx.book_update(change))] if key in wanted else []
        return pushes + self._top_push(change.time_us, wanted)

    def _top_push(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        top = (*self.book.bids.best(1), *self.book.asks.best(1))
        if top == self._top or time_us - self._top_us < _TOP_PACE_US:
            return []
        self._ticker_is_new, self._top, self._top_us = True, top, time_us
        return self._derived("bbo-tbt", wanted)

    # -- the regular beat -----------------------------------------------------------------------------------------

    def tick(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Every 100 ms, push tickers and books5 at most once each, and every second the candles."""
        pushes: list[tuple[Key, str]] = self._top_push(time_us, wanted) if self._book_is_new else []
        if self._ticker_is_new:
            pushes += self._derived("tickers", wanted)
        if self._book_is_new:
            pushes += self._derived("books5", wanted)
        self._ticker_is_new = self._book_is_new = False
        if time_us % _SECOND_US == 0:
            pushes += self._second(time_us // 1000 - self._late_ms, wanted)
        return pushes

    def _derived(self, channel: str, wanted: Container[Key]) -> list[tuple[Key, str]]:
        key = self._key(channel)
        if key not in wanted or key in self._recorded:
            return []
        text = self.present(key)
        return [] if text is None else [(key, text)]

    def _second(self, until_ms: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Push candles up to this time: each closed one once, and a running one after each trade."""
        self.candles_until_ms, traded = until_ms, self._traded_since_second
        self._traded_since_second = False
        pushes = []
        for channel, bar in okx.CANDLES.items():
            if (key := self._key(channel)) in wanted:
                open_ms = bar.open_ms(until_ms)
                closed = self.candles.candle(bar, open_ms - bar.length_ms) if open_ms == until_ms else None
                running = self.candles.candle(bar, open_ms) if traded else None
                pushes += [_candle_push(key, candle, candle is closed) for candle in (closed, running) if candle]
        return pushes

    # -- current state --------------------------------------------------------------------------------------------

    def present(self, key: Key) -> str | None:
        """The state of a stream as a push, or None if it has none."""
        if key.channel == "books":
            return self.snapshot()
        if bar := okx.CANDLES.get(key.channel):
            newest = self.candles.history(bar, self.candles_until_ms, max(self.candles_until_ms, self._day.now_ms))
            return _candle_push(key, newest[0], False)[1] if newest else None
        row = self.row(key)
        return None if row is None else okx.push(key, row)

    def row(self, key: Key) -> str | None:
        """The current row of `tickers`, `books5` or `bbo-tbt`."""
        if key in self._recorded:
            return self._rows.get(key.channel)
        match key.channel:
            case "tickers":
                return self.ticker()
            case "books5":
                return self.shallow(5)
            case "bbo-tbt":
                return self.shallow(1)
        return None

    def snapshot(self) -> str | None:
        """The full book as a snapshot push, or None before its first state."""
        if self.state is None:
            return None
        return okx.book_snapshot(self.state, levels(self.book.bids.best()), levels(self.book.asks.best()))

    def shallow(self, depth: int) -> str | None:
        """The best `depth` levels of each side as a row."""
        if self.state is None:
            return None
        return okx.book_row(self.state, self.book.bids.best(depth), self.book.asks.best(depth))

    def ticker(self) -> str | None:
        """The row of `tickers` from trades and book, or None before both are known."""
        if self._last is None or self.state is None:
            return None
        names = (("askPx", "askSz", self.book.asks), ("bidPx", "bidSz", self.book.bids))
        row = {"instType": self.instrument.kind, "instId": self.instrument.id}
        row |= {"last": self._last.price, "lastSz": self._last.size}
        for price, size, side in names:
            best = side.best(1)
            row |= {price: best[0].price if best else "", size: best[0].size if best else ""}
        row |= self._day.row(self.instrument.kind == "SPOT")
        return okx.compact(row | {"ts": str(max(self._last.ts_ms, self.state.ts_ms))})

    def _key(self, channel: str) -> Key:
        return Key(channel, self.instrument.id)


class _Day:
    """Open, high, low and volumes of the last 24 hours, minute by minute."""

    def __init__(self, candles: Candles) -> None:
        self.now_ms = 0
        self._candles = candles
        self._closed: Candle | None = None
        self._minute_ms = -1
        self._starts = {"sodUtc0": (-1, ""), "sodUtc8": (-1, "")}
        self._last = ""

    def trade(self, row: TradeRow) -> None:
        """Record the first price of each day in UTC and UTC+8."""
        self.now_ms = max(self.now_ms, row.ts_ms)
        for name, shift in (("sodUtc0", 0), ("sodUtc8", 28_800_000)):
            day = (self.now_ms + shift) // _DAY_MS
            if day != self._starts[name][0]:
                self._starts[name] = (day, self._last or row.price)
        self._last = row.price

    def row(self, is_spot: bool) -> dict[str, str]:
        """The 24-hour columns of a ticker."""
        minute_ms = BARS["1m"].open_ms(self.now_ms)
        if minute_ms != self._minute_ms:
            self._minute_ms = minute_ms
            self._closed = _sum([c for c in self._candles.last_minutes(minute_ms - _DAY_MS) if c.open_ms < minute_ms])
        day = _sum([*([self._closed] if self._closed else []), *self._candles.last_minutes(minute_ms)])
        assert day is not None  # the first ticker follows the first trade
        return {
            "open24h": day.open, "high24h": day.high, "low24h": day.low,
            "sodUtc0": self._starts["sodUtc0"][1], "sodUtc8": self._starts["sodUtc8"][1],
            "volCcy24h": plain(day.turnover[1 if is_spot else 0]), "vol24h": plain(day.volume),
        }  # fmt: skip


def _sum(candles: list[Candle]) -> Candle | None:
    if not candles:
        return None
    first = candles[0]
    total = Candle(first.open_ms, first.open, first.high, first.low, first.close, Decimal(0), (Decimal(0), Decimal(0)))
    for candle in candles:
        total.add(candle)
    return total


def _candle_push(key: Key, candle: Candle, is_closed: bool) -> tuple[Key, str]:
    return key, okx.push(key, okx.compact(candle.row(is_closed)))
