"""Binance over REST: requests, and readers for their answers. exchange.py names the sources."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

import msgspec

from market_collector.errors import UNREADABLE, FrameError, InstrumentRefusedError
from market_collector.excerpt import first_words
from market_collector.exchanges.binance.errors import REFUSALS, problem_of, read_problem
from market_collector.exchanges.binance.markets import BUDGETS, MARKETS, SPOT, WEIGHTS_PER_MINUTE, Call, market_of
from market_collector.exchanges.binance.rows import (
    NAME,
    CandleRow,
    candle_of,
    checked_levels,
    is_zero,
    native_name,
)
from market_collector.exchanges.decimals import ClockMilliseconds, Id, Milliseconds, check_decimals
from market_collector.exchanges.freshness import by_number, by_state
from market_collector.exchanges.interface import (
    Budget,
    Evidence,
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
from market_collector.model.events import Candle, Data, Instrument, Level, Orderbook, Trade
from market_collector.model.streams import LARGEST_ID, OF_DERIVATIVES, DataType, Stream
from market_spec import names

TRADING = "TRADING"

T = TypeVar("T")


PERPETUALS = frozenset({"PERPETUAL", "TRADIFI_PERPETUAL", "PERPETUAL_DELIVERING"})
"""Types of contracts without an expiry: of crypto assets, of stocks and metals, and those about to be delisted."""


class InstrumentName(msgspec.Struct, gc=False):
    """The assets of an instrument, see `InstrumentRow`."""

    baseAsset: str
    quoteAsset: str
    contractType: str = ""
    marginAsset: str = ""

    @property
    def name(self) -> names.Name | None:
        """The name; None for dated futures and other contracts."""
        match self.contractType:
            case "":
                return names.Name(self.baseAsset, self.quoteAsset)
            case kind if kind in PERPETUALS:
                return names.Name.contract(self.baseAsset, self.quoteAsset, settlement=self.marginAsset)
        return None

    @property
    def canonical(self) -> str:
        """The name as a string; empty if there is none."""
        return str(self.name or "")


class InstrumentRow(InstrumentName, kw_only=True, gc=False):
    """``{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[...],...}`` [rec].

    Other states are HALT, BREAK, END_OF_DAY and CANCEL_ONLY. A delisted instrument stays listed as BREAK. Contracts
    have ``"contractType":"PERPETUAL","marginAsset":"USDT","onboardDate":1569398400000`` [rec] and further states.
    """

    symbol: str
    status: str
    filters: list[dict[str, Any]] = []
    onboardDate: Milliseconds | None = None


STATUSES = {
    TRADING: "trading",
    "HALT": "halted",
    "BREAK": "halted",
    "END_OF_DAY": "halted",
    "CANCEL_ONLY": "cancel_only",
    "PENDING_TRADING": "pre_launch",
    "SETTLING": "halted",
    "CLOSE": "delisted",
}
"""Our words for Binance's states; others are published as they are."""


class InstrumentList(msgspec.Struct, gc=False):
    """``{"timezone":"UTC","serverTime":1633998511098,"rateLimits":[...],"symbols":[InstrumentRow, ...]}`` [rec]."""

    symbols: list[msgspec.Raw]


class ClockMark(msgspec.Struct, gc=False):
    """``{"serverTime":1499827319559}``."""

    serverTime: ClockMilliseconds


class BookAnswer(msgspec.Struct, gc=False):
    """``{"lastUpdateId":1801494,"bids":[["76745.18000000","8.75160000"],...],"asks":[...]}`` [rec]."""

    lastUpdateId: Id
    bids: list[Level]
    asks: list[Level]
    T: Milliseconds | None = None
    """Time of a perpetual's book."""


class CandleMark(msgspec.Struct, array_like=True, gc=False):
    """The open time of a candle."""

    open_ms: Milliseconds


