"""``make soak``: the program for minutes at thousands of messages per second, with a fault every few seconds.

Afterwards its output is compared with the simulator's truth (`tests/support/evidence.py`), and its memory must have
stayed flat. EXCHANGE, MINUTES, RATE (messages per second), FAULT_EVERY (seconds) and SEED change the run.
bench/README.md explains the numbers.
"""

import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import Any

import msgspec
from bench import results
from bench.process import cpu_ns, memory
from bench.results import Goal

import evidence
from collector_program import Program, document, program, verified, without_repeated_gaps
from exchange_words import MARKETS, OKX
from fault_cases import SKEW_NS, cases
from simulator_process import Simulator, simulator
from truth import Truth

EXCHANGE = os.environ.get("EXCHANGE", OKX.name)
MINUTES, RATE = float(os.environ.get("MINUTES", "10")), int(os.environ.get("RATE", "2000"))
FAULT_EVERY_S = float(os.environ.get("FAULT_EVERY", "5"))
SEED = int(os.environ.get("SEED", "1"))
HEAL_S = 300.0
"""Time within which all gaps must be closed after the last fault."""
WARM_SHARE = 0.2
"""Share of the run before memory is measured, in which buffers and tables reach their size."""
FLAT = Goal(0.5)
"""MB per minute. A leak of a hundredth of the data would be 30."""


@dataclass
class Soak:
    """Observations of one run."""

    faults: Counter[str] = field(default_factory=Counter)
    rss_mb: list[float] = field(default_factory=list)
    """One sample per second."""
    most_open_gaps: int = 0
    heal_s: float = 0.0


@dataclass(frozen=True)
class Recording:
    """All records in the files below a directory, oldest first, each gap once.

    Each iteration decodes them again to save memory.
    """

    directory: Path

    def __iter__(self) -> Iterator[Any]:
        return without_repeated_gaps(self._lines())

    def _lines(self) -> Iterator[Any]:
        for file in sorted(self.directory.glob("*.jsonl")):
            with file.open("rb") as lines:
                yield from map(msgspec.json.decode, lines)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="market-collector-soak-") as folder:
        written = soak(Path(folder), EXCHANGE)
    print(results.table(rows(written)))
    print(f"\n{results.write(f'soak-{EXCHANGE}.json', written)}")
    return 0 if FLAT.bound >= written["rss_slope_mb_per_minute"] else 1


def soak(folder: Path, name: str) -> results.Document:
    """Do one run with an exchange, and return its result.

    Raises:
        AssertionError: The output differs from the truth.
    """
    books = int(MINUTES * 60 * RATE) + 100_000
    market = ("--market", str(SEED), "--symbols", MARKETS[name].symbol, "--rate", str(RATE), "--start", "now")
    kept = ("--keep-books", str(books), "--keep-trades", str(books))
    with simulator(*market, *kept, exchange=name) as exchange:
        run, status, cpu = collect(folder, exchange)
        recording = Recording(folder / "data")
        counted = Counter(record["type"] for record in recording)
        say(f"checking {sum(counted.values()):,} records")
        evidence.check(recording, Truth(exchange), skew_ns=SKEW_NS)
        swallowed = len(Truth(exchange).swallowed())
    verdict = verified(folder / "data")
    evidence.check_verdict(verdict)
    return {"exchange": name} | summary(run, status, counted, swallowed, cpu) | {"verify": verdict["verdict"]}


def collect(folder: Path, exchange: Simulator) -> tuple[Soak, Any, float]:
    """Do the run itself. Returns the observations, the last status and the CPU share in percent."""
    run = Soak()
    with program(folder, document_for(exchange, folder / "data"), "--state-dir", str(folder / "state")) as collector:
        collector.comes(collector.is_ready)
        started, used = time.monotonic(), cpu_ns(collector.process.pid)
        inject_faults(run, exchange, collector)
        share = (cpu_ns(collector.process.pid) - used) / 1e7 / (time.monotonic() - started)
        exchange.clear_faults()
        ended = time.monotonic()
        status = collector.comes_to_rest(HEAL_S)
        run.heal_s = time.monotonic() - ended
        assert collector.stop() == 0
    return run, status, share


