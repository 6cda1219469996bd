"""The two programs that are compared as complete processes, each with its own exchange."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.request import urlopen

from bench import frames, worker
from bench.process import MICROSECOND, Memory, cpu_ns, cpu_until_calm, memory
from bench.worker import Worker

ROOT = Path(__file__).resolve().parent.parent
COLLECTOR = Path(sys.executable).with_name("market-collector")
END_S = 20.0
START_S = 30.0
DATA_TYPES = ("trade", "orderbook", "ticker")
MARKS = tuple(f'"type":"{name}"'.encode() for name in DATA_TYPES)
REPEATS = (b'"cause":"interval"', b'"cause":"rotation"')


def environment() -> dict[str, str]:
    """Environment of our own child processes, in which they find `bench` and the recordings."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))}


class SubjectError(Exception):
    """A program under test did not do the measured work, so the number would be meaningless."""


class Subject(Protocol):
    """A running program under test."""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself."""

    def records(self) -> int:
        """Number of market data records handled so far, in order and without a gap."""

    def wait_for_data(self) -> float:
        """Wait for the first record, and return its time in seconds of the monotonic clock."""


Start = Callable[[int, int, Path], Subject]
"""Starts a program with the port of its exchange, the number of books and its own folder."""


@dataclass(frozen=True, slots=True)
class Collector:
    """``market-collector run`` with a JSON-lines file sink, and its HTTP address."""

    process: subprocess.Popen[bytes]
    http: str
    data: Path

    def get(self, path: str) -> bytes:
        """The body of the answer to a GET."""
        with urlopen(self.http + path, timeout=5) as answer:
            return bytes(answer.read())

    def records(self) -> int:
        """Number of market data records that its sink has acknowledged.

        Raises:
            SubjectError: It had a gap, an unreadable frame or a reconnect, so it did not do the measured work.
        """
        status = self._idle_status()
        counters, (sink,) = status["counters"], status["sinks"]
        bad = {name: counters[name] for name in ("gapsDetected", "resyncs", "reconnections", "droppedRecords")}
        if any(bad.values()) or sink["acknowledged"] != counters["records"]:
            raise SubjectError(f"market-collector did not collect the complete tape: {bad}, {sink}")
        return sum(map(market_data, self.data.glob("*.jsonl")))

    def _idle_status(self) -> Any:
        """The status once no record waits for the sink: each minute, records tell what is recorded."""
        end = time.monotonic() + END_S
        while True:
            status = json.loads(self.get("/status"))
            if not status["sinks"][0]["queued"] or time.monotonic() > end:
                return status
            time.sleep(0.05)

    def wait_for_data(self) -> float:
        """Read the sink's file every 2 ms, because requests to the program would slow its start."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.process.poll() is None:
            if any(mark in file.read_bytes() for file in self.data.glob("*.jsonl") for mark in MARKS):
                return time.monotonic()
            time.sleep(0.002)
        raise SubjectError(f"market-collector wrote no record within {START_S:g} s")


def market_data(file: Path) -> int:
    """Number of a file's market data records, without books that it repeats so that it can be read by itself."""
    content = file.read_bytes()
    return sum(map(content.count, MARKS)) - sum(map(content.count, REPEATS))


@dataclass(frozen=True, slots=True)
class Cryptofeed:
    """cryptofeed with callbacks that count, and no sink."""

    process: subprocess.Popen[bytes]

    def records(self) -> int:
        """Number of records that its callbacks have counted."""
        self.process.send_signal(signal.SIGUSR1)
        return sum(self._line()["records"].values())

    def wait_for_data(self) -> float:
        """Wait for the line that it prints at the first record."""
        self._line()
        return time.monotonic()

    def _line(self) -> worker.Answer:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SubjectError(f"cryptofeed ended with code {self.process.wait(END_S)}")
        answer: worker.Answer = json.loads(line)
        return answer


