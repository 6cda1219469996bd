"""The server of `imaginary_exchange`, which counts what it gets and refuses what is above its limits."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from collector_settings import settings_of
from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record
from market_collector.model.streams import DataType, Stream
from market_collector.net.clock import read_clock
from market_collector.net.deadlines import DEADLINES, Deadlines
from market_collector.net.supervisor import Supervisor


@dataclass(eq=False)
class Client:
    """The exchange's side of one connection."""

    peer: ServerConnection
    path: str
    opened_at: float
    """Seconds of the loop's clock."""
    ended_at: float = inf
    frames: list[tuple[float, str]] = field(default_factory=list)
    """Arrival in seconds of the loop's clock, and text."""
    streams: set[str] = field(default_factory=set)
    is_waiting: bool = False
    """Whether a request is not answered yet."""


@dataclass
class ImaginaryServer:
    """All connections so far, in the order of their handshakes."""

    websocket: str = ""
    clients: list[Client] = field(default_factory=list, repr=False)
    streams_per_connection: int = 1000
    """A connection with more is closed."""
    frames_per_s: int = 1000
    """A connection that sends more is closed."""
    answers_after_s: float | None = None
    """If set, requests are answered so late, and a request before the last one's answer closes the connection."""
    refused: list[str] = field(default_factory=list)
    """Why connections were closed."""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    @property
    def paths(self) -> list[str]:
        return [client.path for client in self.clients]

    async def _serve(self, peer: ServerConnection) -> None:
        assert peer.request is not None
        client = Client(peer, peer.request.path, asyncio.get_running_loop().time())
        self.clients.append(client)
        try:
            async for text in peer:
                now = asyncio.get_running_loop().time()
                client.frames.append((now, str(text)))
                if sum(at > now - 1.0 for at, _ in client.frames) > self.frames_per_s:
                    await self._refuse(client, 1008, "too many requests")
                await self._answer_in_time(client, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            client.ended_at = asyncio.get_running_loop().time()

    async def _answer_in_time(self, client: Client, frame: dict[str, Any]) -> None:
        if self.answers_after_s is None:
            await self._answer(client, frame)
        elif client.is_waiting:
            await self._refuse(client, 1008, "a request before the answer to the last one")
        else:
            client.is_waiting = True
            asyncio.get_running_loop().call_later(
                self.answers_after_s, lambda: self._tasks.add(asyncio.create_task(self._answer(client, frame)))
            )

    async def _answer(self, client: Client, frame: dict[str, Any]) -> None:
        client.is_waiting = False
        match frame:
            case {"op": "subscribe", "streams": names}:
                client.streams |= set(names)
                if len(client.streams) > self.streams_per_connection:
                    await self._refuse(client, 1008, "too many streams")
                await self.tell(client, {"acknowledged": names})
                for number, name in enumerate(names, 1):
                    await self.tell(client, {"trade": name.partition("/")[0], "id": number})
            case {"op": "unsubscribe", "streams": names}:
                client.streams -= set(names)
                await self.tell(client, {"acknowledged": []})

    async def _refuse(self, client: Client, code: int, reason: str) -> None:
        self.refused.append(reason)
        await client.peer.close(code, reason)

    async def tell(self, client: Client, message: dict[str, Any]) -> None:
        await client.peer.send(json.dumps(message))


@asynccontextmanager
async def imaginary_server(pings_every_s: float | None = None, **limits: Any) -> AsyncIterator[ImaginaryServer]:
    """Serves on a port of its own in the test's event loop. ``pings_every_s``: ping frames of RFC 6455."""
    one = ImaginaryServer(**limits)
    async with serve(one._serve, "127.0.0.1", 0, ping_interval=pings_every_s, close_timeout=0.2) as server:
        one.websocket = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


@dataclass
class Collection:
    """A running supervisor and the records that it emitted."""

    supervisor: Supervisor
    ledger: Ledger
    records: list[Record]

    async def comes(self, is_so: Callable[[], Any], within_s: float = 30.0) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():
                await asyncio.sleep(0.005)

    async def is_complete(self) -> None:
        await self.comes(lambda: all(link.feed and link.feed.is_complete for link in self.supervisor.links))


@asynccontextmanager
async def collection(
    exchange: ImaginaryExchange,
    *streams: Stream,
    websocket: str = "",
    deadlines: Deadlines = DEADLINES,
    **changes: Any,
) -> AsyncIterator[Collection]:
    """Collects the streams from the exchange's hosts, or from ``websocket`` instead of them all."""
    settings = settings_of(websocket, DataType.TRADE, **{"backoff_initial_s": 0.02, "backoff_max_s": 0.1} | changes)
    ledger = Ledger(NAME, streams, settings.stale_after_s, read_clock())
    records: list[Record] = []
    supervisor = Supervisor(
        settings,
        exchange,
        ledger,
        emit=records.extend,
        clock=read_clock,
        chance=random.Random(7),
        deadlines=deadlines,
    )
    await supervisor.start()
    try:
        yield Collection(supervisor, ledger, records)
    finally:
        await supervisor.stop()


def trades(*symbols: str) -> list[Stream]:
    """The trade streams of these symbols."""
    return [Stream(symbol, DataType.TRADE) for symbol in symbols]
