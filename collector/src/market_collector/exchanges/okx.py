"""OKX v5: what its addresses, frames and numbers mean.

Source of every protocol fact: OKX's v5 documentation of 2026-07-28 and recordings of 2022-05-13 and 2026-09-26, as
collected in the project's reference (ARCHITECTURE.md, "Exchanges"). "[rec]" marks what a recording confirms.

An example of each push stands at its wire type. okx_rows.py holds the rows that pushes and REST have in common,
okx_questions.py what is asked over REST.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import count
from typing import Literal

import msgspec
from msgspec import structs

from market_collector.book.book import Book
from market_collector.book.checksum import interleaved_crc32
from market_collector.errors import FrameError
from market_collector.exchanges.interface import (
    Ack,
    Batch,
    Conversation,
    Credentials,
    Goodbye,
    Heartbeat,
    Info,
    Message,
    Pong,
    Questions,
    Refusal,
)
from market_collector.exchanges.okx_questions import OkxQuestions
from market_collector.exchanges.okx_rows import (
    BARS,
    NAME,
    UNREADABLE,
    BookRow,
    CandleRow,
    TickerRow,
    TradeRow,
    candle_of,
    check_numbers,
    ticker_of,
    trade_of,
)
from market_collector.model.events import Orderbook
from market_collector.model.streams import DataType, Stream

PUBLIC, BUSINESS, PRIVATE = "public", "business", "private"
ARGS_PER_REQUEST = 300
"""One request may be 64 KB; an argument is below 100 bytes, and a refused request is split."""

REFUSALS = {
    "60018": "SymbolNotFound",
    "60008": "ChannelNotOffered",
    "64001": "ChannelNotOffered",
    "64002": "ChannelNotOffered",
    "64003": "PermissionDenied",
}
"""Error codes that no retry heals. All others (60014 too frequent, 64007 internal, ...) may pass."""


class Arg(msgspec.Struct, frozen=True, gc=False):
    """Which channel of which instrument: ``{"channel":"trades-all","instId":"BTC-USDT"}``."""

    channel: str
    instId: str = ""  # absent in channels that we never ask for


class TradePush(msgspec.Struct, gc=False):
    """``{"arg":{...},"data":[TradeRow, ...]}``; ``arg`` is not read again, since by it the reader was found."""

    data: list[TradeRow]


class BookPush(msgspec.Struct, gc=False):
    """``{"arg":{...},"action":"snapshot","data":[BookRow]}``"""

    action: Literal["snapshot", "update"]
    data: list[BookRow]


class TickerPush(msgspec.Struct, gc=False):
    """``{"arg":{...},"data":[TickerRow]}``"""

    data: list[TickerRow]


class CandlePush(msgspec.Struct, gc=False):
    """``{"arg":{...},"data":[CandleRow, ...]}``, on the business connection."""

    data: list[CandleRow]


class Event(msgspec.Struct, gc=False):
    """``{"id":"1","event":"subscribe","arg":{...},"connId":"a4d3ae55"}``; errors may lack ``arg``."""

    event: str
    id: str = ""
    arg: Arg | None = None
    code: str = ""
    msg: str = ""


NUMERIC = b'0123456789.-,:"[]{}'
"""All that a frame of data has besides the names of its fields, the instrument, and words such as buy."""
FORMS_KEPT = 8
"""Of one stream."""

read_trade_push = msgspec.json.Decoder(TradePush).decode
read_book_push = msgspec.json.Decoder(BookPush).decode
read_ticker_push = msgspec.json.Decoder(TickerPush).decode
read_candle_push = msgspec.json.Decoder(CandlePush).decode
read_event = msgspec.json.Decoder(Event).decode
read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
read_arg = msgspec.json.Decoder(Arg).decode


class Okx:
    """Facts about OKX. Regional and demo hosts differ: ``spec.connection.endpoint`` replaces the addresses."""

    name = NAME
    offers = frozenset({DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE, DataType.BALANCE})
    book_depths: tuple[int, ...] = (400,)
    candle_intervals: tuple[str, ...] = tuple(BARS)
    websocket = "wss://ws.okx.com:8443"
    rest = "https://openapi.okx.com"
    heartbeat = Heartbeat(ping="ping", max_interval_s=25.0)  # closed after 30 s of silence, code 4004
    connections_per_second = 3.0
    slow_reader_code: int | None = 4005  # "output buffer full"
    has_dense_trade_ids = True
    questions: Questions = OkxQuestions()
    key_refused_codes = frozenset({4001, 4007})  # login failed; API key changed or deleted

    def route(self, stream: Stream) -> str:
        """Single fills and candles live on the business path, the rest on the public one; else error 64001 comes."""
        if stream.data_type is DataType.BALANCE:
            return PRIVATE
        return BUSINESS if stream.data_type in (DataType.TRADE, DataType.CANDLE) else PUBLIC

    def needs_login(self, route: str) -> bool:
        """The path of what belongs to an account."""
        return route == PRIVATE

    def login(self, credentials: Credentials, time_ns: int) -> str:
        """Section 4."""
        from market_collector.exchanges import okx_account  # here and below: only who collects balances pays for it

        return okx_account.login(credentials, time_ns)

    def talk(self, route: str, streams: Sequence[Stream]) -> Conversation:
        """A conversation for a new connection."""
        if route == PRIVATE:
            from market_collector.exchanges import okx_account

            return okx_account.OkxAccount(streams)
        return OkxConversation(route, streams)

    def is_intact(self, book: Book, checksum: int) -> bool:
        """Checks what was sent before 2026-06-23; verified on all 197 book messages of the 2022 recording [rec]."""
        return interleaved_crc32(book) == checksum


class OkxConversation:
    """The talk on one OKX connection."""

    def __init__(self, route: str, streams: Iterable[Stream]) -> None:
        self.path = f"/ws/v5/{route}"
        self._by_arg = {(name, stream.symbol): stream for stream in streams for name in _names(stream)}
        self._readers = {_beginning(*arg): _reader(stream) for arg, stream in self._by_arg.items()}
        self._ids = count(1)
        self._asked: dict[str, tuple[Stream, ...]] = {}

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """An error event may lack ``arg``, so each request has an id that tells what it was about."""
        return [self._request("subscribe", part) for part in _parts(streams)]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """The same with another verb."""
        return [self._request("unsubscribe", part) for part in _parts(streams)]

    def _request(self, verb: str, streams: tuple[Stream, ...]) -> str:
        request_id = str(next(self._ids))
        if verb == "subscribe":
            self._asked[request_id] = streams
        args = [{"channel": channel(stream), "instId": stream.symbol} for stream in streams]
        return json.dumps({"id": request_id, "op": verb, "args": args}, separators=(",", ":"))

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Data first, by the type of its stream, which its first bytes tell: 2.6 us, one type for all takes 3.3."""
        read_data = self._readers.get(frame[: frame.find(b"}")])
        try:
            if read_data is not None:
                return (read_data(frame, receive_time_ns),)
            if frame == b"pong":  # text, not JSON
                return (Pong(),)
            return (self._read_other(frame, receive_time_ns),)
        except UNREADABLE as error:
            raise FrameError(f"OKX frame cannot be read: {error}") from error

    def _read_other(self, frame: bytes, receive_time_ns: int) -> Message:
        """Events; and data whose keys come in another order than they ever did."""
        fields = read_fields(frame)
        if "event" in fields:
            return self._event(read_event(frame))
        if "arg" in fields:
            arg = read_arg(fields["arg"])
            self._stream(arg)
            return self._readers[_beginning(arg.channel, arg.instId)](frame, receive_time_ns)
        raise FrameError(f"OKX sent an object with the keys {', '.join(fields) or '(none)'}: neither event nor data")

    def _stream(self, arg: Arg) -> Stream:
        stream = self._by_arg.get((arg.channel, arg.instId))
        if stream is None:
            raise FrameError(f"OKX sent {arg.channel} of {arg.instId or 'no instrument'}, which nobody asked for")
        return stream

    def _event(self, event: Event) -> Message:
        match event.event:
            case "subscribe" if event.arg is not None:
                return Ack(self._stream(event.arg))
            case "error":
                return self._refusal(event)
            case "notice" if event.code == "64008":
                return Goodbye(event.msg)
            case "unsubscribe" | "notice" | "channel-conn-count":
                return Info()
        raise FrameError(f"OKX sent the event {event.event!r}, which is not in its documentation")

    def _refusal(self, event: Event) -> Refusal:
        streams = (self._stream(event.arg),) if event.arg is not None else self._asked.get(event.id, ())
        reason = REFUSALS.get(event.code, "ExchangeError")
        return Refusal(streams, reason, f"OKX error {event.code}: {event.msg}", event.code in REFUSALS)


