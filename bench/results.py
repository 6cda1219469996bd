"""Output of the benchmarks: result files with documented fields, and tables for people."""

import json
import os
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.process import machine
from bench.rounds import Pair, Spread, share, spread, times_faster

RESULTS = Path(__file__).parent / "results"
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound of the design: a minimum if `at_least`, else a maximum."""

    bound: float
    at_least: bool = False

    def verdict(self, value: float) -> str:
        """Table cell: whether the value reaches the goal, or by how much it misses it."""
        sign = "≥" if self.at_least else "≤"
        reached = value >= self.bound if self.at_least else value <= self.bound
        if reached:
            return f"{sign} {self.bound:g}: reached"
        return f"{sign} {self.bound:g}: MISSED by {self._miss(value)}"

    def _miss(self, value: float) -> str:
        if not self.bound:
            return f"{value:g}"
        percent = abs(value - self.bound) / self.bound * 100
        return f"{percent:.0f} %" if percent >= 1 else "less than 1 %"


@dataclass(frozen=True, slots=True)
class Measurement:
    """A quantity that is measured on both sides."""

    name: str
    unit: str
    ratio: Callable[[Iterable[Pair]], Spread]
    what: str
    value_goal: Goal | None = None
    ratio_goal: Goal | None = None

    @property
    def value_field(self) -> str:
        """Its name in the result file."""
        return f"{self.name}_{self.unit}"

    @property
    def ratio_field(self) -> str:
        """The name of its ratio in the result file."""
        return f"{self.name}_ratio"

    @property
    def peer_field(self) -> str:
        """The name of the peer's number in the result file."""
        return f"{self.name}_peer_{self.unit}"


MEASUREMENTS = (
    Measurement(
        "handler_sequence", "us", times_faster, "handler, sequence-checked book", ratio_goal=Goal(6.0, at_least=True)
    ),
    Measurement(
        "handler_checksum", "us", times_faster, "handler, CRC-checked book", ratio_goal=Goal(3.3, at_least=True)
    ),
    Measurement("handler_binance", "us", times_faster, "handler, Binance spot"),
    Measurement("handler_bybit", "us", times_faster, "handler, Bybit linear"),
    Measurement(
        "end_to_end_tls", "us", times_faster, "TLS to file; peer without sink", ratio_goal=Goal(5.5, at_least=True)
    ),
    Measurement("rss", "mb", share, "resident memory, 3 books", Goal(35.0), Goal(0.55)),
    Measurement("cpu_150", "percent", share, "CPU at 150 messages/s", ratio_goal=Goal(0.5)),
    Measurement("start", "ms", times_faster, "process start to first record", Goal(250.0)),
)


def collector_document(measured: Mapping[str, Sequence[Pair]], peer: Mapping[str, str], extra: Document) -> Document:
    """The content of ``collector.json``.

    Args:
        measured: the rounds by the measurement's name; all of `MEASUREMENTS`.
        peer: its name and version.
        extra: further fields.
    """
    fields: Document = {}
    for measurement in MEASUREMENTS:
        pairs = measured[measurement.name]
        fields[measurement.value_field] = spread(pair.ours for pair in pairs).document()
        fields[measurement.ratio_field] = measurement.ratio(pairs).document()
        fields[measurement.peer_field] = spread(pair.peer for pair in pairs).document()
    rounds = min(len(measured[measurement.name]) for measurement in MEASUREMENTS)
    return {**place(), "rounds": rounds, "peer": dict(peer), **fields, **extra}


def collector_table(document: Document) -> str:
    """The result as a table for people, with the goals and whether they are reached."""
    rows = [("", "ours", "min – max", document["peer"]["name"], "ratio", "min – max", "goal")]
    for measurement in MEASUREMENTS:
        value, ratio = document[measurement.value_field], document[measurement.ratio_field]
        goals = ((measurement.value_goal, value), (measurement.ratio_goal, ratio))
        rows.append(
            (
                measurement.what,
                f"{_short(value['median'])} {_UNITS[measurement.unit]}",
                _between(value),
                _short(document[measurement.peer_field]["median"]),
                f"{ratio['median']:.2f}",
                _between(ratio),
                "; ".join(goal.verdict(found["median"]) for goal, found in goals if goal),
            )
        )
    return table(rows)


_UNITS = {"us": "µs", "mb": "MB", "percent": "%", "ms": "ms"}


def _between(spread: Mapping[str, float]) -> str:
    return f"{_short(spread['min'])} – {_short(spread['max'])}"


def _short(number: float) -> str:
    """Format with three significant digits and without an exponent."""
    return f"{number:,.0f}" if number >= 1_000 else f"{number:.3g}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Format rows as aligned columns with a header and a rule below it."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join((lines[0], "  ".join("-" * width for width in widths), *lines[1:]))


def place() -> Document:
    """Date, interpreter, machine and load, without which numbers cannot be compared."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "python": platform.python_version(),
        "machine": machine(),
        "load": round(os.getloadavg()[0], 2),
    }


def write(name: str, document: Any) -> Path:
    """Write a result file atomically."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / name
    part = file.with_suffix(".part")
    part.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    part.replace(file)
    return file
