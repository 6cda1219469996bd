"""Creates the messages of OKX's channels.

Messages depend only on the events and not on the clients: the same events give the same messages. Messages of
streams without subscribers are not created, and that does not affect other streams.
"""

from collections.abc import Container

from market_simulator.dialects.okx import protocol
from market_simulator.dialects.okx.candles import row as candle_row
from market_simulator.dialects.okx.contracts import ContractPublisher
from market_simulator.dialects.okx.contracts import row as contract_row
from market_simulator.engine.candles import Candle
from market_simulator.engine.events import BookChange, Event, Key, RecordedRow, Tick, TradeRow, Trades
from market_simulator.engine.quantities import plain
from market_simulator.engine.venue import Board, Venue

_DAY_MS = 86_400_000
_SECOND_US = 1_000_000
_TOP_PACE_US = 10_000  # bbo-tbt: at most one push per 10 ms


class Publications:
    """The messages of all instruments."""

    def __init__(self, venue: Venue) -> None:
        self.of = {name: Publisher(board, venue.recorded) for name, board in venue.boards.items()}

    def publish(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The messages of the streams in `wanted` that result from an event, which the venue has applied."""
        if isinstance(event, Tick):
            return [push for publisher in self.of.values() for push in publisher.tick(event.time_us, wanted)]
        return self.of[event.instrument].publish(event, wanted)


class Publisher:
    """The messages of one instrument."""

    def __init__(self, board: Board, recorded: Container[Key]) -> None:
        self._board = board
        self._recorded = recorded
        channels = protocol.PUBLIC_CHANNELS | protocol.BUSINESS_CHANNELS
        self._keys = {channel: Key(channel, board.instrument.id) for channel in channels}
        self._rows: dict[str, str] = {}
        self._starts = _DayStarts()
        self._traded_since_second = False
        self._ticker_is_new = self._book_is_new = False
        self._top: tuple[object, ...] = ()
        self._top_us = 0
        self._contract = ContractPublisher(board, board.contract, recorded) if board.contract else None

    # -- events ---------------------------------------------------------------------------------------------------

    def publish(self, event: Trades | BookChange | RecordedRow, wanted: Container[Key]) -> list[tuple[Key, str]]:
        match event:
            case Trades():
                return self._trades(event, wanted)
            case BookChange():
                return self._book_change(event, wanted)
            case RecordedRow():
                self._rows[event.channel] = protocol.recorded_row(event)
                key = Key(event.channel, event.instrument)
                return [(key, protocol.push(key, self._rows[event.channel]))] if key in wanted else []

    def _trades(self, event: Trades, wanted: Container[Key]) -> list[tuple[Key, str]]:
        for row in event.rows:
            self._starts.trade(row)
        self._ticker_is_new = self._traded_since_second = True
        merged, single = self._keys["trades"], self._keys["trades-all"]
        pushes = [(merged, protocol.push(merged, protocol.merged_trades(event)))] if merged in wanted else []
        return pushes + ([(single, protocol.push(single, protocol.single_fills(event)))] if single in wanted else [])

    def _book_change(self, change: BookChange, wanted: Container[Key]) -> list[tuple[Key, str]]:
        self._book_is_new = self._book_is_new or not change.is_no_change
        key = self._keys["books"]
        pushes = [(key, protocol.book_update(change))] if key in wanted else []
        return pushes + self._top_push(change.time_us, wanted)

    def _top_push(self, time_us: int, wanted: Container[Key]) -> list[tuple[Key, str]]:
        book = self._board.book
        top = (*book.bids.best(1), *book.asks.best(1))
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
            pushes += self._second(wanted)
        return pushes + (self._contract.tick(time_us, wanted) if self._contract else [])

    def _derived(self, channel: str, wanted: Container[Key]) -> list[tuple[Key, str]]:
        key = self._keys[channel]
        if key not in wanted or key in self._recorded:
            return []
        text = self.present(key)
        return [] if text is None else [(key, text)]

    def _second(self, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """Push candles: each closed one once, and a running one after each trade."""
        until_ms, candles, traded = self._board.candles_until_ms, self._board.candles, self._traded_since_second
        self._traded_since_second = False
        pushes = []
        for channel, bar in protocol.CANDLES.items():
            if (key := self._keys[channel]) in wanted:
                open_ms = bar.open_ms(until_ms)
                closed = candles.candle(bar, open_ms - bar.length_ms) if open_ms == until_ms else None
                running = candles.candle(bar, open_ms) if traded else None
                pushes += [_candle_push(key, candle, candle is closed) for candle in (closed, running) if candle]
        return pushes

    # -- current state --------------------------------------------------------------------------------------------

    def present(self, key: Key) -> str | None:
        """The state of a stream as a push, or None if it has none."""
        if key.channel == "books":
            return self.snapshot()
        if bar := protocol.CANDLES.get(key.channel):
            until_ms = self._board.candles_until_ms
            newest = self._board.candles.history(bar, until_ms, max(until_ms, self._board.day.now_ms))
            return _candle_push(key, newest[0], False)[1] if newest else None
        row = self.row(key)
        return None if row is None else protocol.push(key, row)

    def row(self, key: Key) -> str | None:
        """The current row of `tickers`, `books5`, `bbo-tbt` or a channel of derivatives."""
        if key in self._recorded:
            return self._rows.get(key.channel)
        if key.channel in protocol.CONTRACT_CHANNELS:
            return contract_row(self._board, key.channel)
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
        book, state = self._board.book, self._board.state
        return None if state is None else protocol.book_snapshot(state, book.bids.best(), book.asks.best())

    def shallow(self, depth: int) -> str | None:
        """The best `depth` levels of each side as a row."""
        book, state = self._board.book, self._board.state
        return None if state is None else protocol.book_row(state, book.bids.best(depth), book.asks.best(depth))

    def ticker(self) -> str | None:
        """The row of `tickers` from trades and book, or None before both are known."""
        book, state, last, instrument = self._board.book, self._board.state, self._board.last, self._board.instrument
        if last is None or state is None:
            return None
        row = {"instType": instrument.kind, "instId": instrument.id, "last": last.price, "lastSz": last.size}
        for price, size, side in (("askPx", "askSz", book.asks), ("bidPx", "bidSz", book.bids)):
            best = side.best(1)
            row |= {price: best[0].price if best else "", size: best[0].size if best else ""}
        row |= self._day(instrument.kind == "SPOT")
        return protocol.compact(row | {"ts": str(max(last.ts_ms, state.ts_ms))})

    def _day(self, is_spot: bool) -> dict[str, str]:
        """The 24-hour columns of a ticker."""
        day = self._board.day.candle()
        return {
            "open24h": day.open, "high24h": day.high, "low24h": day.low, **self._starts.row(),
            "volCcy24h": plain(day.turnover[1 if is_spot else 0]), "vol24h": plain(day.volume),
        }  # fmt: skip


class _DayStarts:
    """The first price of the day in UTC and UTC+8."""

    def __init__(self) -> None:
        self._now_ms = 0
        self._starts = {"sodUtc0": (-1, ""), "sodUtc8": (-1, "")}
        self._last = ""

    def trade(self, row: TradeRow) -> None:
        self._now_ms = max(self._now_ms, row.ts_ms)
        for name, shift in (("sodUtc0", 0), ("sodUtc8", 28_800_000)):
            day = (self._now_ms + shift) // _DAY_MS
            if day != self._starts[name][0]:
                self._starts[name] = (day, self._last or row.price)
        self._last = row.price

    def row(self) -> dict[str, str]:
        """The columns of a ticker."""
        return {name: price for name, (_, price) in self._starts.items()}


def _candle_push(key: Key, candle: Candle, is_closed: bool) -> tuple[Key, str]:
    return key, protocol.push(key, protocol.compact(candle_row(candle, is_closed)))
