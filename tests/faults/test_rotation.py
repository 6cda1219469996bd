"""Files that are rotated under faults: each can be used by itself."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

import evidence
from collector_program import stored, verified
from collector_thread import collector_thread, settings_for
from exchange_words import ALL_WORDS
from fault_cases import BOOKS, CUT, LOSE, Call, gap_of_trades
from market_collector.config.settings import FileSinkSettings, Settings
from market_collector.feed import published_book
from market_collector.model.events import REPEATED
from market_collector.reading import read, replay
from market_collector.verify.command import NOTHING
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
DATA = {"trade", "orderbook", "ticker", "candle"}
ROTATE_S = 1.0
FAULTS: list[Call] = [LOSE, CUT, ("lose", BOOKS | {"count": 1}), ("notice", {"seconds": 1})]
RESET: Call = ("sequence-reset", {"symbol": "BTC-USDT"})


@pytest.fixture(params=ALL_WORDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    market = ("--market", "23", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now")
    with simulator(*market, exchange=request.param) as running:
        yield running


def settings_of(exchange: Simulator, directory: Path) -> Settings:
    sink = FileSinkSettings("archive", directory, 1 << 30, ROTATE_S, "none", 0.1)
    return replace(settings_for(exchange), sinks=(sink,), snapshot_interval_s=0.5)


def by_file(directory: Path) -> dict[str, list[Any]]:
    """The records of each file. The last line of one that is being written may be a part of a record."""
    return {
        path.name: [
            msgspec.json.decode(line) for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")
        ]
        for path in sorted(directory.glob("*.jsonl"))
    }


def test_each_single_file_proves_its_books(
    exchange: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs, so that a file continues the output of an earlier process as well."""
    monkeypatch.setattr(published_book, "UPDATES_PER_LEVEL", 0)
    directory = tmp_path / "data"
    for _ in range(2):
        settings = settings_of(exchange, directory)
        with collector_thread(settings, state_dir=tmp_path / "state") as collector:
            for fault, body in [*FAULTS, *[RESET] * exchange.words.has_restarts]:
                collector.is_served()
                time.sleep(0.3)
                exchange.post(f"/faults/{fault}", body)
                time.sleep(0.7)
            exchange.clear_faults()
            collector.is_served()
            collector.stop()
        assert (collector.left, collector.complaints) == ([], [])
    files = by_file(directory)
    assert len(files) > 8
    evidence.check(stored(directory), Truth(exchange))
    evidence.check_verdict(verified(directory))
    for number, (name, records) in enumerate(files.items()):
        single = tmp_path / str(number)
        single.mkdir()
        shutil.copy(directory / name, single)
        check_single(records, verified(single))
    check_headers(list(files.items()), exchange.words.name)


def test_file_repeats_the_gaps_that_are_open_at_its_start(exchange: Simulator, tmp_path: Path) -> None:
    directory = tmp_path / "data"
    with collector_thread(settings_of(exchange, directory)) as collector:
        collector.is_served()
        exchange.post("/faults/rest", {"path": exchange.words.trade_history, "status": 500, "seconds": 60})
        fault, body = gap_of_trades(exchange.words)
        exchange.post(f"/faults/{fault}", body)
        collector.comes(lambda status: status["counters"]["gapsDetected"])
        before = len(by_file(directory))
        collector.comes(lambda status: len(by_file(directory)) > before + 2)
        exchange.clear_faults()
        collector.is_served()
        collector.stop()
    evidence.check(stored(directory), Truth(exchange))
    evidence.check_verdict(verified(directory))
    assert len(list(read(directory, "gap").records())) == 1
    is_open = has_book = False
    repeats = 0
    for number, (name, records) in enumerate(by_file(directory).items()):
        head = [record["type"] for record in records[:3]]
        types = {record["type"] for record in records}
        # A file that starts when the connection has ended has no data.
        expected = ["gap"] if is_open else ["orderbook"] if has_book and types & DATA else head[2:]
        assert head == ["header", "instrument", *expected] or not number
        repeats += is_open
        has_book = has_book or "orderbook" in types
        is_open = ("gap" in types or is_open) and not types & {"repaired", "lost"}
        single = tmp_path / str(number)
        single.mkdir()
        shutil.copy(directory / name, single)
        check_single(records, verified(single))
    assert repeats > 1


def check_single(records: list[Any], document: Any) -> None:
    books = [record for record in records if record["type"] == "orderbook"]
    is_empty = not {record["type"] for record in records} & DATA
    reasons = [each["reason"] for each in document["unreadable"]]
    assert not reasons or (is_empty and reasons == [NOTHING]), reasons
    for stream in document["streams"]:
        assert not stream["findings"], (stream["stream"], stream["findings"][:3])
        if stream["stream"].endswith("/orderbook"):
            assert stream["books"] == {"proved": len(books), "unproved": 0}
            assert not [gap for gap in stream["hole_list"] if gap["state"] == "unreported"], stream["hole_list"]


def check_headers(files: list[tuple[str, list[Any]]], resource: str) -> None:
    last: Any = None
    previous = ""
    for name, (header, *_) in files:
        is_first = last is None or header["run_id"] != last["run_id"]
        assert (header["type"], header["schema"], header["resource"], header["shard"]) == ("header", 1, resource, 0)
        assert header["file"] == (1 if is_first else last["file"] + 1)
        assert header.get("previous_file") == (None if is_first else previous)
        previous, last = name, header
    causes = {record.get("cause") for _, records in files for record in records if record["type"] == "orderbook"}
    assert causes >= REPEATED | {"exchange"}


def test_a_replay_of_files_has_each_state_of_a_book_once(exchange: Simulator, tmp_path: Path) -> None:
    with collector_thread(settings_of(exchange, tmp_path)) as collector:
        collector.is_served()
        collector.comes(lambda status: len(by_file(tmp_path)) > 2)
        collector.stop()
    assert len(by_file(tmp_path)) > 2
    books = [record for record in stored(tmp_path) if record["type"] == "orderbook"]
    replayed = [msgspec.to_builtins(record) for record in replay(tmp_path, types="orderbook")]
    assert replayed == [record for record in books if record.get("cause") not in REPEATED]
