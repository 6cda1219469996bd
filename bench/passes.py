"""One tape read again and again in one process: the shape of both sides of a handler measurement.

Only the standard library is imported here: the peer uses it as well.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from bench import frames, worker

LOOPS = 20
"""Of the tape: about 6,000 messages, a fifth of a second for the slower side."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The tape read once."""

    cpu_ns: int
    messages: int
    records: Counter[str]
    """By channel, or by type where they are no market data."""
    surprises: list[str] = field(default_factory=list)
    """What a whole tape does not cause, in words."""


Read = Callable[[], Pass]


def serve(reader: Callable[[frames.Kind], Read]) -> None:
    """Answers ``measure`` orders; ``reader`` makes what reads a tape of one kind, once for all rounds."""
    reads: dict[frames.Kind, Read] = {}

    def answer(kind: frames.Kind, at_least_s: float) -> worker.Answer:
        if kind not in reads:
            reads[kind] = reader(kind)
            reads[kind]()  # caches warm, code specialised
        return measure(reads[kind], at_least_s)

    worker.serve({"measure": answer})


def measure(read: Read, at_least_s: float) -> worker.Answer:
    """Reads as often as fills this much CPU time, at least once: microseconds per message, the last pass' records."""
    done = [read()]
    while sum(each.cpu_ns for each in done) < at_least_s * 1e9:
        done.append(read())
    us = sum(each.cpu_ns for each in done) / sum(each.messages for each in done) / 1_000
    return {"us": us, "records": done[-1].records, "surprises": done[-1].surprises}
