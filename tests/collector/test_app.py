"""The collector as a process with the simulator, as a user or a kubelet sees it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import tls
from collector_program import TYPES, Program, document, program, stored
from market_collector import __version__
from simulator_process import MARKET, REPLAY, Simulator, simulator

pytestmark = pytest.mark.simulator
NOWHERE = {"endpoint": {"websocket": "ws://127.0.0.1:9", "rest": "http://127.0.0.1:9"}}


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


def test_written_records_equal_the_market_truth(exchange: Simulator, tmp_path: Path) -> None:
    """Every trade once, with the market's own price and size; the book at every published sequence is the market's."""
    with program(tmp_path, document(exchange)) as collector:
        collector.comes(collector.is_ready)
        collector.comes(lambda: collector.status()["counters"]["records"] > 300)
        assert collector.stop() == 0
        records = collector.records()
    trades = [record for record in records if record["type"] == "trade"]
    fills = [n for t in trades for n in range(int(t["first_trade_id"]), int(t["trade_id"]) + 1)]
    assert len(fills) > 50
    assert fills == list(range(fills[0], fills[-1] + 1))
    truth = {
        row["tradeId"]: row for row in exchange.lines(f"/truth/trades?symbol=BTC-USDT&from={fills[0]}&to={fills[-1]}")
    }
    for trade in trades:
        rows = [truth[str(n)] for n in range(int(trade["first_trade_id"]), int(trade["trade_id"]) + 1)]
        assert {(row["px"], row["side"]) for row in rows} == {(trade["price"], trade["side"])}
        assert sum(Decimal(row["sz"]) for row in rows) == Decimal(trade["amount"])
    _check_books(exchange, [record for record in records if record["type"] == "orderbook"])


def _check_books(exchange: Simulator, updates: list[Any]) -> None:
    sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
    for number, update in enumerate(updates):
        for side, book in sides.items():
            if update["action"] == "snapshot":
                book.clear()
            for price, amount in update[side]:
                book[price] = amount
                if amount == "0":
                    del book[price]
        if number % 20 == 0:
            truth = exchange.get(f"/truth/book?symbol=BTC-USDT&sequence={update['sequence']}")
            assert {side: dict(truth[side]) for side in sides} == sides
    assert len(updates) > 50


def test_standard_output_starts_with_a_header(exchange: Simulator, tmp_path: Path) -> None:
    with program(tmp_path, document(exchange, dataTypes=["trade", "orderbook"])) as collector:
        collector.comes(collector.is_ready)
        status = collector.status()
        collector.stop()
        header, *others = collector.records()
    assert (header["type"], header["schema"], header["writer_version"]) == ("header", 1, __version__)
    assert (header["resource"], header["shard"], header["exchange"]) == ("okx-btc", 0, "okx")
    assert header["streams"] == ["BTC-USDT/orderbook", "BTC-USDT/trade"]
    assert header["run_id"] <= header["start_time_ns"] == header["receive_time_ns"] <= others[0]["receive_time_ns"]
    assert "file" not in header
    assert status["counters"]["records"] <= len(others)
    assert not [each for each in others if each["type"] == "header"]


def test_status_and_probes_report_the_state(exchange: Simulator, tmp_path: Path) -> None:
    with program(tmp_path, document(exchange)) as collector:
        collector.comes(collector.is_ready)
        status = collector.status()
        assert collector.get("/livez")[0] == 200
        metrics = collector.get("/metrics")[1].decode()
        assert collector.get("/nowhere")[0] == 404
    assert status["epoch"].startswith("pod-1/")
    assert (status["name"], status["health"], status["reason"]) == ("okx-btc", "Healthy", "")
    assert {s["stream"]: s["state"] for s in status["streams"]} == {f"BTC-USDT/{t}": "live" for t in TYPES}
    assert {c["name"]: c["state"] for c in status["connections"]} == {"business": "connected", "public": "connected"}
    assert 'market_collector_messages_total{exchange="okx"}' in metrics
    assert "market_collector_exchange_to_receive_seconds_bucket" in metrics


def test_replayed_recordings_loop_without_a_gap(tmp_path: Path) -> None:
    with simulator(*REPLAY, "--speed", "20") as exchange, program(tmp_path, document(exchange)) as collector:
        collector.comes(collector.is_ready)
        collector.comes(lambda: collector.status()["counters"]["messages"] > 2_000, within_s=30)
        counters = collector.status()["counters"]
    assert (
        counters["gapsDetected"] == counters["resyncs"] == counters["duplicates"] == counters["unreadableFrames"] == 0
    )


def test_tls_with_a_company_authority(tmp_path: Path) -> None:
    """Only the authorities of SSL_CERT_FILE are trusted."""
    authority = tls.authority(tmp_path)
    certificate, key = authority.issue("localhost")
    with simulator(*MARKET, "--tls-cert", str(certificate), "--tls-key", str(key)) as exchange:
        config = document(exchange)
        endpoint = config["spec"]["connection"]["endpoint"]
        endpoint["websocket"] = endpoint["websocket"].replace("127.0.0.1", "localhost")
        with program(tmp_path, config, SSL_CERT_FILE=str(authority.file)) as collector:
            collector.comes(collector.is_ready)
        with program(tmp_path, config) as collector:
            collector.comes(lambda: "certificate" in collector.status()["connections"][0]["reason"])
            assert not collector.is_ready()
            assert collector.get("/livez")[0] == 200


def test_unwritable_sink_is_reported_and_drops_nothing(exchange: Simulator, tmp_path: Path) -> None:
    in_the_way = tmp_path / "data"
    in_the_way.write_text("a file where the directory should be")
    sinks = [{"name": "archive", "type": "file", "file": {"directory": str(in_the_way)}}]
    with program(tmp_path, document(exchange, sinks=sinks)) as collector:
        collector.comes(lambda: not collector.status()["sinks"][0]["healthy"])
        (sink,) = collector.status()["sinks"]
        assert str(in_the_way) in sink["error"]
        assert collector.status()["health"] == "Degraded" or not collector.is_ready()
        collector.comes(lambda: collector.status()["sinks"][0]["queued"] > 50)
        assert not collector.is_ready()
        in_the_way.unlink()
        collector.comes(lambda: collector.status()["sinks"][0]["healthy"])
        collector.comes(collector.is_ready)
        assert collector.stop() == 0
    lines = [json.loads(line) for file in in_the_way.glob("**/*.jsonl") for line in file.read_text().splitlines()]
    ids = [int(line["trade_id"]) - n for line in lines if line["type"] == "trade" for n in range(line["count"])]
    assert sorted(ids) == list(range(min(ids), max(ids) + 1))
    assert not [line for line in lines if line["type"] == "dropped"]


def test_every_trade_is_delivered_once_when_a_collector_is_killed(exchange: Simulator, tmp_path: Path) -> None:
    """After kill -9 at any time, a restart with the same --state-dir and files loses and duplicates no trade."""
    state = ("--state-dir", str(tmp_path / "state"))
    data = tmp_path / "data"
    sink = {"name": "archive", "type": "file", "file": {"directory": str(data), "fsyncInterval": "100ms"}}
    wanted = document(exchange, dataTypes=["trade", "orderbook"], sinks=[sink])
    for life_s in (2.0, 1.7, 1.3):
        with program(tmp_path, wanted, *state) as collector:
            collector.comes(collector.is_ready)
            time.sleep(life_s)
            collector.process.kill()
            collector.process.wait(5)
        time.sleep(0.5)  # the market goes on
    with program(tmp_path, wanted, *state) as collector:
        collector.comes(lambda: collector.status()["counters"]["missingTrades"] > 0)
        collector.comes(lambda: is_whole(stored(data)))
        collector.comes(lambda: all(gap["state"] != "open" for gap in collector.status()["gaps"]))
        collector.stop()
    records = stored(data)
    assert is_whole(records)
    gaps = [record for record in records if record["type"] == "gap"]
    closed = {record["gap_id"] for record in records if record["type"] in ("repaired", "lost")}
    assert {gap["reason"] for gap in gaps} == {"Restarted"}
    assert {gap["gap_id"] for gap in gaps} == closed
    assert any(record["backfilled"] for record in records if record["type"] == "trade")


def test_pod_fills_the_gap_since_the_last_pod_when_it_takes_over_a_volume(
    exchange: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new host without a checkpoint resumes at the end of the files, even if killed before its first one."""
    data = tmp_path / "data"
    sink = {"name": "archive", "type": "file", "file": {"directory": str(data), "fsyncInterval": "100ms"}}
    wanted = document(exchange, dataTypes=["trade"], sinks=[sink])
    for pod in ("pod-a", "pod-b", "pod-b"):
        monkeypatch.setenv("POD_NAME", pod)
        with program(tmp_path, wanted, "--state-dir", str(tmp_path / pod)) as collector:
            wait_for_a_trade(collector, data)
            collector.process.kill()
            collector.process.wait(5)
        time.sleep(0.3)
    with program(tmp_path, wanted, "--state-dir", str(tmp_path / "pod-b")) as collector:
        wait_for_a_trade(collector, data)
        collector.comes(lambda: collector.status()["counters"]["gapsRepaired"] > 0)
        collector.comes(lambda: is_whole(stored(data)))
        collector.stop()
    assert is_whole(stored(data))


