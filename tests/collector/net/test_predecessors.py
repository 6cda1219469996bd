"""The task that asks other pods for their streams. A pod that answers nonsense costs only its own answer."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from market_collector.containment import Containment
from market_collector.feed.checkpoint_state import LinePosition, Positions, StreamPosition, Written, resume
from market_collector.feed.handover import CONTRACT, Handover, RunningPod, Takeover
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record, Trade
from market_collector.model.streams import DataType, Stream
from market_collector.net import predecessors
from market_collector.net.clock import read_clock
from market_collector.net.predecessors import HandoverFile, Predecessors

TRADES, CANDLES = Stream("BTC-USDT", DataType.TRADE), Stream("BTC-USDT", DataType.CANDLE, "1m")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predecessors, "POLL_S", 0.02)
    monkeypatch.setattr(predecessors, "GONE_S", 0.2)


@asynccontextmanager
async def pod(body: bytes) -> AsyncIterator[str]:
    """A pod that answers each request with the body; yields its address."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


class Successor:
    """A pod that takes over trades and candles from pods at the given addresses, and has delivered trade 9."""

    def __init__(self, folder: Path, **addresses: str) -> None:
        known: dict[str, StreamPosition | None] = {str(TRADES): StreamPosition(LinePosition(5, 5))}
        running = {uid: RunningPod(address, known) for uid, address in addresses.items()}
        self.ledger = Ledger("okx", [TRADES, CANDLES], 60.0, read_clock())
        self.takeover = Takeover(self.ledger, Handover(CONTRACT, {}, running), "me")
        saved, _ = self.takeover.inherit(Positions({}, [], [], {}), Written({}, {}, {}, ()), read_clock())
        resume(self.ledger, saved, Written({}, {}, {}, ()), read_clock())
        trade = Trade("okx", "BTC-USDT", 9, 9, "9", "9", 1, "buy", "1", "1")
        self.ledger.ids.take_trades(self.ledger.ids.streams[TRADES], [trade], read_clock())
        self.records: list[Record] = []
        self.task = Predecessors(
            self.takeover,
            HandoverFile(folder / "handover.json"),
            {str(TRADES), str(CANDLES)},
            self._emit,
            lambda: True,
            read_clock,
            Containment(self.ledger.complaints, read_clock),
        )

    def _emit(self, records: Sequence[Record], sink: str | None) -> None:
        self.records += records


def status(uid: str, positions: Any) -> bytes:
    return json.dumps({"epoch": f"{uid}/1", "streams": [{"stream": str(TRADES)}], "positions": positions}).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b"\xff",
        status("other", {}),
        status("bad", {str(TRADES): {"line": {"last": "5"}}}),
    ],
    ids=["deep", "no JSON", "another pod", "a position of another type"],
)
async def test_pod_that_answers_nonsense_counts_as_gone(tmp_path: Path, body: bytes) -> None:
    good = status("good", {str(TRADES): {"line": {"last": 8, "time_ns": 8}}})
    async with pod(body) as bad_address, pod(good) as good_address, asyncio.timeout(20):
        successor = Successor(tmp_path, bad=bad_address, good=good_address)
        task = asyncio.create_task(successor.task.run())
        while set(successor.takeover.predecessors) != {"good"}:
            await asyncio.sleep(0.01)
        assert not task.done()
        assert successor.takeover.is_covered
        task.cancel()
    assert successor.ledger.complaints.internal_errors == 0


async def test_internal_error_about_one_pod_does_not_end_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    on_report = Takeover.on_report

    def mistaken(self: Takeover, uid: str, *more: Any) -> Any:
        if uid == "bad":
            raise OverflowError("int too large")
        return on_report(self, uid, *more)

    monkeypatch.setattr(Takeover, "on_report", mistaken)
    good = status("good", {str(TRADES): {"line": {"last": 8, "time_ns": 8}}})
    async with pod(status("bad", {})) as bad_address, pod(good) as good_address, asyncio.timeout(20):
        successor = Successor(tmp_path, bad=bad_address, good=good_address)
        task = asyncio.create_task(successor.task.run())
        while set(successor.takeover.predecessors) != {"good"} or not successor.takeover.is_covered:
            await asyncio.sleep(0.01)
        task.cancel()
    assert successor.ledger.complaints.internal_errors > 0
    assert "predecessor bad: internal error: OverflowError" in caplog.text


async def test_internal_error_of_a_round_does_not_end_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mistakes = [OverflowError("int too large"), RecursionError("deep")]
    on_gone = Takeover.on_gone

    def mistaken(self: Takeover, *arguments: Any) -> Any:
        if mistakes:
            raise mistakes.pop()
        return on_gone(self, *arguments)

    monkeypatch.setattr(Takeover, "on_gone", mistaken)
    monkeypatch.setattr(predecessors, "SETTLE_S", 0.0)
    async with pod(b"") as address, asyncio.timeout(20):
        successor = Successor(tmp_path, old=address)
        await successor.task.run()
    assert successor.takeover.predecessors == {}
    assert successor.ledger.complaints.internal_errors == 2
    assert "handover: internal error: RecursionError('deep')" in caplog.text


async def test_positions_of_another_pod_are_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The address may belong to a pod of somebody else by now, whose answer must not fill the memory."""
    caplog.set_level("INFO")
    async with pod(status("other", "no positions")) as address, asyncio.timeout(20):
        successor = Successor(tmp_path, old=address)
        task = asyncio.create_task(successor.task.run())
        while successor.takeover.predecessors:
            await asyncio.sleep(0.01)
        task.cancel()
    assert "belongs to another pod now" in caplog.text
