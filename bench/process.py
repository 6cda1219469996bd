"""CPU time and memory of a process, from the kernel. Linux only."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

MICROSECOND = 1_000
"""In nanoseconds."""
CALM_NS = 3_000_000
"""A process that uses less CPU time than this within `LOOK_S` is calm."""
LOOK_S = 0.1
CALM_LOOKS = 13
"""Consecutive calm intervals, longer than the second within which a file sink syncs to the disk."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory, its peak and its unshared part, in MB (2**20 bytes)."""

    resident: float
    peak: float
    private: float


class NeverCalmError(Exception):
    """A process was still busy at the deadline."""


def cpu_ns(pid: int) -> int:
    """CPU time (user and system, all threads) of a process in nanoseconds.

    The clock's id is computed as in `clock_getcpuclockid(3)`, because /proc counts in ticks of 10 ms.

    Raises:
        OSError: There is no such process.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def cpu_until_calm(pid: int, since_ns: int, within_s: float = 60.0) -> int:
    """Wait until the process is calm, and return its CPU time since ``since_ns`` in nanoseconds.

    Raises:
        NeverCalmError: It is busy for longer than ``within_s`` seconds.
    """
    before, calm = cpu_ns(pid), 0
    for _ in range(int(within_s / LOOK_S)):
        time.sleep(LOOK_S)
        now = cpu_ns(pid)
        calm = calm + 1 if now - before < CALM_NS else 0
        if calm >= CALM_LOOKS:
            return now - since_ns
        before = now
    raise NeverCalmError(f"process {pid} is still busy after {within_s:g} s")


def memory(pid: int) -> Memory:
    """The current memory of a process."""
    status = _fields(Path(f"/proc/{pid}/status"))
    rollup = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    private = rollup["Private_Dirty"] + rollup["Private_Clean"]
    return Memory(status["VmRSS"], status["VmHWM"], private)


def _fields(file: Path) -> dict[str, float]:
    """``Name:   123 kB`` lines, in MB."""
    rows = (line.split() for line in file.read_text().splitlines())
    return {row[0].rstrip(":"): int(row[1]) / 1024 for row in rows if len(row) == 3 and row[2] == "kB"}


def machine() -> str:
    """A description of the machine in one line."""
    rows = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    models = [value.strip() for name, _, value in rows if name.strip() == "model name"]
    model = models[0] if models else os.uname().machine
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {gigabytes:.0f} GiB, Linux {os.uname().release}"
