"""One more exchange is one package: a small one collects, fills and proves its data like the others.

It is tests/support/small_exchange.py, added with one line in the registry. Nothing else in the collector knows it.
"""

import ast
import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

import small_exchange
from collector_settings import settings_of
from collector_thread import ListSink
from market_collector.app import Collector
from market_collector.exchanges import EXCHANGES
from market_collector.model.streams import DataType
from market_collector.verify.command import examine
from market_collector.verify.report import Books, RangeState
from rest_apis import Scripted, served

SYMBOL = "BTC-USDT"
KNOWN = ("market_collector.book", "market_collector.errors", "market_collector.exchanges", "market_collector.model")


def now_ms() -> int:
    return time.time_ns() // 10**6


class SmallServer:
    """The exchange's side. It never sends trades 21 to 24, nor the book's change 10, and closes its first connection."""

    def __init__(self) -> None:
        self.trades = [[1, now_ms(), "buy", "100.1", "1.5"]]
        self.book = 1
        self.connections = 0

    def answer(self, path: str) -> Scripted:
        match path.split("/")[1:]:
            case ["markets"]:
                found: Any = [SYMBOL]
            case ["time"]:
                found = now_ms()
            case ["newest", _, kind]:
                found = self.trades[-1][0] if kind == "trade" else self.book
            case ["trades", _, first, last]:
                found = self.trades[int(first) - 1 : int(last)]
        return 200, {}, json.dumps(found).encode()

    async def serve(self, peer: ServerConnection) -> None:
        self.connections += 1
        try:
            names = json.loads(await peer.recv())["join"]
            await self._tell(peer, joined=names)
            await self._tell_book(peer, is_whole=True)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stream(peer, is_first=self.connections == 1))
                tasks.create_task(self._rejoin(peer))
        except* ConnectionClosed:
            pass

    async def _rejoin(self, peer: ServerConnection) -> None:
        async for text in peer:
            match json.loads(text):
                case {"join": names}:
                    await self._tell(peer, joined=names)
                    await self._tell_book(peer, is_whole=True)
                case {"ping": number}:
                    await self._tell(peer, pong=number)

    async def _stream(self, peer: ServerConnection, *, is_first: bool) -> None:
        while True:
            await asyncio.sleep(0.01)
            number = len(self.trades) + 1
            self.trades.append([number, now_ms(), "sell", "100.2", "0.5"])
            self.book += 1
            if number not in range(21, 25):
                await self._tell(peer, trades=SYMBOL, rows=self.trades[-1:])
            if self.book != 10:
                await self._tell_book(peer, is_whole=False)
            if is_first and number == 60:
                self.trades += [[each, now_ms(), "buy", "100.3", "2"] for each in range(61, 75)]
                await peer.close(1012, "restart")

    async def _tell_book(self, peer: ServerConnection, *, is_whole: bool) -> None:
        bids = [["100.0", f"{self.book}.5"]]
        await self._tell(
            peer, book=SYMBOL, at=now_ms(), number=self.book, whole=is_whole, bids=bids, asks=[["100.4", "3"]]
        )

    async def _tell(self, peer: ServerConnection, **message: Any) -> None:
        await peer.send(json.dumps(message))


@asynccontextmanager
async def collecting(server: SmallServer, sink: ListSink) -> AsyncIterator[Collector]:
    with served(server.answer) as rest:
        async with serve(server.serve, "127.0.0.1", 0, close_timeout=0.2) as sockets:
            address = f"ws://127.0.0.1:{sockets.sockets[0].getsockname()[1]}"
            settings = settings_of(
                address, DataType.TRADE, DataType.ORDERBOOK, rest=rest, exchange=small_exchange.NAME, sinks=(),
                backoff_initial_s=0.05,
            )  # fmt: skip
            collector, stop = Collector(settings, None, [sink]), asyncio.Event()
            task = asyncio.create_task(collector.run(stop))
            try:
                yield collector
            finally:
                stop.set()
                await task


async def comes(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.05)


async def test_small_exchange_is_collected_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(EXCHANGES, small_exchange.NAME, small_exchange.SmallExchange())
    server, sink = SmallServer(), ListSink()
    async with collecting(server, sink) as collector:
        await comes(lambda: server.connections == 2 and len(server.trades) > 150)
        await comes(lambda: not collector.ledger.gaps.all_open() and collector.ledger.gaps.repaired >= 2)
    records = sink.output()
    numbers = [int(each["trade_id"]) for each in records if each["type"] == "trade"]
    assert sorted(numbers) == [*range(2, max(numbers) + 1)]
    assert {int(each["trade_id"]) for each in records if each.get("backfilled")} >= {*range(21, 25), *range(61, 75)}
    books = [each for each in records if each["type"] == "orderbook"]
    assert [each["action"] for each in books].count("snapshot") >= 3
    assert all(each["bids"] == [["100.0", f"{each['sequence']}.5"]] for each in books)
    (tmp_path / "small.jsonl").write_bytes(b"".join(sink.lines))
    report = examine([str(tmp_path / "small.jsonl")])
    book, trades = (each.reckoning for each in report.streams)
    assert report.troubles == []
    assert {each.state for each in trades.missing_ranges} == {RangeState.REPAIRED}
    assert [(each.reason, each.first) for each in book.missing_ranges if each.state is RangeState.LOST] == [
        ("SequenceGap", "9")
    ]
    assert book.books == Books(proved=len(books), unproved=0)


def test_small_exchange_is_one_short_module_that_knows_only_the_interface() -> None:
    source = Path(small_exchange.__file__).read_text()
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
    ours = {name for name in modules if name and name.startswith("market_")}
    assert all(name.startswith(KNOWN) for name in ours)
    lines = [line for line in source.splitlines() if line.strip()]
    assert len(lines) - sum((node.end_lineno or 0) - node.lineno + 1 for node in imports) <= 110
