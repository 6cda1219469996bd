"""OKX v5 over REST: requests, and readers for their answers. exchange.py names the sources."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import msgspec
from msgspec import structs

from market_collector.errors import UNREADABLE, FrameError, InstrumentRefusedError
from market_collector.excerpt import first_words
from market_collector.exchanges.decimals import ClockMilliseconds, Id, Milliseconds, check_decimals, product
from market_collector.exchanges.freshness import by_number, by_state
from market_collector.exchanges.http_status import HTTP_OK, excludes_region, problem_of_status
from market_collector.exchanges.interface import (
    Budget,
    Freshness,
    History,
    HistoryRange,
    ProblemKind,
    Request,
    RestProblem,
    Seen,
    Sign,
    Top,
)
from market_collector.exchanges.okx.derivatives import CHANNELS, STATES
from market_collector.exchanges.okx.events import refusal_reason
from market_collector.exchanges.okx.names import TYPES, canonical_name, instrument_type, native_name
from market_collector.exchanges.okx.rows import (
    BARS,
    NAME,
    CandleRow,
    TradeRow,
    candle_of,
    decode_row,
    trade_of,
)
from market_collector.exchanges.readable import readable
from market_collector.model.events import TRADING, Candle, Data, Instrument, Orderbook, State, Trade
from market_collector.model.streams import DataType, Stream
from market_spec.names import SPOT, Name

RECENT_CANDLES = 1440
PUBLIC, MARKET = "/api/v5/public", "/api/v5/market"
USUAL, QUICK = Budget(8.0), Budget(16.0)
"""OKX limits each path by itself. The quick ones allow 20 requests a second or more: trades, books and candles."""
BUDGETS = {
    f"{PUBLIC}/instruments": USUAL,
    f"{PUBLIC}/time": USUAL,
    f"{PUBLIC}/funding-rate": USUAL,
    f"{PUBLIC}/mark-price": USUAL,
    f"{PUBLIC}/open-interest": USUAL,
    f"{MARKET}/tickers": USUAL,
    f"{MARKET}/ticker": USUAL,
    f"{MARKET}/trades": QUICK,
    f"{MARKET}/books": QUICK,
    f"{MARKET}/candles": QUICK,
    f"{MARKET}/history-trades": USUAL,
    f"{MARKET}/history-candles": USUAL,
}
BUSY_PAUSE_S = 2.0
"""Pause after HTTP 429 without a ``Retry-After``: OKX counts requests in windows of this length."""
LONGEST_BUSY_PAUSE_S = 60.0
EXCLUDED_S = 600.0
"""Pause after an answer that excludes the country or region of this address."""

T = TypeVar("T")


class Reply(msgspec.Struct, gc=False):
    """Envelope of an answer. Most errors come with HTTP 200, so ``code`` decides."""

    code: str
    msg: str = ""
    data: list[msgspec.Raw] = []


class TradeMark(msgspec.Struct, gc=False):
    """The field of a trade that `OkxRestApi.newest_mark` reads."""

    tradeId: Id


class BookMark(msgspec.Struct, gc=False):
    """The field of a book that `OkxRestApi.newest_mark` reads."""

    seqId: Id


class TickerMark(msgspec.Struct, gc=False):
    """The fields of a ticker that show activity. Each may be "" on an instrument without trading."""

    instId: str
    last: str = ""
    lastSz: str = ""
    bidPx: str = ""
    bidSz: str = ""
    askPx: str = ""
    askSz: str = ""
    vol24h: str = ""
    volCcy24h: str = ""
    ts: Milliseconds | None = None


class InstrumentName(msgspec.Struct, gc=False, kw_only=True):
    """The name of an instrument, and the asset that settles it: "" for spot instruments."""

    instId: str
    settleCcy: str = ""

    @property
    def name(self) -> Name | None:
        """The canonical name; None for an option."""
        return canonical_name(self.instId, self.settleCcy)


class InstrumentRow(InstrumentName, gc=False, kw_only=True):
    """``{"instId":"BTC-USDT","instType":"SPOT","state":"live",...}``; other states are suspend, preopen, test, ..."""

    state: str


class InstrumentDetails(InstrumentRow, gc=False, kw_only=True):
    """``{...,"baseCcy":"BTC","quoteCcy":"USDT","tickSz":"0.1","lotSz":"0.00000001","minSz":"0.00001",...}`` [rec].

    Contracts have "" as base and quote. ``"ctVal":"0.01","ctMult":"1","ctValCcy":"BTC","expTime":""`` are theirs [rec].
    """

    tickSz: str | None = None
    lotSz: str | None = None
    minSz: str | None = None
    ctVal: str | None = None
    ctMult: str | None = None
    ctValCcy: str | None = None
    listTime: Milliseconds | None = None
    expTime: Milliseconds | None = None


STATUSES = {"live": TRADING, "suspend": "halted", "rebase": "halted", "preopen": "pre_launch"}
"""Our words for OKX's states; others are published as they are. All but live may be an auction (section 6, step 7)."""