def wait_for_a_trade(collector: Program, data: Path) -> None:
    """Until this process has written a trade that it received live."""
    seen = len(stored(data))
    collector.comes(
        lambda: any(record["type"] == "trade" and not record["backfilled"] for record in stored(data)[seen:])
    )


def is_whole(records: list[Any]) -> bool:
    """Whether every trade between the first and the last is there, once."""
    ids = [int(record["trade_id"]) for record in records if record["type"] == "trade"]
    return sorted(ids) == list(range(min(ids), max(ids) + 1))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_received_records_are_written_at_a_signal(exchange: Simulator, tmp_path: Path, number: signal.Signals) -> None:
    """SIGINT is Ctrl-C."""
    with program(tmp_path, document(exchange)) as collector:
        collector.comes(collector.is_ready)
        start = time.monotonic()
        assert collector.stop(number) == 0
        assert time.monotonic() - start < 10
    records = collector.records()
    assert [record["type"] for record in records][-1] == "disconnected"
    assert records[-1]["reason"] == "Stopped"


def test_the_last_counters_are_left_for_kubernetes(exchange: Simulator, tmp_path: Path) -> None:
    message = tmp_path / "termination-log"
    message.touch()
    with program(tmp_path, document(exchange), "--termination-log", str(message)) as collector:
        collector.comes(collector.is_ready)
        exchange.post("/faults/drop", {"path": "public"})
        collector.comes(lambda: collector.status()["counters"]["reconnections"] == 1)
        before = collector.status()["counters"]
        assert collector.stop() == 0
    last = json.loads(message.read_bytes())
    assert last["counters"]["reconnections"] == 1
    assert last["counters"]["messages"] >= before["messages"]
    assert last["epoch"].startswith("pod-1/")
    assert "streams" not in last
    assert message.stat().st_size <= 4096


