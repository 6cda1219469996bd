"""Orders to a child process, and its answers."""

import os
import sys
from pathlib import Path

import pytest
from bench.worker import Worker, WorkerError

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
from bench import worker
total = 0
def add(number):
    global total
    total += number
    return {"total": total}
worker.serve({"add": add})
"""


def child(text: str = CHILD) -> Worker:
    return Worker([sys.executable, "-c", text], {**os.environ, "PYTHONPATH": str(ROOT)})


def test_child_answers_many_orders() -> None:
    with child() as worker:
        assert worker.ask("add", number=2) == {"total": 2}
        assert worker.ask("add", number=3) == {"total": 5}


def test_a_child_that_fails_ends_the_measurement_with_its_code(capfd: pytest.CaptureFixture[str]) -> None:
    with child() as worker, pytest.raises(WorkerError, match="code 1"):
        worker.ask("add", number=None)
    assert "TypeError" in capfd.readouterr().err


def test_leaving_the_block_ends_the_child() -> None:
    with child() as worker:
        worker.ask("add", number=1)
        pid = worker._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