class TimeMark(msgspec.Struct, gc=False):
    """The time of a ticker."""

    ts: Milliseconds


class ClockMark(msgspec.Struct, gc=False):
    """The exchange's time."""

    ts: ClockMilliseconds


read_reply = msgspec.json.Decoder(Reply).decode


class OkxRestApi:
    """OKX's REST requests with their rate limits, and readers for the answers."""

    budgets: Mapping[str, Budget] = BUDGETS
    history_page = 100

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
        """Judge HTTP errors. Errors with HTTP 200 are left to the readers: none of them asks for a pause."""
        if status == HTTP_OK:
            return None
        if excludes_region(status, body):
            return RestProblem(ProblemKind.REGION, EXCLUDED_S)
        try:
            reply = read_reply(body)
        except UNREADABLE:
            return problem_of_status(status, headers, BUSY_PAUSE_S, LONGEST_BUSY_PAUSE_S)
        if refusal_reason(reply.code, reply.msg):
            return RestProblem(ProblemKind.NO_SYMBOL)
        return problem_of_status(status, headers, BUSY_PAUSE_S, LONGEST_BUSY_PAUSE_S)

    def used_share(self, bucket: str, headers: Mapping[str, str]) -> float:
        """OKX reports none."""
        return 0.0

    def instruments(self, kind: str) -> Request:
        """Request all instruments of one kind. Limit: 20 requests per 2 s and IP address."""
        return _get(f"{PUBLIC}/instruments", f"instType={TYPES[kind]}")

    def halted(self, body: bytes) -> Mapping[str, str]:
        """Return the states that are not live: suspend, preopen, test, rebase, post_only."""
        rows = [row for row in _instruments(body) if row.state != "live"]
        return {str(name): row.state for row in rows if (name := row.name)}

    def read_instruments(self, symbols: Set[str] | None, body: bytes, receive_time_ns: int) -> list[Instrument]:
        """Return a record for each listed symbol. Only spot instruments have amounts in base currency."""
        with _reading("its instruments", body):
            rows = _rows("its instruments", body)
            if symbols is not None:
                names = frozenset(map(native_name, symbols))
                rows = [row for row in rows if decode_row(row, InstrumentName).instId in names]
            found = readable(rows, partial(_instrument_of, receive_time_ns))
        return [each for each in found if each is not None and (symbols is None or each.symbol in symbols)]

    def more_instruments(self, body: bytes) -> None:
        """One answer lists all."""

    def unlisted(self, symbols: Set[str], body: bytes) -> Set[str]:
        """Return the symbols that the answer lacks. A request for one symbol is refused if it is not listed.

        An answer without any row says nothing about the symbols.
        """
        with _reading("its instruments", body):
            reply = read_reply(body)
            if reply.code != "0":
                is_refused = len(symbols) == 1 and refusal_reason(reply.code, reply.msg) == "SymbolNotFound"
                return symbols if is_refused else frozenset()
            listed = {decode_row(row, InstrumentName).instId for row in reply.data}
        return {each for each in symbols if native_name(each) not in listed} if listed else frozenset()

    def time(self) -> Request:
        """Request the time. Limit: 10 requests per 2 s and IP address."""
        return _get(f"{PUBLIC}/time")

    def read_time(self, body: bytes) -> int:
        """Read ``{"code":"0","msg":"","data":[{"ts":"1597026383085"}]}``, in milliseconds."""
        with _reading("its time", body):
            row = _first("its time", body, ClockMark)
            if row is None:
                raise ValueError("no data")
            return row.ts * 1_000_000

    def newest(self, stream: Stream) -> Request:
        """Request the newest event.

        Limits per 2 s and IP address: trades 100, books and candles 40, ticker 20. Funding rates and mark prices have
        10 per instrument, and open interest 20.
        """
        instrument = f"instId={native_name(stream.symbol)}"
        match stream.data_type:
            case DataType.TRADE:
                return _get(f"{MARKET}/trades", f"{instrument}&limit=1")
            case DataType.ORDERBOOK:
                return _get(f"{MARKET}/books", f"{instrument}&sz=1")
            case DataType.TICKER:
                return _get(f"{MARKET}/ticker", instrument)
            case DataType.CANDLE:
                return _get(f"{MARKET}/candles", f"{instrument}&bar={BARS[stream.interval]}&limit=1")
            case kind if kind in CHANNELS:
                of_type = f"instType={instrument_type(stream.symbol)}&{instrument}"
                return _get(f"{PUBLIC}/{CHANNELS[kind]}", of_type)
        raise ValueError(f"OKX does not offer {stream}")

    def judge(self, stream: Stream, seen: Seen, body: bytes) -> Freshness:
        """Compare the newest mark or state with that of the last record, or of the last answer."""
        if stream.data_type in STATES:
            return by_state(self._newest_state(stream, body), seen)
        return by_number(self.newest_mark(stream, body), seen.answer if seen.last is None else self.mark(seen.last))

    def _newest_state(self, stream: Stream, body: bytes) -> State | None:
        with _reading(stream, body):
            rows = _rows(stream, body)
            return STATES[stream.data_type](stream.symbol, rows[0], 0)[-1] if rows else None

    def newest_mark(self, stream: Stream, body: bytes) -> int | None:
        """Read the first row, since REST lists the newest first. An instrument that never traded has none."""
        with _reading(stream, body):
            match stream.data_type:
                case DataType.TRADE:
                    return row.tradeId if (row := _first(stream, body, TradeMark)) else None
                case DataType.ORDERBOOK:
                    return book.seqId if (book := _first(stream, body, BookMark)) else None
                case DataType.CANDLE:
                    return candle.ts if (candle := _first(stream, body, CandleRow)) else None
            return ticker.ts if (ticker := _first(stream, body, TimeMark)) else None

    def overview(self, kind: str) -> Request:
        """Request all tickers of one kind. Limit: 20 requests per 2 s and IP address."""
        return _get(f"{MARKET}/tickers", f"instType={TYPES[kind]}")

    def read_overview(self, streams: Iterable[Stream], body: bytes) -> Mapping[Stream, Sign]:
        """Read one row per instrument; one that is not listed has none."""
        with _reading("all tickers", body):
            rows = readable(_rows("all tickers", body), lambda row: decode_row(row, TickerMark))
            by_name = {row.instId: row for row in rows if row.ts is not None}
            named = ((stream, native_name(stream.symbol)) for stream in streams)
            return {stream: _sign(stream, by_name[name]) for stream, name in named if name in by_name}

    def mark(self, record: Data) -> int:
        """Return the trade id, book sequence, or exchange time in milliseconds."""
        match record:
            case Trade():
                return int(record.trade_id)
            case Orderbook():
                return record.sequence or 0
            case Candle():
                return record.open_time_ns // 1_000_000
        return (record.exchange_time_ns or 0) // 1_000_000

    def state(self, stream: Stream) -> Request:
        """Request the instrument's state. Limit: 20 requests per 2 s, IP address and instrument type."""
        query = f"instType={instrument_type(stream.symbol)}&instId={native_name(stream.symbol)}"
        return _get(f"{PUBLIC}/instruments", query)

    def history(self, stream: Stream, missing: HistoryRange) -> Request:
        """Request the page that ends with the range, which OKX answers newest first (sections 7 and 8).

        ``after`` means older than, for ids and for times. Trades reach back three months, candles years. The last
        1,440 candles have a path of their own.
        """
        instrument, last = f"instId={native_name(stream.symbol)}", missing.last
        if stream.data_type is DataType.TRADE:
            page = f"type=1&after={last + 1}&limit={self.history_page}"
            return _get(f"{MARKET}/history-trades", f"{instrument}&{page}")
        page = f"after={stream.candle_open_ns(last + 1) // 1_000_000}&limit={self.history_page}"
        which = "candles" if missing.newest - last + self.history_page < RECENT_CANDLES else "history-candles"
        return _get(f"{MARKET}/{which}", f"{instrument}&bar={BARS[stream.interval]}&{page}")

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        """Read single fills, which have no sequence here, or closed candles."""
        with _reading(stream, body):
            rows = _rows(stream, body)
            records = readable(reversed(rows), partial(_record_of, stream, receive_time_ns))
        closed = [structs.replace(each, backfilled=True) for each in records if isinstance(each, Trade) or each.closed]
        return History(closed, len(rows) - len(records), (self._covers_from(stream, len(rows), records), None))

    def _covers_from(self, stream: Stream, rows: int, records: Sequence[Trade | Candle]) -> int | None:
        """Return the number from which the page is complete: only a full page leaves out older records."""
        return None if rows < self.history_page else min(_number_of(stream, each) for each in records)