def document(port: int, books: int, data: Path) -> dict[str, Any]:
    """The collector document: all streams of the tape, written to files."""
    return {
        "contract": 1,
        "name": "bench",
        "namespace": "bench",
        "shard": 0,
        "spec": {
            "exchange": "okx",
            "symbols": list(frames.instruments(books)),
            "dataTypes": list(DATA_TYPES),
            "staleAfter": "1h",  # no data arrives between two rounds
            "connection": {
                "endpoint": {"websocket": f"wss://localhost:{port}", "rest": f"https://localhost:{port}"},
            },
            "sinks": [{"name": "out", "type": "file", "file": {"directory": str(data)}}],
            "logLevel": "warning",
        },
    }


def collector(trust: Path) -> Start:
    """A start function for our collector; ``trust`` is the authority of the exchange's certificate."""

    def start(port: int, books: int, folder: Path) -> Collector:
        file, data, http = folder / "collector.json", folder / "data", f"127.0.0.1:{free_port()}"
        file.write_text(json.dumps(document(port, books, data)))
        settings = {**os.environ, "SSL_CERT_FILE": str(trust)}
        settings.pop("PYTHONPATH", None)
        command = [str(COLLECTOR), "run", "-f", str(file), "--http", http]
        return Collector(subprocess.Popen(command, cwd=folder, env=settings), f"http://{http}", data)

    return start


def cryptofeed(python: Path, trust: Path) -> Start:
    """A start function for the peer with the interpreter of its own environment."""

    def start(port: int, books: int, folder: Path) -> Cryptofeed:
        command = [str(python), "-m", "bench.peer.collect", str(port), str(books)]
        settings = {**environment(), "SSL_CERT_FILE": str(trust)}
        return Cryptofeed(subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE))

    return start


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(start: Start, port: int, books: int, folder: Path) -> Iterator[Subject]:
    """A program under test, ended by its process id."""
    folder.mkdir(parents=True)
    subject = start(port, books, folder)
    try:
        yield subject
    finally:
        end(subject.process)


@dataclass(frozen=True, slots=True)
class Side:
    """A program under test and its exchange, connected."""

    exchange: Worker
    subject: Subject

    def blast(self, loops: int) -> float:
        """CPU time per message in microseconds, with messages as fast as it reads them."""
        pid, before = self.subject.process.pid, self.subject.records()
        since = cpu_ns(pid)
        sent = int(self.exchange.ask("blast", loops=loops)["messages"])
        used = cpu_until_calm(pid, since)
        self._check(before, sent)
        return used / sent / MICROSECOND

    def pace(self, loops: int, per_second: float) -> float:
        """CPU time in percent of one core, with single messages at even intervals."""
        pid, before = self.subject.process.pid, self.subject.records()
        since = cpu_ns(pid)
        answer = self.exchange.ask("pace", loops=loops, per_second=per_second)
        used = cpu_ns(pid) - since
        cpu_until_calm(pid, since)
        self._check(before, answer["messages"])
        return used / float(answer["seconds"]) / 1e9 * 100

    def memory(self) -> Memory:
        """The program's current memory."""
        return memory(self.subject.process.pid)

    def _check(self, before: int, sent: int) -> None:
        got = self.subject.records() - before
        if got != sent:
            raise SubjectError(f"{type(self.subject).__name__} handled {got} of {sent} messages")


@contextmanager
def exchange(books: int, certificate: tuple[Path, Path]) -> Iterator[tuple[Worker, int]]:
    """A running exchange and its port."""
    with Worker([sys.executable, "-m", "bench.blaster", str(books)], environment()) as blaster:
        file, key = certificate
        yield blaster, blaster.ask("listen", certificate=str(file), key=str(key))["port"]


@contextmanager
def side(start: Start, books: int, certificate: tuple[Path, Path], folder: Path) -> Iterator[Side]:
    """A program under test that has read the first loop of its exchange's tape."""
    with exchange(books, certificate) as (blaster, port), running(start, port, books, folder) as subject:
        subject.wait_for_data()
        blaster.ask("served")
        cpu_until_calm(subject.process.pid, 0)
        yield Side(blaster, subject)


def end(process: subprocess.Popen[bytes]) -> None:
    """Terminate a process, and kill it after a timeout."""
    process.terminate()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(END_S)
    if process.stdout is not None:
        process.stdout.close()
