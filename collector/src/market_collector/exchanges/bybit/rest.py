"""Bybit v5 over REST: requests, and readers for their answers. exchange.py names the sources."""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import msgspec

from market_collector.errors import FrameError, InstrumentRefusedError
from market_collector.exchanges.bybit.answers import problem_of, read_result, reading
from market_collector.exchanges.bybit.derivatives import FIELDS, state_of
from market_collector.exchanges.bybit.instruments import TRADING, InstrumentList, InstrumentRow, instrument_of
from market_collector.exchanges.bybit.names import INTERVALS, LINEAR, NAME, SPOT, category, native_name
from market_collector.exchanges.bybit.recent import RecentList, request_of
from market_collector.exchanges.decimals import EARLIEST_MS, LATEST_MS, Milliseconds, check_decimals, integer_of
from market_collector.exchanges.freshness import by_number, by_state
from market_collector.exchanges.interface import (
    Budget,
    Finding,
    Freshness,
    History,
    HistoryRange,
    Request,
    RestProblem,
    Seen,
    Sign,
    Top,
)
from market_collector.exchanges.readable import readable
from market_collector.model.events import Candle, Data, Level, Ticker, Trade
from market_collector.model.streams import DataType, Stream
from market_spec import names

MARKET = "/v5/market"
BUDGETS = {"": Budget(per_second=40.0, capacity=100.0)}
"""At most 300 requests in 5 s, half of the exchange's limit. After a mass reconnect each symbol needs one soon."""
CANDLES = 1000
"""Most candles of an answer."""
is_cursor = re.compile(r"[A-Za-z0-9%_.~:,-]+").fullmatch
"""Whether a text is a cursor, which the exchange has encoded for the query already."""
LEVELS_COMPARED = 5
"""Best levels of a book that are compared on each side."""


class Clock(msgspec.Struct, gc=False):
    """``{"timeSecond":"1789299611","timeNano":"1789299611107028610"}`` [rec]."""

    timeNano: str


class TickerRow(msgspec.Struct, gc=False):
    """The fields of a ticker that show activity. Over REST, spot has the best prices too; "" is no value."""

    symbol: str
    lastPrice: str = ""
    volume24h: str = ""
    turnover24h: str = ""
    bid1Price: str = ""
    bid1Size: str = ""
    ask1Price: str = ""
    ask1Size: str = ""


class TickerList(msgspec.Struct, gc=False):
    """``{"category":"spot","list":[TickerRow, ...]}``."""

    list: list[TickerRow]


class RowList(msgspec.Struct, gc=False):
    """``{"category":"linear","list":[...]}``, whose rows are read later."""

    list: list[msgspec.Raw]


class BookAnswer(msgspec.Struct, gc=False):
    """``{"s":"BTCUSDT","b":[["64104.5","1"]],"a":[],"ts":1786538714563,"u":5,"seq":7,"cts":1786538714560}``.

    ``u`` counts the messages of the topic with 1,000 levels, so it says nothing about the others.
    """

    b: list[Level]
    a: list[Level]
    cts: Milliseconds | None = None


class CandleRow(msgspec.Struct, array_like=True, gc=False):
    """``["1786538700000","64104.5","64104.5","64096.4","64096.4","1.01673","65173.1079222"]``."""

    start: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,13}$")]
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str


class CandleList(msgspec.Struct, gc=False):
    """``{"symbol":"BTCUSDT","category":"spot","list":[CandleRow, ...]}``, newest first."""

    list: list[msgspec.Raw]