class TickerMark(msgspec.Struct, gc=False):
    """The fields of a ticker that show activity; ``lastId`` is -1 without a trade in 24 hours.

    ``{"symbol":"BNBBTC","bidPrice":"4.00000000","bidQty":"1.00000000","askPrice":"4.00000200",
    "askQty":"100.00000000","lastId":28460,...}``
    """

    symbol: str
    lastId: Annotated[int, msgspec.Meta(ge=-1, le=LARGEST_ID)]
    bidPrice: str = ""
    bidQty: str = ""
    askPrice: str = ""
    askQty: str = ""


class BinanceRestApi:
    """Binance's REST requests with their weights, and readers for the answers."""

    budgets: Mapping[str, Budget] = BUDGETS
    history_page = 1000

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
        """Judge HTTP errors by their status and code (docs/exchanges/binance.md, section 8)."""
        return problem_of(status, headers, body)

    def used_share(self, bucket: str, headers: Mapping[str, str]) -> float:
        """Return the share of the weight of this minute that all clients of the address have used."""
        used = headers.get("x-mbx-used-weight-1m", "")
        return int(used) / WEIGHTS_PER_MINUTE[bucket] if used.isdecimal() else 0.0

    def instruments(self, kind: str) -> Request:
        """Request all instruments, also those that do not trade: their state is wanted too."""
        return MARKETS[kind].request(MARKETS[kind].instruments)

    def halted(self, body: bytes) -> Mapping[str, str]:
        """Return the states other than TRADING."""
        return {row.canonical: row.status for row in _instruments(body) if row.status != TRADING and row.name}

    def read_instruments(self, symbols: Set[str] | None, body: bytes, receive_time_ns: int) -> Sequence[Instrument]:
        """Return a record for each listed symbol."""
        with reading("its instruments", body):
            is_wanted = names.is_canonical if symbols is None else symbols.__contains__
            rows = [row for row in _instruments(body) if is_wanted(row.canonical)]
            return readable(rows, partial(_instrument_of, receive_time_ns))

    def more_instruments(self, body: bytes) -> None:
        """One answer lists all."""

    def unlisted(self, symbols: Set[str], body: bytes) -> Set[str]:
        """Return the symbols that the answer lacks. An answer without any row says nothing about them."""
        with reading("its instruments", body):
            listed = {_name(row).canonical for row in decoded("its instruments", body, InstrumentList).symbols}
        return symbols - listed if listed else frozenset()

    def time(self) -> Request:
        """Request the time."""
        return SPOT.request(Call("time", 1))

    def read_time(self, body: bytes) -> int:
        """Read ``{"serverTime":1499827319559}``, in milliseconds."""
        return _read("its time", body, ClockMark).serverTime * 1_000_000

    def newest(self, stream: Stream) -> Request:
        """Request the newest event."""
        market = market_of(stream)
        if stream.data_type not in market.newest:
            raise ValueError(f"Binance does not offer {stream}")
        return market.request(market.newest[stream.data_type], stream)

    def judge(self, stream: Stream, seen: Seen, body: bytes) -> Freshness:
        """Compare the newest number with that of the last record, or of the last answer; of states the values."""
        if stream.data_type in OF_DERIVATIVES:
            return _judge_state(stream, seen, body)
        return by_number(_newest_mark(stream, body), _known_mark(stream, seen, self))

    def overview(self, kind: str) -> Request:
        """Request all tickers."""
        return MARKETS[kind].request(MARKETS[kind].overview)

    def read_overview(self, streams: Iterable[Stream], body: bytes) -> Mapping[Stream, Sign]:
        """Read one row per instrument; one that is not listed has none. Those of perpetuals tell nothing of books."""
        with reading("all tickers", body):
            rows = decoded("all tickers", body, list[msgspec.Raw])
            marks = {row.symbol: row for row in readable(rows, partial(msgspec.json.decode, type=TickerMark))}
        covered = (
            each
            for each in streams
            if each.data_type is not DataType.ORDERBOOK or market_of(each).tickers_have_best_prices
        )
        named = ((stream, native_name(stream.symbol)) for stream in covered)
        return {stream: _sign(stream, marks[name]) for stream, name in named if name in marks}

    def mark(self, record: Data) -> int:
        """Return the trade id, update id, or open time in milliseconds. Tickers are judged by evidence."""
        match record:
            case Trade():
                return int(record.trade_id)
            case Orderbook():
                return record.sequence or 0
            case Candle():
                return record.open_time_ns // 1_000_000
        return (record.exchange_time_ns or 0) // 1_000_000

    def state(self, stream: Stream) -> Request:
        """Request the instrument's state; of perpetuals there is only the whole list."""
        market = market_of(stream)
        return market.request(market.state, stream)

    def history(self, stream: Stream, missing: HistoryRange) -> Request:
        """Request the page that starts with the range, ascending; all of history is there (section 7).

        Candles start with the one before, and end with the one after: a candle is closed if there is a later one.
        """
        market, size = market_of(stream), missing.last - missing.first + 1
        if stream.data_type is DataType.TRADE:
            return market.request(market.trades, stream, first=missing.first, size=min(size, self.history_page))
        start_ms = stream.candle_open_ns(missing.first - 1) // 1_000_000
        return market.request(market.candles, stream, start_ms=start_ms, size=min(size + 2, self.history_page))

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        """Read fills, or closed candles. The page is complete up to its last row, which may be an open candle."""
        with reading(stream, body):
            rows = decoded(stream, body, list[msgspec.Raw])
            if stream.data_type is DataType.TRADE:
                trades = readable(rows, partial(market_of(stream).past_trade, stream.symbol, receive_time_ns))
                return History(trades, len(rows) - len(trades), (None, int(trades[-1].trade_id) if trades else None))
            candles = readable(rows, partial(_candle, stream, receive_time_ns))
        end = stream.candle_number(candles[-1].open_time_ns) - 1 if candles else None
        return History(candles[:-1], len(rows) - len(candles), (None, end))


