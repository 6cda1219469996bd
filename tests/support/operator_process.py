"""Operators as processes of their own, forked from a server that has imported the operator.

The import takes 1.5 s of CPU, which is more than most tests need for everything else.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

HERE = Path(__file__).parent
PRELOADED = "operator_imports"
_CONTEXT = multiprocessing.get_context("forkserver")


class OperatorProcess:
    """A process that runs `market-operator` with these arguments. Its methods are those of `subprocess.Popen`.

    Args:
        arguments: the command line, without the program.
        log: file to which standard output and standard error are appended.
        environment: all environment variables of the process.
    """

    def __init__(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self._arguments = list(arguments)
        _ensure_server()
        self._process = _CONTEXT.Process(target=_run, args=(self._arguments, str(log), dict(environment)), daemon=True)
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or None while the process runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end of the process and return its exit code.

        Raises:
            subprocess.TimeoutExpired: the process still runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._arguments, timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the process unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def _ensure_server() -> None:
    """Start the server with an environment of its own.

    It finds what it must import only by PYTHONPATH, and ignores modules that it does not find. A PYTHONPATH that is set
    already names another checkout, whose operator the tests then run. Coverage is measured in
    the operators only: in the tests themselves, it would double the CPU of this rung.
    """
    _CONTEXT.set_forkserver_preload([PRELOADED])
    path = os.environ.get("PYTHONPATH")
    changes = {"PYTHONPATH": f"{HERE}{os.pathsep}{path}" if path else str(HERE)}
    if os.environ.get("MEASURED"):
        changes["COVERAGE_PROCESS_START"] = str(HERE.parents[1] / "pyproject.toml")
    with patch.dict(os.environ, changes):
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)  # it would take precedence
        forkserver.ensure_running()


def _run(arguments: list[str], log: str, environment: dict[str, str]) -> None:
    assert PRELOADED in sys.modules, "the server did not import the operator"
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for standard in (1, 2):
        os.dup2(output, standard)
    from market_operator.__main__ import main

    main(arguments)