def _get(path: str, query: str = "") -> Request:
    return Request(f"{path}?{query}" if query else path, bucket=path)


def _instruments(body: bytes) -> list[InstrumentRow]:
    with _reading("its instruments", body):
        return readable(_rows("its instruments", body), lambda row: decode_row(row, InstrumentRow))


def _instrument_of(receive_time_ns: int, row: msgspec.Raw) -> Instrument | None:
    """Make a record; None for an instrument without a canonical name.

    Trade ids are dense, and OKX numbers trades and books together (sections 6 and 7).
    """
    details = decode_row(row, InstrumentDetails)
    if (name := details.name) is None:
        return None
    increments = details.tickSz or None, details.lotSz or None, details.minSz or None
    size, unit = _contract(name, details)
    check_decimals((*increments, size))
    return Instrument(
        NAME, str(name), None, receive_time_ns,
        valid_from_ns=receive_time_ns,
        native_symbol=details.instId,
        kind=name.kind,
        base=name.base,
        quote=name.quote,
        amount_unit="base" if name.kind == SPOT else "contract",
        price_increment=increments[0],
        amount_increment=increments[1],
        min_amount=increments[2],
        min_notional=None,
        status=STATUSES.get(details.state, details.state),
        listed_time_ns=_nanoseconds(details.listTime),
        trade_ids="dense",
        sequence_scope="exchange",
        trades_share_sequence=True,
        trade_kinds=["rpi"],
        settlement=name.settlement or None,
        contract_size=size,
        contract_unit=unit,
        expiry_time_ns=_nanoseconds(details.expTime) if name.expiry else None,
    )  # fmt: skip


