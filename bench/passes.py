"""Repeated reading of one tape in one process, for both sides of a handler measurement.

This module imports only the standard library, because the peer uses it as well.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import frames, tapes, worker

Kind = frames.Kind | tapes.Kind
"""A tape of OKX in one of its formats, or of another exchange."""
LOOPS = 20
"""Loops of the tape: about 6,000 messages, a fifth of a second for the slower side."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One reading of the tape."""

    cpu_ns: int
    messages: int
    records: Counter[str]
    """Counts by channel, or by type for records other than market data."""
    surprises: list[str] = field(default_factory=list)
    """Effects that a complete tape does not cause."""


Read = Callable[[], Pass]


def serve(reader: Callable[[Kind], Read]) -> None:
    """Answer ``measure`` orders. ``reader`` creates the read function of each kind once for all rounds."""
    reads: dict[Kind, Read] = {}

    def answer(kind: Kind, at_least_s: float) -> worker.Answer:
        if kind not in reads:
            reads[kind] = reader(kind)
            reads[kind]()  # warms the caches and specialises the code
        return measure(reads[kind], at_least_s)

    worker.serve({"measure": answer})


def measure(read: Read, at_least_s: float) -> worker.Answer:
    """Read for this much CPU time, at least once. Returns microseconds per message and the last pass' records."""
    done = [read()]
    while sum(each.cpu_ns for each in done) < at_least_s * 1e9:
        done.append(read())
    us = sum(each.cpu_ns for each in done) / sum(each.messages for each in done) / 1_000
    return {"us": us, "records": done[-1].records, "surprises": done[-1].surprises}
