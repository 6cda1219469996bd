import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from market_spec.command import exit_code

PROGRAM = """\
import sys
from market_spec.command import exit_code
sys.exit(exit_code(lambda: print("x" * int(sys.argv[1])) or 3))
"""


def run_program(size: int, output: int) -> tuple[int, str]:
    program = [sys.executable, "-c", PROGRAM, str(size)]
    result = subprocess.run(program, stdout=output, stderr=subprocess.PIPE, text=True, timeout=60)
    return result.returncode, result.stderr


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_command_whose_reader_has_gone_ends_without_a_traceback(size: int) -> None:
    """For outputs below and above the size of the buffer."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = run_program(size, writer)
    os.close(writer)
    assert ended == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_command_says_so_when_its_output_is_full(size: int) -> None:
    with Path("/dev/full").open("wb") as full:
        ended = run_program(size, full.fileno())
    assert ended == (1, "standard output: No space left on device. Make room, or write elsewhere\n")


def test_command_without_standard_output_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert exit_code(lambda: 3) == 3


def test_interrupt_is_no_traceback() -> None:
    def interrupt() -> int:
        raise KeyboardInterrupt

    assert exit_code(interrupt) == 128 + signal.SIGINT


def test_other_error_is_raised() -> None:
    def fail() -> int:
        raise OSError("a bug")

    with pytest.raises(OSError, match="a bug"):
        exit_code(fail)