def document_for(exchange: Simulator, data: Path) -> dict[str, Any]:
    """A user's document, with shorter timeouts."""
    connection = {
        "backoff": {"initial": "100ms", "max": "1s"},
        "endpoint": {"websocket": exchange.websocket, "rest": exchange.rest},
        "pingInterval": "5s",
    }
    return document(
        exchange,
        dataTypes=["trade", "orderbook", "ticker", "candle"],
        candle={"intervals": [exchange.words.interval]},
        connection=connection,
        sinks=[{"name": "archive", "type": "file", "file": {"directory": str(data)}}],
    )


def inject_faults(run: Soak, exchange: Simulator, collector: Program) -> None:
    """Inject a fault every few seconds, and sample the memory every second."""
    chance = random.Random(SEED)
    started = time.monotonic()
    next_fault, next_sample = started + FAULT_EVERY_S, started
    while (now := time.monotonic()) < started + MINUTES * 60:
        if now >= next_fault:
            next_fault += FAULT_EVERY_S
            case = chance.choice(cases(exchange.words))
            case.happen(exchange)
            run.faults[case.name] += 1
        if now >= next_sample:
            next_sample += 1.0
            sample(run, collector, now - started)
        time.sleep(0.05)


def sample(run: Soak, collector: Program, seconds: float) -> None:
    run.rss_mb.append(memory(collector.process.pid).resident)
    if len(run.rss_mb) % 30 == 0:
        status = collector.status()
        open_gaps = sum(gap["state"] == "open" for gap in status["gaps"])
        run.most_open_gaps = max(run.most_open_gaps, open_gaps)
        counters = status["counters"]
        say(f"{seconds:4.0f} s: {counters['messages']:,} messages, {counters['gapsDetected']} gaps, {open_gaps} open, "
            f"{run.rss_mb[-1]:.1f} MB")  # fmt: skip


def summary(run: Soak, status: Any, counted: Counter[str], swallowed: int, cpu: float) -> results.Document:
    """The fields of the result file, except for the verdict of `verify`."""
    warm = run.rss_mb[int(len(run.rss_mb) * WARM_SHARE) :]
    counters = status["counters"]
    return results.place() | {
        "minutes": MINUTES,
        "rate": RATE,
        "fault_every_s": FAULT_EVERY_S,
        "seed": SEED,
        "faults": sum(run.faults.values()),
        "kinds_of_faults": len(run.faults),
        "messages": counters["messages"],
        "records": sum(counted.values()),
        "trades": counted["trade"],
        "trades_swallowed_by_faults": swallowed,
        "trades_recovered": counters["recoveredTrades"],
        "trades_lost": counters["lostTrades"],
        "book_states_checked": counted["orderbook"],
        "gaps": counters["gapsDetected"],
        "gaps_repaired": counters["gapsRepaired"],
        "gaps_lost": counters["gapsLost"],
        "most_open_gaps": run.most_open_gaps,
        "reconnections": counters["reconnections"],
        "resyncs": counters["resyncs"],
        "duplicates": counters["duplicates"],
        "unreadable_frames": counters["unreadableFrames"],
        "dropped_records": counters["droppedRecords"],
        "heal_s": round(run.heal_s, 1),
        "cpu_percent": round(cpu, 1),
        "rss_warm_mb": round(sum(warm[:30]) / len(warm[:30]), 1),
        "rss_end_mb": round(sum(warm[-30:]) / len(warm[-30:]), 1),
        "rss_peak_mb": round(max(run.rss_mb), 1),
        "rss_slope_mb_per_minute": round(linear_regression(range(len(warm)), warm).slope * 60, 3),
    }


def rows(written: results.Document) -> Sequence[Sequence[str]]:
    """The result as rows of a table for people."""
    verdicts = {"rss_slope_mb_per_minute": FLAT.verdict(written["rss_slope_mb_per_minute"])}
    formatted = {name: f"{value:,}" if isinstance(value, int) else str(value) for name, value in written.items()}
    return [("what", "value", "goal"), *((name, text, verdicts.get(name, "")) for name, text in formatted.items())]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
