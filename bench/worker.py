"""A child process that answers orders over all rounds, with one JSON line in each direction.

This module imports only the standard library, because the peer's child processes use it as well.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

Answer = dict[str, Any]

END_S = 10.0


class WorkerError(Exception):
    """A child process did not answer. Its output is on standard error."""


class Worker:
    """The parent's side. Leaving the `with` block ends the child."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, order: str, **arguments: Any) -> Answer:
        """Send an order, and wait for the answer.

        Raises:
            WorkerError: The child ended without an answer.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"order": order, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise WorkerError(f"{order}: the child ended with code {self._process.wait(END_S)}")
        answer: Answer = json.loads(line)
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdout is not None
        self._process.terminate()
        self._process.wait(END_S)
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.stdout.close()


def serve(orders: Mapping[str, Callable[..., Answer]]) -> None:
    """Answer orders in the child until standard input ends."""
    for line in sys.stdin:
        answer(orders, line)


def answer(orders: Mapping[str, Callable[..., Answer]], line: str) -> None:
    """Carry out one order."""
    arguments = json.loads(line)
    send(orders[arguments.pop("order")](**arguments))


def send(document: Answer) -> None:
    """Send one line to the parent."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