class BybitRestApi:
    """Bybit's REST requests, and readers for the answers."""

    budgets: Mapping[str, Budget] = BUDGETS
    history_page = CANDLES - 1

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
        """Judge errors, most of which come with HTTP 200."""
        return problem_of(status, headers, body)

    def used_share(self, bucket: str, headers: Mapping[str, str]) -> float:
        """Public requests have no such header."""
        return 0.0

    # -- instruments

    def instruments(self, kind: str) -> Request:
        """Request all instruments of spot, or the first 1,000 of linear."""
        return _get("instruments-info", "category=spot" if kind == names.SPOT else f"category={LINEAR}&limit=1000")

    def more_instruments(self, body: bytes) -> Request | None:
        """Request the page from the cursor on. Only linear has one."""
        try:
            listed, _ = read_result("its instruments", body, InstrumentList)
        except FrameError:
            return None
        if not listed.list or not is_cursor(listed.nextPageCursor):
            return None
        return _get("instruments-info", f"category={LINEAR}&limit=1000&cursor={listed.nextPageCursor}")

    def read_instruments(self, symbols: Set[str] | None, body: bytes, receive_time_ns: int) -> list[Any]:
        """Return a record for each listed symbol."""
        listed, _ = read_result("its instruments", body, InstrumentList)
        with reading("its instruments", body):
            found = readable(listed.list, partial(instrument_of, listed.category, symbols, receive_time_ns))
        return [each for each in found if each is not None]

    def unlisted(self, symbols: Set[str], body: bytes) -> Set[str]:
        """Return the symbols that the answer lacks. A request for one symbol is refused if it is not listed.

        An answer without any row says nothing about the symbols.
        """
        what: Stream | str = "its instruments"
        if len(symbols) == 1:
            what = Stream(next(iter(symbols)), DataType.TRADE)
        try:
            listed, _ = read_result(what, body, InstrumentList)
        except InstrumentRefusedError:
            return symbols
        except FrameError:
            return frozenset()
        found = {row.symbol for row in _rows(listed)}
        if not found:
            return frozenset()
        return {symbol for symbol in symbols if native_name(symbol) not in found}

    def halted(self, body: bytes) -> Mapping[str, str]:
        """Return the states of instruments that do not trade: PreLaunch, Delivering, Closed."""
        listed, _ = read_result("its instruments", body, InstrumentList)
        rows = [row for row in _rows(listed) if row.status != TRADING]
        return {str(name): row.status for row in rows if (name := row.name(listed.category)) is not None}

    def state(self, stream: Stream) -> Request:
        """Request the instrument."""
        return _get("instruments-info", _query(stream))

    # -- time

    def time(self) -> Request:
        """Request the time."""
        return _get("time", "")

    def read_time(self, body: bytes) -> int:
        """Read the time, which is in nanoseconds."""
        clock, _ = read_result("its time", body, Clock)
        with reading("its time", body):
            time_ns = int(clock.timeNano) if len(clock.timeNano) < 20 else -1
            if not EARLIEST_MS <= time_ns // 1_000_000 <= LATEST_MS:
                raise ValueError(f"{clock.timeNano[:40]!r} is no present time")
            return time_ns

    # -- the newest event

    def newest(self, stream: Stream) -> Request:
        """Request the newest trade or candle, the best levels, or the ticker."""
        match stream.data_type:
            case DataType.TRADE:
                return request_of(stream, 1)
            case DataType.ORDERBOOK:
                return _get("orderbook", f"{_query(stream)}&limit={LEVELS_COMPARED}")
            case DataType.TICKER | DataType.FUNDING | DataType.MARKPRICE | DataType.OPENINTEREST:
                return _get("tickers", _query(stream))
            case DataType.CANDLE:
                return _get("kline", f"{_query(stream)}&interval={INTERVALS[stream.interval]}&limit=1")
        raise ValueError(f"Bybit does not offer {stream}")

    def judge(self, stream: Stream, seen: Seen, body: bytes) -> Freshness:
        """Compare the newest trade's time, a candle's open time, or prices and amounts."""
        match stream.data_type:
            case DataType.TRADE:
                return _judge_trade(stream, seen, body)
            case DataType.ORDERBOOK:
                return _judge_book(stream, seen, body)
            case DataType.TICKER:
                return _judge_ticker(stream, seen, body)
            case kind if kind in FIELDS:
                return _judge_state(stream, seen, body)
        return _judge_candle(stream, seen, body)

    def overview(self, kind: str) -> Request:
        """Request the tickers of the category."""
        return _get("tickers", f"category={SPOT if kind == names.SPOT else LINEAR}")

    def read_overview(self, streams: Iterable[Stream], body: bytes) -> Mapping[Stream, Sign]:
        """Read one row per instrument; one that is not listed has none."""
        answer, _ = read_result("all tickers", body, RowList)
        with reading("all tickers", body):
            rows = readable(answer.list, partial(msgspec.json.decode, type=TickerRow))
        by_name = {row.symbol: row for row in rows}
        named = {stream: by_name.get(native_name(stream.symbol)) for stream in streams}
        return {stream: _sign(stream, row) for stream, row in named.items() if row is not None}

    def mark(self, record: Data) -> int:
        """Return the time in milliseconds. No sign of an overview is a number."""
        return (record.exchange_time_ns or 0) // 1_000_000

    # -- history

    def history(self, stream: Stream, missing: HistoryRange) -> Request | None:
        """Request candles from the one before the first missing one on. Trades have no history (section 7)."""
        if stream.data_type is DataType.TRADE:
            return None
        start, end = (stream.candle_open_ns(number) // 1_000_000 for number in (missing.first - 1, missing.last))
        page = f"&interval={INTERVALS[stream.interval]}&start={start}&end={end}&limit={CANDLES}"
        return _get("kline", _query(stream) + page)

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        """Read closed candles. The running one is a row like the others."""
        answer, time_ms = read_result(stream, body, CandleList)
        with reading(stream, body):
            candles = readable(reversed(answer.list), partial(_candle, stream, receive_time_ns))
        running = stream.candle_number(time_ms * 1_000_000)
        closed = [each for each in candles if stream.candle_number(each.open_time_ns) < running]
        return History(closed, len(answer.list) - len(candles))


def _get(call: str, query: str) -> Request:
    return Request(f"{MARKET}/{call}?{query}" if query else f"{MARKET}/{call}")


def _query(stream: Stream) -> str:
    return f"category={category(stream.symbol)}&symbol={native_name(stream.symbol)}"


def _rows(listed: InstrumentList) -> list[InstrumentRow]:
    with reading("its instruments", b""):
        return readable(listed.list, partial(msgspec.json.decode, type=InstrumentRow))


def _judge_trade(stream: Stream, seen: Seen, body: bytes) -> Freshness:
    """Compare times, since ids have no order. A trade of the same millisecond is taken as ours."""
    answer, _ = read_result(stream, body, RecentList)
    if not answer.list:
        return Freshness(Finding.EMPTY)
    newest = answer.list[0]
    if not isinstance(seen.last, Trade):
        return _by_evidence(newest.execId, seen)
    with reading(stream, body):
        newest_ms, ours_ms = integer_of(newest.time, LATEST_MS), (seen.last.exchange_time_ns or 0) // 1_000_000
    if newest.execId == seen.last.trade_id or newest_ms == ours_ms:
        return Freshness(Finding.QUIET)
    if newest_ms < ours_ms:
        return Freshness(Finding.OLDER, detail=f"{newest_ms} ms before {ours_ms} ms")
    return Freshness(Finding.NEWER, detail=f"{newest_ms} ms after {ours_ms} ms")


def _by_evidence(evidence: str, seen: Seen) -> Freshness:
    """Judge a stream without data by the last answer."""
    if seen.answer is None:
        return Freshness(Finding.UNKNOWN, evidence=evidence)
    if seen.answer == evidence:
        return Freshness(Finding.QUIET, evidence=evidence)
    return Freshness(Finding.NEWER, evidence=evidence, detail=f"{evidence} after {seen.answer}")


def _judge_book(stream: Stream, seen: Seen, body: bytes) -> Freshness:
    """Compare the best levels, since REST numbers another topic."""
    answer, _ = read_result(stream, body, BookAnswer)
    if seen.book is None:
        return Freshness(Finding.UNKNOWN)
    time_ns = None if answer.cts is None else answer.cts * 1_000_000
    if time_ns is not None and seen.last is not None and time_ns < (seen.last.exchange_time_ns or 0):
        return Freshness(Finding.OLDER, detail="its book is older")
    with reading(stream, body):
        bids, asks = seen.book.best_bids(LEVELS_COMPARED), seen.book.best_asks(LEVELS_COMPARED)
        is_equal = _values(answer.b) == _values(bids) and _values(answer.a) == _values(asks)
    return Freshness(Finding.QUIET) if is_equal else Freshness(Finding.NEWER, detail="its best levels differ")


def _values(levels: Sequence[Level]) -> list[tuple[Decimal, Decimal]]:
    check_decimals(text for level in levels for text in (level.price, level.amount))
    return [(Decimal(level.price), Decimal(level.amount)) for level in levels]


def _judge_ticker(stream: Stream, seen: Seen, body: bytes) -> Freshness:
    """Compare last price and best prices, since REST tells no time."""
    answer, _ = read_result(stream, body, TickerList)
    if not answer.list:
        return Freshness(Finding.EMPTY)
    row, last = answer.list[0], seen.last
    if not isinstance(last, Ticker):
        return _by_evidence(f"{row.lastPrice} {row.bid1Price} {row.bid1Size} {row.ask1Price} {row.ask1Size}", seen)
    theirs = row.lastPrice, row.bid1Price, row.bid1Size, row.ask1Price, row.ask1Size
    ours = last.last, last.bid, last.bid_amount, last.ask, last.ask_amount
    with reading(stream, body):
        is_equal = [*map(_value, theirs)] == [*map(_value, ours)]
    return Freshness(Finding.QUIET) if is_equal else Freshness(Finding.NEWER, detail="its prices differ")


def _judge_state(stream: Stream, seen: Seen, body: bytes) -> Freshness:
    """Compare the values, since they have no time of their own."""
    answer, time_ms = read_result(stream, body, RowList)
    with reading(stream, body):
        return by_state(state_of(stream, answer.list[0], time_ms) if answer.list else None, seen)


def _value(text: str | None) -> Decimal | None:
    if not text:
        return None
    check_decimals((text,))
    return Decimal(text)


def _judge_candle(stream: Stream, seen: Seen, body: bytes) -> Freshness:
    answer, _ = read_result(stream, body, CandleList)
    with reading(stream, body):
        row = msgspec.json.decode(answer.list[0], type=CandleRow) if answer.list else None
        newest = None if row is None else integer_of(row.start, LATEST_MS)
    known = seen.last.open_time_ns // 1_000_000 if isinstance(seen.last, Candle) else seen.answer
    return by_number(newest, known)


def _sign(stream: Stream, row: TickerRow) -> Sign:
    """Return the sign of a stream's newest event: each trade changes the volumes of 24 hours."""
    top = Top(row.bid1Price, row.bid1Size, row.ask1Price, row.ask1Size)
    if stream.data_type is DataType.ORDERBOOK:
        return top
    traded = f"{row.lastPrice} {row.volume24h} {row.turnover24h}"
    if stream.data_type is DataType.TICKER:
        return f"{traded} {top.bid} {top.bid_amount} {top.ask} {top.ask_amount}"
    return traded


def _candle(stream: Stream, receive_time_ns: int, raw: msgspec.Raw) -> Candle:
    row = msgspec.json.decode(raw, type=CandleRow)
    open_ms = integer_of(row.start, LATEST_MS)
    check_decimals((row.open, row.high, row.low, row.close, row.volume, row.turnover))
    return Candle(
        NAME, stream.symbol, None, receive_time_ns, stream.interval, open_ms * 1_000_000, row.open, row.high, row.low,
        row.close, row.volume, row.turnover, None, closed=True, backfilled=True,
    )  # fmt: skip