class BinanceSnapshots:
    """Snapshots of books."""

    def request(self, stream: Stream, depth: int | None) -> Request:
        """Request at least twice the wanted levels, as far as Binance has them."""
        market = market_of(stream)
        return market.request(market.books[_levels(stream, depth)], stream)

    def read(self, stream: Stream, depth: int | None, body: bytes, receive_time_ns: int) -> Orderbook:
        """Read a snapshot, which has no time on spot."""
        with reading(stream, body):
            answer = decoded(stream, body, BookAnswer)
            bids, asks = checked_levels(answer.bids), checked_levels(answer.asks)
        time_ns = None if answer.T is None else answer.T * 1_000_000
        return Orderbook(
            NAME, stream.symbol, time_ns, receive_time_ns, "snapshot", bids, asks, answer.lastUpdateId, None, None,
            "exchange", _levels(stream, depth),
        )  # fmt: skip


DEPTHS = (500, 20, 50, 100, 1000)
"""Levels on each side that are kept for certain, the default one first."""


def _levels(stream: Stream, depth: int | None) -> int:
    """Return the levels that a snapshot is requested with: twice as many as are wanted, as far as there are."""
    books = market_of(stream).books
    return next((levels for levels in books if levels >= 2 * (depth or DEPTHS[0])), max(books))


def _known_mark(stream: Stream, seen: Seen, api: BinanceRestApi) -> Evidence | None:
    if stream.data_type is DataType.TICKER:
        return seen.answer if seen.evidence is None else seen.evidence
    return seen.answer if seen.last is None else api.mark(seen.last)


def _newest_mark(stream: Stream, body: bytes) -> int | None:
    """Return the number of the newest event; None for an instrument without any."""
    match stream.data_type:
        case DataType.ORDERBOOK:
            return _read(stream, body, BookAnswer).lastUpdateId
        case DataType.TICKER:
            last_id = _read(stream, body, TickerMark).lastId
            return last_id if last_id >= 0 else None
        case DataType.CANDLE:
            candles = _read(stream, body, list[CandleMark])
            return candles[-1].open_ms if candles else None
    trades = _read(stream, body, market_of(stream).trade_marks)
    return trades[-1].id if trades else None


