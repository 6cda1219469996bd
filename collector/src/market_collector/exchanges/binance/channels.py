"""Codec of Binance's market data connections: subscriptions, and the stream of each frame."""

import json
from collections.abc import Iterable, Sequence
from itertools import count

import msgspec

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.binance.pushes import reader_of
from market_collector.exchanges.binance.rows import is_perpetual, native_name
from market_collector.exchanges.interface import Ack, CloseNotice, Info, Message, Refusal, Unknown
from market_collector.exchanges.parts import in_parts
from market_collector.exchanges.readable import read_shared
from market_collector.model.streams import DataType, Stream

NAMES_PER_REQUEST = 200
"""The documentation has no limit; public clients send 200 at most."""
SHUTDOWN = "serverShutdown"
BUGS = frozenset({2, 3})
"""Codes of a request that will be refused again: it is invalid, or no JSON."""

read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Reply(msgspec.Struct, gc=False):
    """``{"result":null,"id":1}``, or ``{"code":2,"msg":"Invalid request: ...","id":1}``, often without an id."""

    id: int | None = None
    code: int | None = None
    msg: str = ""


class EventHead(msgspec.Struct, gc=False):
    """The type of an event."""

    e: str


read_reply = msgspec.json.Decoder(Reply).decode
read_name = msgspec.json.Decoder(str).decode
read_head = msgspec.json.Decoder(EventHead).decode


class BinanceCodec:
    """The frames of one combined connection."""

    def __init__(self, streams: Iterable[Stream], path: str = "/stream") -> None:
        self.path = path
        self._by_name: dict[str, list[Stream]] = {}
        for stream in streams:
            self._by_name.setdefault(channel(stream), []).append(stream)
        readers = {name: [(stream, reader_of(stream)) for stream in found] for name, found in self._by_name.items()}
        self._readers = {_beginning(name): found[0][1] for name, found in readers.items() if len(found) == 1}
        self._shared = {_beginning(name): found for name, found in readers.items() if len(found) > 1}
        """Readers of events that have data of several streams."""
        self._ids = count(1)
        self._asked: dict[int, tuple[Stream, ...]] = {}
        """Streams of the requests without an answer, the oldest first; none for an unsubscribe request."""

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the subscribe frames."""
        return [self._request("SUBSCRIBE", part, part) for part in in_parts(streams, NAMES_PER_REQUEST)]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the unsubscribe frames."""
        return [self._request("UNSUBSCRIBE", part, ()) for part in in_parts(streams, NAMES_PER_REQUEST)]

    def _request(self, method: str, streams: Sequence[Stream], asked: tuple[Stream, ...]) -> str:
        request_id = next(self._ids)
        self._asked[request_id] = asked
        names = list(dict.fromkeys(map(channel, streams)))
        return json.dumps({"method": method, "params": names, "id": request_id}, separators=(",", ":"))

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode data first, with the wire type that its first bytes select."""
        read_data = self._readers.get(frame[: frame.find(b",")])
        try:
            if read_data is not None:
                return (read_data(frame, receive_time_ns),)
            if (shared := self._shared.get(frame[: frame.find(b",")])) is not None:
                return read_shared(shared, frame, receive_time_ns, "Binance")
            return self._read_other(frame, receive_time_ns)
        except UNREADABLE as error:
            raise FrameError(f"Binance frame cannot be read: {error}", self._stream_of(frame)) from error

    def _stream_of(self, frame: bytes) -> Stream | None:
        """Return the only stream whose data the frame has, even if the frame is cut off."""
        try:
            if frame[: frame.find(b",")] in self._readers:
                return self._by_name[read_name(frame[len(_BEFORE_NAME) : frame.find(b",")])][0]
            streams = self._by_name[read_name(read_fields(frame)["stream"])]
        except (*UNREADABLE, KeyError):
            return None
        return streams[0] if len(streams) == 1 else None

    def _read_other(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode answers and notices, and data with an unusual order of keys or with blanks."""
        fields = read_fields(frame)
        if "stream" in fields:
            return self._read_named(read_name(fields["stream"]), fields, frame, receive_time_ns)
        if "e" in fields:
            return (_notice(read_head(frame).e),)
        if "result" in fields or "code" in fields:
            return (self._answer(read_reply(frame)),)
        raise FrameError(f"Binance sent an object with the keys {', '.join(fields) or '(none)'}: no answer, no event")

    def _read_named(
        self, name: str, fields: dict[str, msgspec.Raw], frame: bytes, receive_time_ns: int
    ) -> Sequence[Message]:
        if name.startswith("!"):
            return (_notice(read_head(fields["data"]).e),)
        if name not in self._by_name:
            raise FrameError(f"Binance sent {name[:60]}, which nobody asked for")
        if (shared := self._shared.get(_beginning(name))) is not None:
            return read_shared(shared, frame, receive_time_ns, "Binance")
        return (self._readers[_beginning(name)](frame, receive_time_ns),)

    def _answer(self, reply: Reply) -> Message:
        """An error may lack its id. Requests are sent one at a time, so it is about the oldest one."""
        oldest = next(iter(self._asked), None)
        asked = self._asked.pop(oldest if reply.id is None else reply.id, None) if oldest is not None else None
        if reply.code is not None:
            message = f"Binance error {reply.code}: {reply.msg}"
            return Refusal(asked or (), "ExchangeError", message, is_permanent=reply.code in BUGS)
        return Info() if asked is None else Ack(asked)


def _notice(kind: str) -> Message:
    """A notice of the connection. Binance announces that it will shut a server down, and may add others."""
    if kind == SHUTDOWN:
        return CloseNotice("the server shuts down")
    return Unknown(kind)


def channel(stream: Stream) -> str:
    """Binance's name of a stream, such as ``btcusdt@trade``."""
    name = native_name(stream.symbol).lower()
    match stream.data_type:
        case DataType.TRADE:
            return f"{name}@aggTrade" if is_perpetual(stream.symbol) else f"{name}@trade"
        case DataType.ORDERBOOK:
            return f"{name}@depth@100ms"
        case DataType.TICKER:
            return f"{name}@ticker"
        case DataType.CANDLE:
            return f"{name}@kline_{stream.interval}"
        case DataType.FUNDING | DataType.MARKPRICE:
            return f"{name}@markPrice@1s"  # one event has both
        case DataType.LIQUIDATION:
            return f"{name}@forceOrder"
    raise ValueError(f"Binance does not offer {stream}")


_BEFORE_NAME = b'{"stream":'


def _beginning(name: str) -> bytes:
    """The first bytes of a stream's events."""
    return _BEFORE_NAME + f'"{name}"'.encode()