def test_gaps_of_a_killed_process_are_left_for_kubernetes(exchange: Simulator, tmp_path: Path) -> None:
    """Its next run continues the gaps of the checkpoint, and does not count them again."""
    message = tmp_path / "termination-log"
    message.touch()
    options = ("--state-dir", str(tmp_path / "state"), "--termination-log", str(message))
    with program(tmp_path, document(exchange), *options) as collector:
        collector.comes(collector.is_ready)
        exchange.post("/faults/lose", {"channel": "books", "symbol": "BTC-USDT", "count": 1})
        collector.comes(lambda: collector.status()["counters"]["gapsDetected"] > 0)
        collector.comes(lambda: json.loads(message.read_bytes() or b"{}"), 10)
        assert collector.stop(signal.SIGKILL) == -signal.SIGKILL
    last = json.loads(message.read_bytes())
    assert last["epoch"].startswith("pod-1/")
    assert last["counters"]["gapsDetected"] > 0
    assert "positions" not in last, "the operator knows newer ones"


def test_status_has_the_resumed_positions_before_new_ones(exchange: Simulator, tmp_path: Path) -> None:
    """A pod that takes over, and the operator, must not think that nothing was delivered."""
    options = ("--state-dir", str(tmp_path / "state"))
    with program(tmp_path, document(exchange), *options) as collector:
        collector.comes(lambda: all(collector.status()["positions"].values()))
        before = collector.status()["positions"]
        collector.stop(signal.SIGKILL)
    with program(tmp_path, document(None, connection=NOWHERE), *options) as collector:
        collector.comes(lambda: collector.status()["positions"])
        after = collector.status()["positions"]
    assert set(after) == {"BTC-USDT/trade", "BTC-USDT/orderbook"}
    for name, position in after.items():
        assert position["line"]["time_ns"] >= before[name]["line"]["time_ns"], name


def test_the_address_of_the_command_line_goes_first(exchange: Simulator, tmp_path: Path) -> None:
    options = ("--endpoint-websocket", exchange.websocket, "--endpoint-rest", exchange.rest)
    config = document(None, connection=NOWHERE)
    with program(tmp_path, config, *options) as collector:
        collector.comes(collector.is_ready)