def _judge_state(stream: Stream, seen: Seen, body: bytes) -> Freshness:
    from market_collector.exchanges.binance.derivatives import PremiumRow, state_of  # loaded only for them

    row = _read(stream, body, PremiumRow)
    with reading(stream, body):
        return by_state(state_of(stream, row), seen)


def _sign(stream: Stream, row: TickerMark) -> Sign:
    """Read the sign of a stream's newest event. Candles change with each trade."""
    bid, ask = _best(row.bidPrice, row.bidQty), _best(row.askPrice, row.askQty)
    match stream.data_type:
        case DataType.TRADE if row.lastId >= 0 and market_of(stream).tickers_have_trade_ids:
            return row.lastId
        case DataType.ORDERBOOK:
            return Top(*bid, *ask)
        case DataType.TICKER:
            return " ".join((str(row.lastId), *bid, *ask))
    return str(row.lastId)


def _best(price: str, amount: str) -> tuple[str, str]:
    return ("", "") if is_zero(price) else (price, amount)


def _instruments(body: bytes) -> list[InstrumentRow]:
    with reading("its instruments", body):
        rows = decoded("its instruments", body, InstrumentList).symbols
        return readable(rows, partial(msgspec.json.decode, type=InstrumentRow))


def _name(row: msgspec.Raw) -> InstrumentName:
    return msgspec.json.decode(row, type=InstrumentName)


def _instrument_of(receive_time_ns: int, row: InstrumentRow) -> Instrument:
    """Make a record. Raises ValueError."""
    filters = {each.get("filterType"): each for each in row.filters}
    price, lot = filters.get("PRICE_FILTER", {}), filters.get("LOT_SIZE", {})
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", {}))
    steps = (
        price.get("tickSize"),
        lot.get("stepSize"),
        lot.get("minQty"),
        notional.get("minNotional", notional.get("notional")),
    )
    check_decimals(steps)
    assert row.name is not None  # only instruments with a name are wanted
    return Instrument(
        NAME, row.canonical, None, receive_time_ns,
        valid_from_ns=receive_time_ns,
        native_symbol=row.symbol,
        kind=row.name.kind,
        base=row.baseAsset,
        quote=row.quoteAsset,
        amount_unit="base",
        price_increment=steps[0],
        amount_increment=steps[1],
        min_amount=steps[2],
        min_notional=steps[3],
        status=STATUSES.get(row.status, row.status),
        listed_time_ns=None if row.onboardDate is None else row.onboardDate * 1_000_000,
        trade_ids="dense",
        sequence_scope="exchange",
        trades_share_sequence=False,
        trade_kinds=[],
        settlement=row.name.settlement or None,
    )  # fmt: skip


def _candle(stream: Stream, receive_time_ns: int, row: msgspec.Raw) -> Candle:
    return candle_of(stream, msgspec.json.decode(row, type=CandleRow), receive_time_ns)


def _read(what: Stream | str, body: bytes, kind: type[T]) -> T:
    with reading(what, body):
        return decoded(what, body, kind)


def decoded(what: Stream | str, body: bytes, kind: type[T]) -> T:
    """Decode an answer. One with an error raises `InstrumentRefusedError` or `FrameError`."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError:
        _raise_problem(what, body)
        raise


def _raise_problem(what: Stream | str, body: bytes) -> None:
    try:
        problem = read_problem(body)
    except msgspec.MsgspecError:
        return
    message = f"Binance error {problem.code}: {problem.msg} (REST, {what})"
    if problem.code in REFUSALS and isinstance(what, Stream):
        raise InstrumentRefusedError(REFUSALS[problem.code], message)
    raise FrameError(message)


@contextmanager
def reading(what: Stream | str, body: bytes) -> Iterator[None]:
    """Turn a decoding error into a FrameError that names the request and shows the answer.

    It has the stream if only the stream's data cannot be read.
    """
    try:
        yield
    except UNREADABLE as error:
        stream = what if isinstance(what, Stream) and _is_json(body) else None
        raise FrameError(f"Binance's answer for {what} cannot be read: {error}: {first_words(body)}", stream) from error


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
