"""``market-collector replay`` as a process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from market_collector.__main__ import main
from market_collector.model.events import AnyRecord
from record_lines import lines
from records import gap, snapshot, ticker, trade

LATE = gap("g", 2, 3, seconds=6)
RECORDS: list[AnyRecord] = [snapshot(0), trade(1), trade(4), ticker(5), LATE, replace(trade(7), symbol="ETH-USDT")]
REPLAYED: list[AnyRecord] = [snapshot(0), trade(1), LATE, trade(4), ticker(5), RECORDS[-1]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_bytes(lines(RECORDS))
    (tmp_path / "b.jsonl").write_bytes(lines([trade(1)]))
    return tmp_path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "market_collector", "replay", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60)


def test_replay_is_printed_as_json_lines(folder: Path) -> None:
    result = run(folder)
    assert (result.returncode, result.stdout, result.stderr) == (0, lines(REPLAYED), b"")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--symbol", "ETH-USDT"], REPLAYED[-1:]),
        (["--type", "ticker", "--type", "gap"], [LATE, ticker(5)]),
        (["--from", "2026-09-21T14:13:24Z", "--to", "2026-09-21T14:13:25Z", "--type", "trade"], [trade(4)]),
        (["--speed", "1e9"], REPLAYED),
    ],
)
def test_options_select_records(
    folder: Path, options: list[str], expected: list[AnyRecord], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["replay", str(folder), *options]) == 0
    assert capsysbinary.readouterr().out == lines(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--type", "trades"], "--type: "),
        (["--from", "noon"], "--from: 'noon' is not a time"),
        (["--to", "noon"], "--to: 'noon' is not a time"),
        (["--speed", "0"], "speed: 0.0 is out of range"),
    ],
)
def test_invalid_option_ends_with_2(
    folder: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(folder), *options]) == 2
    assert capsys.readouterr().err.startswith(message)


def test_unreadable_line_ends_with_2_after_the_records_before(folder: Path) -> None:
    (folder / "a.jsonl").write_bytes(lines([trade(1)]) + b"{}\n")
    result = run(folder / "a.jsonl")
    assert result.returncode == 2
    assert f"{folder / 'a.jsonl'}:2: " in result.stderr.decode()


@pytest.mark.parametrize("command", ["replay", "verify"])
@pytest.mark.parametrize("copies", [1, 20_000])
def test_reader_that_has_gone_ends_it_without_a_traceback(folder: Path, command: str, copies: int) -> None:
    """As in ``market-collector replay FILE | head -1``, for outputs below and above the size of a pipe."""
    (folder / "a.jsonl").write_bytes(b"".join(lines([trade(number)]) for number in range(copies)))
    reader, writer = os.pipe()
    program = [sys.executable, "-m", "market_collector", command, str(folder / "a.jsonl")]
    process = subprocess.Popen(program, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    if copies > 1 and command == "replay":
        assert json.loads(os.read(reader, 4096).split(b"\n")[0])["trade_id"] == "0"
    os.close(reader)
    assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 128 + signal.SIGPIPE)
