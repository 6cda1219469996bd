"""SIGTERM to process 1 of a container whenever it comes. unshare makes a process 1."""

import os
import signal
import subprocess
import sys

import pytest

# Python sends itself SIGTERM at the first import of a module, and exits with 7 if nothing handles it.
PROGRAM = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "argparse":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
sys.argv = ["program", sys.argv[2]]
__import__({module!r})
sys.exit(7)
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a process 1")


def exit_code(module: str, command: str, *prefix: str) -> int:
    code = PROGRAM.format(module=module)
    return subprocess.run([*prefix, sys.executable, "-c", code, "-", command], check=False).returncode


@needs_root
@pytest.mark.parametrize("program", ["market_collector", "market_operator"])
@pytest.mark.parametrize(("command", "expected"), [("run", 0), ("verify", 128 + signal.SIGTERM)])
def test_sigterm_ends_process_1_before_its_imports(program: str, command: str, expected: int) -> None:
    assert exit_code(f"{program}.__main__", command, "unshare", "--fork", "--pid") == expected


@needs_root
def test_process_1_without_a_handler_drops_sigterm() -> None:
    """The reason for the handler."""
    assert exit_code("argparse", "run", "unshare", "--fork", "--pid") == 7


def test_other_processes_end_by_default() -> None:
    assert exit_code("market_collector.__main__", "run") == -signal.SIGTERM
