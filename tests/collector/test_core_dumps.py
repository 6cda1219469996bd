"""A process with an API key leaves no core dump, and is closed to others of its user."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from collector_program import document, program
from simulator_process import MARKET, simulator

PR_GET_DUMPABLE = 3
PROGRAM = f"""
import ctypes, resource
from market_collector import core_dumps
before = ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0)
core_dumps.forbid()
print(before, ctypes.CDLL(None).prctl({PR_GET_DUMPABLE}, 0, 0, 0, 0), *resource.getrlimit(resource.RLIMIT_CORE))
"""


def unlimited_core() -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux'")
def test_process_is_closed_to_others_of_its_user() -> None:
    found = subprocess.check_output([sys.executable, "-c", PROGRAM], text=True, preexec_fn=unlimited_core)
    assert found.split() == ["1", "0", "0", "0"]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux'")
def test_refusal_of_the_kernel_is_logged() -> None:
    """The kernel refuses an option that it does not know."""
    refused = "from market_collector import core_dumps; core_dumps.PR_SET_DUMPABLE = 10_000; core_dumps.forbid()"
    found = subprocess.run([sys.executable, "-c", refused], capture_output=True, text=True, check=True)
    assert "others of its user may read the API key" in found.stderr


def test_crash_leaves_no_core_dump() -> None:
    crash = "import os; from market_collector import core_dumps; core_dumps.forbid(); os.abort()"
    child = subprocess.Popen([sys.executable, "-c", crash], preexec_fn=unlimited_core)
    _, status = os.waitpid(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == -signal.SIGABRT
    assert not os.WCOREDUMP(status)


@pytest.mark.simulator
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_CORE)[1] == 0, reason="this machine forbids them to all")
@pytest.mark.parametrize(("kind", "is_forbidden"), [("balance", True), ("ticker", False)])
def test_only_collectors_of_an_account_forbid_core_dumps(tmp_path: Path, kind: str, is_forbidden: bool) -> None:
    more = {"credentials": {"secretName": "okx-key"}} if kind == "balance" else {}
    with simulator(*MARKET) as exchange:
        spec = document(exchange, dataTypes=[kind], **more)
        with program(tmp_path, spec, "--credentials-dir", str(tmp_path)) as collector:
            limits = Path(f"/proc/{collector.process.pid}/limits").read_text()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert (line.split()[4:6] == ["0", "0"]) == is_forbidden
