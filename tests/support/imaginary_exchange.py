"""An exchange with a small protocol of its own, whose facts and limits each test chooses.

A frame is one JSON object: ``{"op":"subscribe","id":1,"streams":["BTC-USDT/trade"]}`` of the client, and of the
exchange ``{"acknowledged":[...]}``, ``{"trade":"BTC-USDT","id":7}`` and so on, see `ImaginaryCodec.read`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Literal, cast

from market_collector.book.book import Book
from market_collector.book.rule import LINKED_BY_SEQUENCE, BookRule
from market_collector.errors import FrameError
from market_collector.exchanges.interface import (
    REST,
    WEBSOCKET,
    AccountUpdate,
    Ack,
    Batch,
    BookSnapshots,
    Closing,
    Heartbeat,
    Limits,
    Lost,
    Message,
    Polls,
    Pong,
    RecentTrades,
    RestApi,
    Route,
    Signer,
    Trading,
    Unknown,
    Window,
)
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.model.events import Balance, Orderbook, Trade
from market_collector.model.streams import ACCOUNT, DataType, Stream

NAME = "imaginary"


def batched(streams: Sequence[Stream], size: int) -> Iterable[Sequence[Stream]]:
    """The streams in parts of this size."""
    return (streams[at : at + size] for at in range(0, len(streams), size))


class ImaginaryCodec:
    """The codec of one connection: ``path`` is the route."""

    def __init__(self, route: str, streams: Iterable[Stream], streams_per_request: int) -> None:
        self._streams_per_request = streams_per_request
        self.path = f"/{route}"
        self._by_name = {str(stream): stream for stream in streams}
        self._ids = count(1)

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        return [self._request("subscribe", part) for part in batched(streams, self._streams_per_request)]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        return [self._request("unsubscribe", part) for part in batched(streams, self._streams_per_request)]

    def _request(self, verb: str, streams: Sequence[Stream]) -> str:
        return json.dumps({"op": verb, "id": next(self._ids), "streams": list(map(str, streams))})

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        match json.loads(frame):
            case {"acknowledged": names}:
                return [Ack(tuple(self._by_name[name] for name in names))]
            case {"trade": symbol, "id": number, **more}:
                name, time_ns, kind = str(number), cast(Any, more.get("at")), cast(Any, more.get("kind"))
                trade = Trade(NAME, symbol, time_ns, receive_time_ns, name, name, 1, "buy", "1", "2", kind=kind)
                return [Batch(self._by_name[f"{symbol}/trade"], [trade])]
            case {"lost": reason}:
                return [Lost(reason)]
            case {"halt": halt, "symbols": symbols}:
                return [Trading(symbols and frozenset(symbols), halt)]
            case {"new": kind}:
                return [Unknown(kind)]
            case {"book": symbol, "number": number, "previous": previous}:
                action: Literal["snapshot", "update"] = "snapshot" if previous is None else "update"
                book = Orderbook(NAME, symbol, None, receive_time_ns, action, [], [], number, previous)
                return [Batch(self._by_name[f"{symbol}/orderbook"], [book])]
            case {"balances": assets}:
                account = self._by_name[f"{ACCOUNT}/balance"]
                rows = [Balance(NAME, ACCOUNT, None, receive_time_ns, asset, "1", "1", "0") for asset in assets]
                return [AccountUpdate(account, rows, receive_time_ns, is_whole=True)]
            case {"pong": _}:
                return [Pong()]
        raise FrameError(f"{frame!r} is not in the protocol")


class ImaginaryExchange:
    """All facts are attributes; ``changes`` of the constructor replace those of the class."""

    name = NAME
    offers = frozenset(DataType)
    book_depths: tuple[int, ...] = (10,)
    books: BookRule = LINKED_BY_SEQUENCE
    book_snapshots: BookSnapshots | None = None
    polls: Polls | None = None
    candle_intervals: tuple[str, ...] = ("1m",)
    skips_empty_candles = False
    hosts: Mapping[str, str] = {WEBSOCKET: "wss://stream.imaginary.example", REST: "https://rest.imaginary.example"}
    routes: Mapping[str, Route] = {"all": Route(), "public": Route()}
    heartbeat = Heartbeat(ping='{"ping":{id}}', max_interval_s=25.0)
    limits = Limits(dial=Window(1000, 1.0))
    has_dense_trade_ids = True
    recent_trades: RecentTrades | None = None
    streams_per_request = 1000
    rest_api: RestApi = OkxRestApi()
    closings: Mapping[str, Closing] = {}
    """By the reason in the close frame; all have the code 1008."""

    def __init__(self, **changes: Any) -> None:
        vars(self).update(changes)

    def signer(self) -> Signer:
        raise AssertionError("no route needs a key")

    def route(self, stream: Stream) -> str:
        """The route of the data type's name, if there is one; otherwise the first."""
        return stream.data_type if stream.data_type in self.routes else next(iter(self.routes))

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None) -> ImaginaryCodec:
        return ImaginaryCodec(route, streams, self.streams_per_request)

    def closing(self, code: int, reason: str) -> Closing:
        return self.closings.get(reason, Closing.OTHER) if code == 1008 else Closing.OTHER

    def is_intact(self, book: Book, checksum: int) -> bool:
        return True


class GivenMessages:
    """A codec that passes on the messages of a test."""

    path = "/"

    def __init__(self) -> None:
        self.messages: Sequence[Message] = ()

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        return ["subscribe"]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        return ["unsubscribe"]

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        return self.messages
