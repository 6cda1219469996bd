"""``make bench-collector``: our collector against cryptofeed, in paired rounds on this machine.

What is measured and how is written in bench/README.md. ROUNDS sets the number of rounds (7).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench import passes, results, subjects
from bench.process import NeverCalmError
from bench.rounds import Pair, paired
from bench.subjects import Side, Start, SubjectError
from bench.worker import Worker, WorkerError

import tls

PASS_S = 0.3
"""CPU time of one side in one round of a handler measurement."""
BLAST_LOOPS = 20
"""Loops of about 300 messages as fast as the client reads, in one round."""
PER_SECOND = 150.0
PACE_LOOPS = 2
"""About 860 messages, so nearly 6 seconds of one side in one round."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Settings that all measurements share."""

    rounds: int
    peer: Path
    """The interpreter of the peer's environment."""
    certificate: tuple[Path, Path]
    ours: Start
    theirs: Start
    folders: Iterator[Path]


Measure = Callable[[Bench], dict[str, list[Pair]]]


def main() -> None:
    """Run all measurements, print the table and write the result file."""
    options = _options()
    started, busy = time.monotonic(), os.getloadavg()[0]
    say(f"{options.rounds} paired rounds; load before: {busy:.1f} of {os.cpu_count()} cores")
    measured: dict[str, list[Pair]] = {}
    with tempfile.TemporaryDirectory(prefix="mc-bench-") as folder:
        bench = _bench(options, Path(folder))
        for what, measure in STEPS:
            say(what)
            measured |= measure(bench)
    document = results.collector_document(measured, _peer(options.peer), {"load_before": round(busy, 2)})
    print(results.collector_table(document))
    file = results.write("collector.json", document)
    say(f"written to {file.relative_to(subjects.ROOT)} after {time.monotonic() - started:.0f} s")
    if busy > 0.5:
        say(f"The machine was busy (load {busy:.1f} before the start): take these numbers as preliminary.")


def handlers(bench: Bench) -> dict[str, list[Pair]]:
    """Only the handler, with both kinds of OKX's book, and with Binance's and Bybit's."""
    with (
        Worker([sys.executable, "-m", "bench.handler"], subjects.environment()) as ours,
        Worker([str(bench.peer), "-m", "bench.peer.handler"], subjects.environment()) as theirs,
    ):
        kinds: tuple[passes.Kind, ...] = ("sequence", "checksum", "binance", "bybit")
        return {f"handler_{kind}": _handler(bench.rounds, kind, ours, theirs) for kind in kinds}


def _handler(rounds: int, kind: passes.Kind, ours: Worker, theirs: Worker) -> list[Pair]:
    _compare(ours.ask("measure", kind=kind, at_least_s=0), theirs.ask("measure", kind=kind, at_least_s=0))

    def measure(side: Worker) -> float:
        return float(side.ask("measure", kind=kind, at_least_s=PASS_S)["us"])

    return paired(rounds, lambda: measure(ours), lambda: measure(theirs))


def _compare(ours: dict[str, object], theirs: dict[str, object]) -> None:
    """Require that both sides created the same records, because a handler that does less is not faster."""
    if ours["records"] != theirs["records"] or ours["surprises"]:
        raise SubjectError(f"the two sides read different things: {ours} and {theirs}")


def end_to_end(bench: Bench) -> dict[str, list[Pair]]:
    """Complete processes over TLS, as fast as they read."""
    with ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(subjects.side(start, 2, bench.certificate, next(bench.folders)))
            for start in (bench.ours, bench.theirs)
        )
        for side in (ours, theirs):
            side.blast(2)
        return {
            "end_to_end_tls": paired(bench.rounds, lambda: ours.blast(BLAST_LOOPS), lambda: theirs.blast(BLAST_LOOPS))
        }


def steady(bench: Bench) -> dict[str, list[Pair]]:
    """Complete processes with three books at an even rate: CPU of each round, memory after it."""
    with ExitStack() as stack:
        ours, theirs = (
            stack.enter_context(subjects.side(start, 3, bench.certificate, next(bench.folders)))
            for start in (bench.ours, bench.theirs)
        )
        assert isinstance(ours.subject, subjects.Collector)
        ours.subject.get("/metrics")
        memory: dict[str, list[float]] = {"ours": [], "theirs": []}

        def measure(name: str, side: Side) -> float:
            percent = side.pace(PACE_LOOPS, PER_SECOND)
            memory[name].append(side.memory().resident)
            return percent

        cpu = paired(bench.rounds, lambda: measure("ours", ours), lambda: measure("theirs", theirs))
    return {"cpu_150": cpu, "rss": [Pair(*both) for both in zip(memory["ours"], memory["theirs"], strict=True)]}


def starts(bench: Bench) -> dict[str, list[Pair]]:
    """Time from process start to the first market data record in the sink (the peer: at a callback)."""
    with (
        subjects.exchange(3, bench.certificate) as (ours_at, ours_port),
        subjects.exchange(3, bench.certificate) as (theirs_at, theirs_port),
    ):

        def measure(start: Start, exchange: Worker, port: int) -> float:
            started = time.monotonic()
            with subjects.running(start, port, 3, next(bench.folders)) as subject:
                took = subject.wait_for_data() - started
                exchange.ask("served")
            return took * 1_000

        def ours() -> float:
            return measure(bench.ours, ours_at, ours_port)

        def theirs() -> float:
            return measure(bench.theirs, theirs_at, theirs_port)

        paired(1, ours, theirs)  # warms the file cache and compiles the bytecode
        return {"start": paired(bench.rounds, ours, theirs)}


STEPS: tuple[tuple[str, Measure], ...] = (
    ("handler: frames to records, in one process each", handlers),
    ("end to end: TLS, as fast as they read; ours writes files", end_to_end),
    ("steady: TLS, 3 books, 150 messages/s", steady),
    ("start: process to first record", starts),
)


def say(text: str) -> None:
    """Report progress on standard error."""
    print(f"- {text}", file=sys.stderr, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/collector.sh", description="The collector against cryptofeed.")
    parser.add_argument("--peer", type=Path, required=True, help="interpreter of the peer's environment")
    parser.add_argument("--rounds", type=int, default=int(os.environ.get("ROUNDS", "7")))
    return parser.parse_args()


def _bench(options: argparse.Namespace, folder: Path) -> Bench:
    authority = tls.authority(folder)
    return Bench(
        options.rounds,
        options.peer,
        authority.issue("localhost"),
        subjects.collector(authority.file),
        subjects.cryptofeed(options.peer, authority.file),
        (folder / f"run-{number}" for number in count()),
    )


def _peer(python: Path) -> dict[str, str]:
    """Name and version of the peer, and its interpreter, which must be ours for a fair comparison."""
    question = "import importlib.metadata as m, platform as p; print(p.python_version(), m.version('cryptofeed'))"
    output = subprocess.run([str(python), "-c", question], capture_output=True, text=True, check=True).stdout
    interpreter, version = output.split()
    return {"name": "cryptofeed", "version": version, "python": interpreter}


if __name__ == "__main__":
    try:
        main()
    except (SubjectError, WorkerError, NeverCalmError) as error:
        sys.exit(f"error: {error}")
