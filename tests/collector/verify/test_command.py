"""The command as a process: output, exit code, and a real recording compared with the exchange's truth."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import zstandard

from loopback import new_address
from market_collector.errors import RecordingError
from market_collector.exchanges.okx.channels import channel
from market_collector.model.events import Record
from market_collector.model.streams import DataType, Stream
from market_collector.verify.command import coverage, examine
from market_collector.verify.report import Completeness
from record_lines import lines
from records import at, candle, connected, disconnected, gap, lost, raw, repaired, snapshot, trade, update
from simulator_process import MARKET, Simulator, simulator

HISTORY = [trade(3, backfilled=True), trade(4, backfilled=True)]
COMPLETE: list[Record] = [
    snapshot(1),
    update(1, 2),
    trade(1),
    trade(2),
    trade(5),
    gap("g", 3, 4),
    *HISTORY,
    repaired("g"),
]
INCOMPLETE: list[Record] = [trade(1), trade(5), gap("g", 2, 4), trade(3, backfilled=True), lost("g", [(2, 2), (4, 4)])]


def recorded(folder: Path, *records: Record) -> Path:
    path = folder / "records.jsonl"
    path.write_bytes(lines(records))
    return path


def verify(*arguments: str | Path, **environment: str) -> tuple[int, str]:
    """Exit code and output of the command. Standard error must be empty."""
    command = [sys.executable, "-m", "market_collector", "verify", *map(str, arguments)]
    result = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=60, env={**os.environ, "PYTHONUTF8": "1", **environment}
    )
    assert result.stderr == ""
    return result.returncode, result.stdout


def document(*arguments: str | Path) -> tuple[int, Any]:
    code, output = verify("-o", "json", *arguments)
    return code, json.loads(output)


def test_complete_files_end_with_0(tmp_path: Path) -> None:
    code, output = verify(recorded(tmp_path, *COMPLETE))
    assert code == 0
    assert output.splitlines()[-1].startswith("COMPLETE")
    assert "▒" in output


def test_exit_code_is_1_and_gaps_are_listed_when_records_are_missing(tmp_path: Path) -> None:
    code, output = verify(recorded(tmp_path, *INCOMPLETE))
    assert code == 1
    assert "LOST 2 to 4 (2 missing)" in output
    assert "×" in output


def test_exit_code_is_2_and_the_rest_is_reported_when_a_file_is_unreadable(tmp_path: Path) -> None:
    good = recorded(tmp_path, *INCOMPLETE)
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(lines(COMPLETE) + b"{\n")
    code, output = verify(good, bad, tmp_path / "nothing.jsonl")
    assert code == 2
    assert f"{bad}:{len(COMPLETE) + 1}: " in output
    assert "nothing.jsonl: no such file" in output
    assert "okx BTC-USDT/trade" in output


def test_intervals_are_printed_as_json_and_as_csv(tmp_path: Path) -> None:
    path = recorded(tmp_path, trade(1), trade(2), trade(4))
    code, output = verify("-o", "intervals", path)
    assert code == 1
    assert [(each["from_time_ns"], each["to_time_ns"]) for each in json.loads(output)] == [
        (at(1), at(2)),
        (at(4), at(4)),
    ]
    code, output = verify("-o", "intervals-csv", path)
    assert (code, len(output.splitlines())) == (1, 3)


def test_coverage_has_the_intervals_of_a_type_and_symbols(tmp_path: Path) -> None:
    path = recorded(tmp_path, trade(1), trade(2), snapshot(3), update(3, 4))
    assert [each.data_type for each in coverage(path)] == ["orderbook", "trade"]
    (only,) = coverage(path, "trade", "BTC-USDT")
    assert (only.from_time_ns, only.to_time_ns) == (at(1), at(2))
    assert coverage([path], "trade", ["ETH-USDT"]) == []


def test_coverage_of_damaged_files_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(lines([trade(1)]) + b"{\n")
    with pytest.raises(RecordingError, match=r"records.jsonl:2: "):
        coverage(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b'{"apiVersion": "x"}', b"a,b\n1,2\n", lines([connected(1), disconnected(2)]), lines([raw()])],
)
def test_exit_code_is_2_when_there_is_nothing_to_check(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    code, made = document(path)
    assert (code, made["exit_code"], made["verdict"]) == (2, 2, "unreadable")
    assert [each["file"] for each in made["unreadable"]] == [str(path)]


def test_exit_code_is_1_when_a_candle_is_open_again(tmp_path: Path) -> None:
    code, output = verify(recorded(tmp_path, candle(0, closed=False), candle(0), candle(0, closed=False)))
    assert code == 1
    assert "CandleOpenAgain" in output
    assert output.splitlines()[-1] == "INCOMPLETE: 1 contradiction in okx BTC-USDT/candle:1m"


def test_gap_without_any_data_is_a_gap(tmp_path: Path) -> None:
    assert examine([str(recorded(tmp_path, gap("g", 3, 4)))]).verdict is Completeness.INCOMPLETE


def test_a_terminal_without_blocks_gets_ascii(tmp_path: Path) -> None:
    _, output = verify(recorded(tmp_path, *INCOMPLETE), PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert output.isascii()
    assert "x lost" in output


def test_timeline_is_as_wide_as_the_terminal(tmp_path: Path) -> None:
    for columns in (70, 150):
        _, output = verify(recorded(tmp_path, *COMPLETE), COLUMNS=str(columns))
        assert [len(line) for line in output.splitlines() if line.startswith("okx") and "█" in line] == [columns] * 2


def test_json_document_agrees_with_the_table(tmp_path: Path) -> None:
    code, made = document(recorded(tmp_path, *INCOMPLETE))
    (stream,) = made["streams"]
    assert (code, made["exit_code"], made["verdict"]) == (1, 1, "holes")
    assert stream["missing"] == {"lost": 2, "open": 0, "unreported": 0}
    assert "x" in stream["timeline"]["cells"]


def test_replicas_complete_each_other(tmp_path: Path) -> None:
    for folder, records in (("a", INCOMPLETE), ("b", [trade(number) for number in (1, 2, 3, 4)])):
        (tmp_path / folder).mkdir()
        recorded(tmp_path / folder, *records)
    assert examine([str(tmp_path)]).verdict is Completeness.COMPLETE
    assert examine([str(tmp_path / "a")]).verdict is Completeness.INCOMPLETE


def test_the_help_tells_the_rules_and_the_exit_codes() -> None:
    code, output = verify("--help")
    assert code == 0
    assert all(word in output for word in ("trades", "books", "candles", "Exit code: 0 complete; 1 gaps"))


def test_the_collecting_process_does_not_load_it() -> None:
    code = "import sys; from market_collector import __main__, app; print([n for n in sys.modules if 'verify' in n])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


# -- a real recording


@contextmanager
def collecting(folder: Path, exchange: Simulator, data_types: list[str]) -> Iterator[Callable[[], Any]]:
    """Runs ``market-collector run`` with files below ``folder``. Yields a function that reads its counters."""
    file = {"directory": str(folder / "data"), "rotate": {"interval": "1s"}, "compression": "zstd"}
    spec = {
        "exchange": "okx", "symbol": "BTC-USDT", "dataTypes": data_types, "sinks": [{"name": "archive", "type": "file", "file": file}],
        "connection": {"endpoint": {"websocket": exchange.websocket, "rest": exchange.rest}},
    }  # fmt: skip
    config = folder / "collector.json"
    config.write_text(json.dumps({"contract": 1, "name": "okx-btc", "namespace": "test", "shard": 0, "spec": spec}))
    address = new_address()
    command = [sys.executable, "-m", "market_collector", "run", "-f", str(config), "--http", address]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log)
        try:
            yield lambda: _counters(address)
        finally:
            process.terminate()
            assert process.wait(25) == 0, (folder / "log").read_text()


def _counters(address: str) -> Any:
    try:
        with urlopen(f"http://{address}/status", timeout=5) as answer:
            return json.load(answer)["counters"]
    except URLError:
        return {"records": 0, "gapsDetected": 0}


def comes(is_so: Callable[[], Any]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def recorded_ids(folder: Path) -> list[int]:
    """Trade ids in the files, read without any of our own code."""
    ids = []
    for file in folder.rglob("*.jsonl*"):
        with zstandard.open(file, "rt") if file.suffix == ".zst" else file.open() as text:
            ids += [int(row["trade_id"]) for row in map(json.loads, text) if row["type"] == "trade"]
    return ids


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


@pytest.mark.simulator
def test_an_undisturbed_recording_is_complete_also_while_it_is_written(exchange: Simulator, tmp_path: Path) -> None:
    with collecting(tmp_path, exchange, ["trade", "orderbook", "ticker", "candle"]) as counters:
        comes(lambda: counters()["records"] > 500)
        code, made = document(tmp_path / "data")
        assert code == 0, made
    code, made = document(tmp_path / "data")
    assert (code, made["verdict"], made["unreadable"]) == (0, "complete", [])
    assert made["files"] > 1
    streams = {stream["stream"]: stream for stream in made["streams"]}
    assert set(streams) == {f"BTC-USDT/{name}" for name in ("trade", "orderbook", "ticker", "candle:1m")}
    trades, book = streams["BTC-USDT/trade"], streams["BTC-USDT/orderbook"]
    assert trades["distinct"] == trades["records"] == len(recorded_ids(tmp_path)) > 100
    assert book["books"] == {"proved": book["records"], "unproved": 0}


@pytest.mark.simulator
def test_after_a_loss_the_verdict_is_the_exchanges_own_truth(exchange: Simulator, tmp_path: Path) -> None:
    """The report lists exactly the records that the files lack, even if the collector filled the gap."""
    lost_channel = {"channel": channel(Stream("BTC-USDT", DataType.TRADE)), "symbol": "BTC-USDT", "count": 5}
    with collecting(tmp_path, exchange, ["trade"]) as counters:
        comes(lambda: counters()["records"] > 100)
        exchange.post("/faults/lose", lost_channel)
        comes(lambda: counters()["gapsDetected"])
        after = counters()["records"]
        comes(lambda: counters()["records"] > after + 100)
    ids = recorded_ids(tmp_path)
    path = f"/truth/trades?symbol=BTC-USDT&from={min(ids)}&to={max(ids)}"
    missing = {int(row["tradeId"]) for row in exchange.lines(path)} - set(ids)
    code, made = document(tmp_path / "data")
    (stream,) = made["streams"]
    assert sum(stream["missing"].values()) == len(missing)
    assert stream["missing"]["unreported"] == 0
    assert code == (1 if missing else 0)
    assert sum(stream["holes"].values()) == stream["events"]["gap"] >= 1


def test_control_characters_of_names_reach_no_terminal(tmp_path: Path) -> None:
    hostile = lines([trade(1)]).replace(b'"okx"', b'"okx\\u001b]0;PWN\\u0007 \\u202e"')
    (tmp_path / "\x1b[2J\udcff.jsonl").write_bytes(hostile + b"torn")
    _, output = verify(tmp_path)
    assert "okx\\x1b]0;PWN\\x07 \\u202e BTC-USDT/trade" in output
    assert "\\x1b[2J\\udcff.jsonl:2: torn last line" in output
    assert all(line.isprintable() for line in output.split("\n"))
