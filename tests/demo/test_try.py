"""`make try`: the program as a user runs it, with and without a terminal."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unmeasured import NOT_MEASURED

pytestmark = pytest.mark.simulator
TRY = [sys.executable, str(Path(__file__).parents[2] / "demo" / "try.py")]
ENVIRONMENT = {**os.environ, **NOT_MEASURED}
DEADLINE_S = 60.0


def test_try_shows_three_tables_and_the_report_without_a_terminal() -> None:
    done = subprocess.run(TRY, env=ENVIRONMENT, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("try: Healthy") >= 2
    assert len(re.findall(r"^reconnections ", done.stdout, re.MULTILINE)) == 3
    assert re.search(r"^gaps +[1-9]\d* detected, [1-9]\d* filled, 0 open$", done.stdout, re.MULTILINE)
    assert "$ market-collector verify" in done.stdout
    assert re.search(r"^COMPLETE: ", done.stdout, re.MULTILINE)
    assert max(len(line) for line in done.stdout.split("$ market-collector")[0].splitlines()) <= 80


def test_try_ends_quietly_when_its_reader_leaves() -> None:
    """As in `make try | head -1`."""
    with subprocess.Popen(TRY, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert "try: " in process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, "")


def test_try_ends_with_the_report_when_interrupted() -> None:
    controller, terminal = pty.openpty()
    # Ctrl-C reaches the foreground process group, as from a shell.
    process = subprocess.Popen(
        TRY, env=ENVIRONMENT, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True
    )
    os.close(terminal)
    try:
        text = read_until(controller, "top of book")
        os.killpg(process.pid, signal.SIGINT)
        text += read_until(controller, "Next: ")
        assert process.wait(DEADLINE_S) == 0, text
    finally:
        process.terminate()  # not killed: its simulator and collector would go on
        process.wait(DEADLINE_S)
        os.close(controller)
    assert "Ctrl-C stops" in text
    assert "COMPLETE" in text
    (folder,) = re.findall(r"the logs and the resource in (\S+)\.", text)
    assert (Path(folder) / "collector.log").exists()


def test_try_leaves_no_process_when_it_is_terminated() -> None:
    process = subprocess.Popen(TRY, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert "try: " in process.stdout.readline()
    started = children(process.pid)
    assert len(started) == 2
    process.terminate()
    process.communicate(timeout=DEADLINE_S)
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in text.split()]


def read_until(controller: int, words: str) -> str:
    """Return the output up to `words`, with its carriage returns removed."""
    text, deadline = "", time.monotonic() + DEADLINE_S
    while words not in text and time.monotonic() < deadline:
        if select.select([controller], [], [], 1.0)[0]:
            try:
                text += os.read(controller, 65536).decode(errors="replace")
            except OSError:  # the other side is closed
                break
    assert words in text, text
    return text.replace("\r", "")