def test_json_logs_are_one_object_a_line(exchange: Simulator, tmp_path: Path) -> None:
    with program(tmp_path, document(exchange), "--log-format", "json") as collector:
        collector.comes(collector.is_ready)
        collector.stop()
    lines = [json.loads(line) for line in collector.log.read_text().splitlines()]
    assert {"collecting 3 streams of okx", "stopped"} <= {line["message"] for line in lines}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "-f", "/nowhere.yaml"), 2, "/nowhere.yaml"),
        (("run", "-f", "{good}", "--http", "here"), 2, "HOST:PORT"),
        (("run", "-f", "{good}", "--endpoint-rest", "okx"), 2, "must be http://HOST:PORT"),
        (
            ("run", "-f", "{good}", "--http", "127.0.0.1:0", "--endpoint-websocket", "ws://"),
            2,
            "is not a WebSocket address",
        ),
        (("run", "-f", "{bad}"), 2, "spec.dataTypes[0]"),
        (("validate", "-f", "{bad}"), 2, "spec.dataTypes[0]"),
        (("validate", "-f", "{good}"), 0, "ok"),
        (("exchanges",), 0, "okx"),
        (("exchanges", "-o", "json"), 0, '"rest": "https://openapi.okx.com"'),
        (("frobnicate",), 2, "invalid choice"),
    ],
)
def test_commands_end_with_the_right_code_and_message(
    arguments: tuple[str, ...], code: int, words: str, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(json.dumps(document(None)))
    bad.write_text(json.dumps(document(None, dataTypes=["trades"])))
    full = [argument.format(good=good, bad=bad) for argument in arguments]
    result = subprocess.run(
        [sys.executable, "-m", "market_collector", *full], capture_output=True, text=True, timeout=20
    )
    assert result.returncode == code, result.stderr
    assert words in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_exit_code_is_2_when_the_port_is_in_use(exchange: Simulator, tmp_path: Path) -> None:
    with program(tmp_path, document(exchange)) as collector:
        file = tmp_path / "collector.json"
        command = [
            sys.executable,
            "-m",
            "market_collector",
            "run",
            "-f",
            str(file),
            "--http",
            collector.address,
        ]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert result.returncode == 2
    assert collector.address in result.stderr


def test_exit_code_is_2_when_another_collector_has_the_state_directory(exchange: Simulator, tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    with program(tmp_path, document(exchange), *state) as collector:
        collector.comes(collector.is_ready)
        file = str(tmp_path / "collector.json")
        command = [sys.executable, "-m", "market_collector", "run", "-f", file, "--http", "127.0.0.1:0", *state]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert collector.stop() == 0
    assert result.returncode == 2
    assert f"{tmp_path / 'state'}: process {collector.process.pid} on " in result.stderr
    assert "Traceback" not in result.stderr


def test_checkpoint_that_cannot_be_written_is_in_the_status(exchange: Simulator, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    with program(tmp_path, document(exchange), "--state-dir", str(tmp_path / "state")) as collector:
        collector.comes(lambda: "cannot be written" in collector.status()["checkpointError"])
        collector.comes(collector.is_ready)
        status = collector.status()
        assert (status["health"], "cannot be written" in status["reason"]) == ("Degraded", True)
        assert collector.stop() == 0


def test_run_ends_when_nobody_can_read_its_only_sink(exchange: Simulator, tmp_path: Path) -> None:
    """As in ``market-collector run FILE | head``."""
    file = tmp_path / "collector.json"
    file.write_text(json.dumps(document(exchange)))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "market_collector", "run", str(file), "--http", "127.0.0.1:0"]
    result = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert result.returncode == 1
    assert "failed: standard output: its reader has gone" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_hot_process_stays_small(exchange: Simulator, tmp_path: Path) -> None:
    """Imports determine the memory: no heavy package, and no YAML parser for a JSON document."""
    with program(tmp_path, document(exchange), PYTHONPROFILEIMPORTTIME="1") as collector:
        collector.comes(collector.is_ready)
        collector.stop()
    imported = {line.rpartition("|")[2].strip() for line in collector.log.read_text().splitlines() if "|" in line}
    assert "msgspec" in imported
    heavy = {"pydantic", "aiohttp", "kubernetes", "kopf", "pyarrow", "yaml", "prometheus_client", "zstandard"}
    assert not imported & heavy
