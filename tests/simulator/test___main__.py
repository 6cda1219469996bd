"""The command: its output and its exit codes."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.simulator

QUIET = ("--market", "7", "--symbols", "BTC-USDT", "--rate", "1")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "market_simulator", "serve", "--exchange", "okx", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def rows(program: Any, path: str) -> Any:
    with urlopen(f"{program.rest}/api/v5{path}") as reply:
        return json.load(reply)["data"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serve_exits_with_0_and_closes_connections_on_a_signal(
    start: Any, dial: Any, number: signal.Signals
) -> None:
    program = start(*QUIET)
    client = await dial(program)
    program.process.send_signal(number)
    await client.socket.wait_closed()
    assert client.socket.close_code == 1001
    assert program.process.wait(5) == 0


def test_bad_arguments_end_with_code_2_and_a_reason() -> None:
    ended = run("--market", "7")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "market-simulator: --market needs --symbols, such as --symbols BTC-USDT,ETH-USDT\n"


def test_an_unreadable_recording_ends_with_code_2_and_its_line(tmp_path: Path, recording_2022: Path) -> None:
    broken = tmp_path / "cut.jsonl"
    broken.write_text(recording_2022.read_text()[:60_000])
    line = len(broken.read_text().splitlines())
    ended = run("--replay", str(broken))
    assert ended.returncode == 2
    assert f"cut.jsonl:{line}: not a recorded frame" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_recording_without_market_data_ends_with_code_2(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    ended = run("--replay", str(empty))
    assert ended.returncode == 2
    assert "no market data in" in ended.stderr


def test_a_bad_certificate_ends_with_code_2(tmp_path: Path) -> None:
    file = tmp_path / "c.pem"
    file.write_text("nonsense")
    ended = run(*QUIET, "--tls-cert", str(file), "--tls-key", str(file))
    assert ended.returncode == 2
    assert "c.pem" in ended.stderr


def test_a_taken_port_ends_with_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run(*QUIET, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert ended.returncode == 1
    assert "cannot listen" in ended.stderr


def test_replay_lists_instruments_as_recorded_and_starts_now(start: Any, recording_2022: Path) -> None:
    program = start("--replay", str(recording_2022))
    (spot,) = rows(program, "/public/instruments?instType=SPOT")
    (future,) = rows(program, "/public/instruments?instType=FUTURES")
    assert (spot["instId"], spot["tickSz"], spot["listTime"]) == ("BTC-USDT", "0.1", "1548133413000")
    assert (future["instId"], future["tickSz"], future["ctVal"]) == ("BTC-USD-220527", "0.1", "100")
    (now,) = rows(program, "/public/time")
    assert abs(int(now["ts"]) / 1000 - time.time()) < 60


def test_market_starts_at_a_fixed_time_unless_start_is_given(start: Any) -> None:
    fixed, given, current = start(*QUIET), start(*QUIET, "--start", "2030-01-01"), start(*QUIET, "--start", "now")
    times = [int(rows(program, "/public/time")[0]["ts"]) / 1000 for program in (fixed, given, current)]
    assert times == pytest.approx([1_767_225_600, 1_893_456_000, time.time()], abs=60)


def test_a_replay_can_keep_the_recorded_times(start: Any, recording_2022: Path) -> None:
    program = start("--replay", str(recording_2022), "--start", "recorded")
    assert int(rows(program, "/public/time")[0]["ts"]) / 1000 == pytest.approx(1_652_459_225, abs=60)