def channel(stream: Stream) -> str:
    """OKX's channel of a stream.

    Trades come from ``trades-all``, fill by fill, as REST's history has them: `trades` merges fills, so its rows could
    not be told from those of a repair (ARCHITECTURE.md, decision 22).
    """
    match stream.data_type:
        case DataType.TRADE:
            return "trades-all"
        case DataType.ORDERBOOK:
            return "books"  # 400 levels, 100 ms; the deeper and faster ones need a fee tier
        case DataType.TICKER:
            return "tickers"
        case DataType.CANDLE:
            return f"candle{BARS[stream.interval]}"
    raise ValueError(f"OKX does not offer {stream}")


def _names(stream: Stream) -> tuple[str, ...]:
    """The channels that a stream's data may come from: recordings of other clients have the merged trades."""
    return ("trades-all", "trades") if stream.data_type is DataType.TRADE else (channel(stream),)


def _parts(streams: Sequence[Stream]) -> Iterable[tuple[Stream, ...]]:
    return (tuple(streams[at : at + ARGS_PER_REQUEST]) for at in range(0, len(streams), ARGS_PER_REQUEST))


def _beginning(channel: str, instrument: str) -> bytes:
    """The first bytes of a stream's pushes, up to the end of ``arg``."""
    return f'{{"arg":{{"channel":"{channel}","instId":"{instrument}"'.encode()