def _contract(name: Name, details: InstrumentDetails) -> tuple[str | None, str | None]:
    """The size of a contract, which is ``ctVal`` times ``ctMult``, and its unit: base or quote."""
    if name.kind == SPOT or not details.ctVal:
        return None, None
    multiplier = details.ctMult or "1"
    check_decimals((details.ctVal, multiplier))
    return product(details.ctVal, multiplier), "quote" if details.ctValCcy == name.quote else "base"


def _nanoseconds(time_ms: int | None) -> int | None:
    return None if time_ms is None else time_ms * 1_000_000


def _sign(stream: Stream, row: TickerMark) -> Sign:
    """Read the sign of a stream's newest event from its instrument's ticker.

    Each trade changes the volumes of the last 24 hours, and each trade and change of the best prices changes ``ts``.
    """
    match stream.data_type:
        case DataType.TICKER:
            return row.ts or 0
        case DataType.ORDERBOOK if row.bidPx or row.askPx:
            return Top(row.bidPx, row.bidSz, row.askPx, row.askSz)
        case DataType.TRADE | DataType.CANDLE if row.vol24h:
            return f"{row.last} {row.lastSz} {row.vol24h} {row.volCcy24h}"
    return str(row.ts)


@contextmanager
def _reading(what: Stream | str, body: bytes) -> Iterator[None]:
    """Turn a decoding error into a FrameError that names the request and shows the answer.

    It has the stream if only the stream's data cannot be read.
    """
    try:
        yield
    except UNREADABLE as error:
        cause = str(error) if body.lstrip().startswith(b"{") else "it is not a JSON object"
        stream = what if isinstance(what, Stream) and _is_reply(body) else None
        raise FrameError(f"OKX's answer for {what} cannot be read: {cause}: {first_words(body)}", stream) from error


def _is_reply(body: bytes) -> bool:
    try:
        read_reply(body)
    except UNREADABLE:
        return False
    return True


def _rows(what: Stream | str, body: bytes) -> list[msgspec.Raw]:
    reply = read_reply(body)
    if reply.code == "0":
        return reply.data
    message = f"OKX error {reply.code}: {reply.msg} (REST, {what})"
    if isinstance(what, Stream) and (reason := refusal_reason(reply.code, reply.msg)):
        raise InstrumentRefusedError(reason, message)
    raise FrameError(message)


def _record_of(stream: Stream, receive_time_ns: int, row: msgspec.Raw) -> Trade | Candle:
    if stream.data_type is DataType.TRADE:
        return trade_of(stream.symbol, decode_row(row, TradeRow), receive_time_ns)
    return candle_of(stream, decode_row(row, CandleRow), receive_time_ns)


def _number_of(stream: Stream, record: Trade | Candle) -> int:
    return int(record.trade_id) if isinstance(record, Trade) else stream.candle_number(record.open_time_ns)


def _first(what: Stream | str, body: bytes, kind: type[T]) -> T | None:
    """Return the first row of an answer, which is the newest; None if there is none."""
    rows = _rows(what, body)
    return decode_row(rows[0], kind) if rows else None
