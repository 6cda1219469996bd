"""The kernel's numbers of a process, compared with Python's own."""

import os
import subprocess
import sys
import time

import pytest
from bench import process


def test_the_cpu_clock_of_this_process_is_the_one_that_python_reads() -> None:
    before, found, after = time.process_time_ns(), process.cpu_ns(os.getpid()), time.process_time_ns()
    assert before <= found <= after


def test_the_cpu_clock_of_another_process_counts_its_work() -> None:
    with subprocess.Popen([sys.executable, "-c", "sum(range(10**6)); input()"], stdin=subprocess.PIPE) as child:
        first = process.cpu_ns(child.pid)
        used = process.cpu_until_calm(child.pid, first, within_s=20)
        assert 0 <= used == process.cpu_ns(child.pid) - first
        child.communicate(b"\n")


def test_waiting_for_a_busy_process_times_out() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as child:
        try:
            with pytest.raises(process.NeverCalmError, match=str(child.pid)):
                process.cpu_until_calm(child.pid, 0, within_s=0.3)
        finally:
            child.kill()


def test_ended_process_has_no_cpu_clock() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    with pytest.raises(OSError, match=r"Invalid argument|No such process"):
        process.cpu_ns(child.pid)


def test_memory_is_in_megabytes() -> None:
    found = process.memory(os.getpid())
    assert 10 < found.private <= found.resident <= found.peak < 2_000


def test_machine_is_described_in_one_line() -> None:
    machine = process.machine()
    assert machine.startswith(f"{os.cpu_count()} x ")
    assert "\n" not in machine