# -- from rows to records: one function a data type, bound to its stream

Reader = Callable[[bytes, int], Batch]


def _reader(stream: Stream) -> Reader:
    match stream.data_type:
        case DataType.TRADE:
            return partial(_trades, stream, stream.symbol, set())
        case DataType.ORDERBOOK:
            return partial(_books, stream, stream.symbol, set())
        case DataType.TICKER:
            return partial(_tickers, stream, stream.symbol, set())
        case DataType.CANDLE:
            return partial(_candles, stream)
    raise ValueError(f"OKX does not offer {stream}")


def _trades(stream: Stream, symbol: str, forms: set[bytes], frame: bytes, receive_time_ns: int) -> Batch:
    """``forms``: frames without their numbers that were looked at before. Nothing else proves that a price is one since
    books have no checksum any more; `float` of each of a book's 33 levels would cost more than reading it, this costs
    0.5 us."""
    push = read_trade_push(frame)
    if (form := frame.translate(None, NUMERIC)) not in forms:
        check_numbers(text for row in push.data for text in (row.px, row.sz))
        _keep(form, forms)
    return Batch(stream, [trade_of(symbol, row, receive_time_ns) for row in push.data])


def _books(stream: Stream, symbol: str, forms: set[bytes], frame: bytes, receive_time_ns: int) -> Batch:
    push = read_book_push(frame)
    if (form := frame.translate(None, NUMERIC)) not in forms:
        check_numbers(text for row in push.data for level in (*row.bids, *row.asks) for text in structs.astuple(level))
        _keep(form, forms)
    records = []
    for row in push.data:
        records.append(  # noqa: PERF401 - a comprehension takes 0.2 us more before Python 3.12
            Orderbook(
                NAME, symbol, int(row.ts) * 1_000_000, receive_time_ns, push.action, row.bids, row.asks, row.seqId,
                None if push.action == "snapshot" else row.prevSeqId, row.checksum or None,
            )
        )  # fmt: skip
    return Batch(stream, records)


def _keep(form: bytes, forms: set[bytes]) -> None:
    if len(forms) < FORMS_KEPT:
        forms.add(form)


def _tickers(stream: Stream, symbol: str, forms: set[bytes], frame: bytes, receive_time_ns: int) -> Batch:
    push = read_ticker_push(frame)
    if (form := frame.translate(None, NUMERIC)) not in forms:
        check_numbers(text for row in push.data for text in structs.astuple(row) if text)
        _keep(form, forms)
    return Batch(stream, [ticker_of(symbol, row, receive_time_ns) for row in push.data])


def _candles(stream: Stream, frame: bytes, receive_time_ns: int) -> Batch:
    return Batch(stream, [candle_of(stream, row, receive_time_ns) for row in read_candle_push(frame).data])
