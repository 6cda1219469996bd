"""The command line: files with and without `-f`, the version, and exit code 2 for invalid input."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from market_collector import __version__
from market_collector.__main__ import main

GOOD = """\
apiVersion: marketcollector.dev/v1alpha1
kind: MarketCollector
metadata: {name: okx-btc}
spec: {exchange: okx, symbol: BTC-USDT, dataTypes: [trade]}
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD)
    return str(path)


def test_validate_takes_files_with_and_without_the_option(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [main(["validate", file]), main(["validate", "-f", file]), main(["validate", file, "-f", file])] == [0, 0, 0]
    assert capsys.readouterr().out.count(": ok (okx-btc: okx, 1 symbol, 1 stream)") == 4


def test_validate_without_a_file_is_an_input_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate"]) == 2
    assert capsys.readouterr().err.startswith("validate: no file is given.")


@pytest.mark.parametrize("form", [["FILE"], ["-f", "FILE"]])
def test_run_takes_a_file_with_and_without_the_option(
    file: str, form: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The address is checked after the file was read."""
    arguments = [file if each == "FILE" else each for each in form]
    assert main(["run", *arguments, "--http", "nowhere"]) == 2
    assert capsys.readouterr().err == "--http: 'nowhere' is not an address. Give HOST:PORT, such as 127.0.0.1:8080\n"


@pytest.mark.parametrize(("arguments", "count"), [([], 0), (["a", "-f", "b"], 2)])
def test_run_without_exactly_one_file_is_an_input_error(
    arguments: list[str], count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"run: {count} files are given.")


def test_the_version_names_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert (stopped.value.code, capsys.readouterr().out) == (0, f"market-collector {__version__}\n")


@pytest.mark.parametrize("command", ["exchanges", "exchanges -o json", "validate FILE"])
def test_command_whose_reader_has_gone_ends_without_a_traceback(file: str, command: str) -> None:
    """As in ``market-collector exchanges | head -0``."""
    reader, writer = os.pipe()
    os.close(reader)
    result = run_program(command.replace("FILE", file), writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (128 + signal.SIGPIPE, "")


def test_command_says_so_when_its_output_is_full() -> None:
    with Path("/dev/full").open("wb") as full:
        result = run_program("exchanges", full.fileno())
    assert result.returncode == 1
    assert result.stderr == "standard output: No space left on device. Make room, or write elsewhere\n"


def run_program(command: str, output: int) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "market_collector", *command.split()]
    return subprocess.run(program, stdout=output, stderr=subprocess.PIPE, text=True, timeout=60)


def test_interrupt_before_a_collector_runs_is_no_traceback(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    def interrupt(path: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("market_collector.config.settings.load", interrupt)
    assert main(["run", file]) == 128 + signal.SIGINT


def test_run_starts_without_collections_and_has_them_afterwards() -> None:
    """Each of them would scan all imported objects."""
    code = """
import gc, sys
from market_collector.__main__ import main
seen, before = [], len(sys.modules)
gc.callbacks.append(lambda phase, info: seen.append(len(sys.modules)))
code = main(["run", "/nonexistent.yaml"])
gc.callbacks.clear()
print(code, gc.isenabled(), len(sys.modules) > before + 100, any(before + 20 < each < len(sys.modules) - 10 for each in seen))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 True True False\n", done.stderr
