"""Sinks that block for a while: the status shows it, every drop is reported, and trades are backfilled."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import document, program, stored
from collector_thread import ListSink, collector_thread, settings_for
from fault_cases import CUT, LOSE
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120), pytest.mark.xdist_group("sinks")]


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator("--market", "17", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now") as running:
        yield running


class StoppableSink(ListSink):
    """A sink that blocks while it is stopped."""

    is_stopped = False

    async def write(self, batch: Sequence[bytes]) -> bool:
        while self.is_stopped:
            await asyncio.sleep(0.02)
        return await super().write(batch)


def test_full_queue_reports_drops_and_backfills_trades(exchange: Simulator) -> None:
    """It blocks twice, the second time with gaps of the exchange. A second sink is not affected."""
    slow, other = StoppableSink("slow"), ListSink("other")
    with collector_thread(settings_for(exchange), slow, other, queue_limit=1_500) as collector:
        for calls in ((), (LOSE, CUT)):
            collector.is_served()
            slow.is_stopped = True
            for fault, body in calls:
                exchange.post(f"/faults/{fault}", body)
            collector.comes(lambda status: "behind" in of_sink(status, "slow")["error"])
            dropped = of_sink(collector.status(), "slow")["dropped"]
            collector.comes(lambda status: of_sink(status, "slow")["dropped"] > dropped + 300)  # noqa: B023
            assert not of_sink(collector.status(), "slow")["healthy"]
            assert of_sink(collector.status(), "other")["healthy"]
            slow.is_stopped = False
            collector.comes(lambda status: of_sink(status, "slow")["healthy"])
        status = collector.stop()
    outputs = {sink.name: sink.output() for sink in (slow, other)}
    for output in outputs.values():
        evidence.check(output, Truth(exchange))
        assert not evidence.lost_numbers(output, "/trade")
    notes = evidence.of_type(outputs["slow"], "dropped")
    assert (
        sum(note["count"] for note in notes)
        == of_sink(status, "slow")["dropped"]
        == status["counters"]["droppedRecords"]
    )
    assert {gap["reason"] for gap in evidence.of_type(outputs["slow"], "gap")} >= {"Dropped"}
    assert not evidence.of_type(outputs["other"], "dropped")


def of_sink(status: Any, name: str) -> Any:
    (sink,) = [sink for sink in status["sinks"] if sink["name"] == name]
    return sink


@contextmanager
def small_volume(place: Path) -> Iterator[Path]:
    """A file system with two megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_full_disk_is_reported_and_loses_nothing_once_there_is_room(exchange: Simulator, tmp_path: Path) -> None:
    with small_volume(tmp_path / "volume") as volume:
        file = {"directory": str(volume / "data"), "fsyncInterval": "100ms"}
        wanted = document(
            exchange, dataTypes=["trade", "orderbook"], sinks=[{"name": "archive", "type": "file", "file": file}]
        )
        with program(tmp_path, wanted, "--state-dir", str(tmp_path / "state")) as collector:
            collector.comes(collector.is_ready)
            time.sleep(1)
            filler = fill(volume)
            collector.comes(lambda: "make room" in collector.status()["sinks"][0]["error"])
            assert collector.get("/readyz")[0] == 503
            time.sleep(1)
            assert collector.status()["health"] == "Degraded"
            filler.unlink()
            collector.comes(collector.is_ready)
            assert collector.stop() == 0
        records = stored(volume / "data")
    evidence.check_trades(records, Truth(exchange))
    evidence.check_books(records, Truth(exchange))
    assert not evidence.of_type(records, "dropped")
    assert not evidence.of_type(records, "gap")


def fill(volume: Path) -> Path:
    """Fill the volume."""
    filler = volume / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4_096)):
            pass
    return filler


def test_disconnected_reader_is_reported_and_loses_no_record(exchange: Simulator, tmp_path: Path) -> None:
    pipe = tmp_path / "records.jsonl"
    os.mkfifo(pipe)
    with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as reader:  # noqa: SIM117 - it goes before the program
        with program(tmp_path, document(exchange, dataTypes=["trade"])) as collector:
            collector.comes(lambda: reader.read(1_000_000))
            reader.close()
            collector.comes(lambda: "its reader has gone" in collector.status()["sinks"][0]["error"])
            assert collector.get("/readyz")[0] == 503
            collector.comes(lambda: collector.status()["sinks"][0]["queued"] > 300)
            with open(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), "rb") as again:
                text = b""
                collector.comes(lambda: collector.is_ready() or not again.read(1_000_000))
                while len(text.splitlines()) < 500:
                    text += again.read(1_000_000) or b""
                    time.sleep(0.02)
                status = collector.status()
            collector.process.kill()  # it would wait for its reader once more
    trades = [json.loads(line) for line in text.splitlines()[1:-1]]
    ids = [int(trade["trade_id"]) for trade in trades if trade["type"] == "trade"]
    assert ids == list(range(ids[0], ids[-1] + 1))
    assert status["counters"]["droppedRecords"] == 0
