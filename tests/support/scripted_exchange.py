"""A small exchange in its own thread that executes a test's commands at once, for tests of connections.

It implements enough of OKX v5 for subscriptions: acknowledgements, trades with dense ids, books with sequences, tickers
and pongs. All clients get the same data. Tests of the data itself use the simulator. Its own event loop separates its
tasks and timers from those that a test counts.
"""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

T = TypeVar("T")
TICK_S = 0.01
TICKER = dict.fromkeys("last lastSz askPx askSz bidPx bidSz open24h high24h low24h volCcy24h vol24h".split(), "1")  # noqa: SIM905


@dataclass(eq=False)
class Client:
    """The exchange's side of one connection."""

    peer: ServerConnection
    args: list[dict[str, str]] = field(default_factory=list)
    books: set[str] = field(default_factory=set)
    """Instruments whose snapshot it has received."""


@dataclass
class ScriptedExchange:
    """The interface for tests, which can change settings at any time."""

    websocket: str = ""
    refuse: int | None = None
    """HTTP status for every handshake."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of a refusal."""
    greets: bool = True
    """Whether handshakes are answered. TCP connections always are."""
    answers: bool = True
    """Whether open connections get any messages (acknowledgements, pongs, data)."""
    serves: bool = True
    """Whether data follows an acknowledgement."""
    rejects: frozenset[str] = frozenset()
    """Channels that are refused with error 60018."""
    handshakes: list[float] = field(default_factory=list, repr=False)
    """Start of each handshake in seconds of the monotonic clock."""
    requests: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """All subscribe and unsubscribe requests."""
    clients: list[Client] = field(default_factory=list, repr=False)
    sequence: int = 100
    sequence_at: str = ""
    """Exchange time of the newest sequence, milliseconds."""
    _loop: asyncio.AbstractEventLoop | None = None

    # -- for the test's thread

    def tell(self, message: dict[str, Any], client: int | None = None) -> None:
        """Send a message to all clients, or to one (0 is the oldest)."""
        self._do(lambda: self._send_all(json.dumps(message), client))

    def send_close_notice(self, client: int | None = None) -> None:
        """Send notice 64008, with which OKX announces the end of connections."""
        self.tell({"event": "notice", "code": "64008", "msg": "upgrade", "connId": "a"}, client)

    def close(self, code: int = 1001, client: int | None = None) -> None:
        """Close connections with a close frame."""
        self._do(lambda: self._close(code, client))

    def cut(self, client: int | None = None) -> None:
        """Cut connections without a close frame."""

        async def cut() -> None:
            for each in self._chosen(client):
                each.peer.transport.abort()

        self._do(cut)

    def _do(self, work: Callable[[], Awaitable[T]]) -> T:
        async def call() -> T:
            return await work()

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    # -- in the exchange's own thread

    async def serve(self, ready: threading.Event, stop: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        async with serve(
            self._serve_client, "127.0.0.1", 0, process_request=self._greet, ping_interval=None, close_timeout=0.2
        ) as server:
            self.websocket = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            publishing = asyncio.create_task(self._publish())
            ready.set()
            await stop.wait()
            publishing.cancel()

    async def _greet(self, peer: ServerConnection, request: Request) -> Response | None:
        self.handshakes.append(time.monotonic())
        while not self.greets:
            await asyncio.sleep(TICK_S)
        if self.refuse is None:
            return None
        response = peer.respond(self.refuse, "no")
        for name, value in self.headers.items():
            response.headers[name] = value
        return response

    async def _serve_client(self, peer: ServerConnection) -> None:
        client = Client(peer)
        self.clients.append(client)
        try:
            async for text in peer:
                if self.answers:
                    await self._answer(client, str(text))
        except ConnectionClosed:
            pass
        finally:
            self.clients.remove(client)

    async def _answer(self, client: Client, text: str) -> None:
        if text == "ping":
            await client.peer.send("pong")
            return
        request = json.loads(text)
        self.requests.append(request)
        for arg in request["args"]:
            if arg["channel"] in self.rejects:
                await self._say(client, {"event": "error", "code": "60018", "msg": "no such channel", "arg": arg})
                continue
            await self._say(client, {"event": request["op"], "arg": arg, "connId": "a"})
            if request["op"] == "unsubscribe":
                client.args.remove(arg)
                client.books.discard(arg["instId"])
            else:
                client.args.append(arg)

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if not (self.serves and self.answers):
                continue
            self.sequence, self.sequence_at = self.sequence + 1, str(time.time_ns() // 1_000_000)
            for client in list(self.clients):
                for arg in list(client.args):
                    with suppress(ConnectionClosed):
                        await self._say(client, self._push(client, arg))

    def _push(self, client: Client, arg: dict[str, str]) -> dict[str, Any]:
        match arg["channel"]:
            case "books" if arg["instId"] not in client.books:
                client.books.add(arg["instId"])
                return {"arg": arg, "action": "snapshot", "data": [self._book(self.sequence, -1)]}
            case "books":
                return {"arg": arg, "action": "update", "data": [self._book(self.sequence, self.sequence - 1)]}
            case "candle1m":
                return {"arg": arg, "data": [["1786538760000", *"1111111", "0"]]}
            case "tickers":
                return {
                    "arg": arg,
                    "data": [{**TICKER, "instType": "SPOT", "instId": arg["instId"], "ts": self.sequence_at}],
                }
        row = {"instId": arg["instId"], "tradeId": str(self.sequence), "px": "1", "sz": "2", "side": "buy"}
        return {"arg": arg, "data": [{**row, "ts": self.sequence_at, "count": "1", "seqId": self.sequence}]}

    def _book(self, sequence: int, previous: int) -> dict[str, Any]:
        level = [["100", str(sequence), "0", "1"]]
        return {
            "asks": [],
            "bids": level,
            "ts": self.sequence_at,
            "checksum": 0,
            "seqId": sequence,
            "prevSeqId": previous,
        }

    async def _say(self, client: Client, message: dict[str, Any]) -> None:
        await client.peer.send(json.dumps(message, separators=(",", ":")))

    def _chosen(self, client: int | None) -> list[Client]:
        return list(self.clients) if client is None else self.clients[client : client + 1]

    async def _send_all(self, text: str, client: int | None) -> None:
        for each in self._chosen(client):
            with suppress(ConnectionClosed):
                await each.peer.send(text)

    async def _close(self, code: int, client: int | None) -> None:
        for each in self._chosen(client):
            await each.peer.close(code, "scripted")


@contextmanager
def scripted_exchange(**settings: Any) -> Iterator[ScriptedExchange]:
    """Runs one in a thread of its own, and ends it."""
    exchange = ScriptedExchange(**settings)
    ready, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(exchange.serve(ready, stop)), name="exchange")
    thread.start()
    try:
        assert ready.wait(10)
        yield exchange
    finally:
        exchange.greets = True
        assert exchange._loop is not None
        exchange._loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        assert not thread.is_alive()
