"""``market-collector run`` as a process, with its document and its output."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from loopback import new_address
from simulator_process import Simulator

REST_S = 2.5
"""Longer than the wait for a late trade, and than the interval of REST probes of a stream without data."""
TYPES = ["trade", "orderbook", "ticker"]


@dataclass(frozen=True)
class Program:
    """A running collector."""

    process: subprocess.Popen[bytes]
    address: str
    output: Path
    log: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """Status code and body of an answer of the collector's HTTP server."""
        try:
            with urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def status(self) -> Any:
        """The status document."""
        return json.loads(self.get("/status")[1])

    def records(self) -> list[Any]:
        """All records on stdout so far. Each line must be complete JSON, except for one that is being written."""
        lines = self.output.read_bytes().splitlines(keepends=True)
        is_written = self.process.poll() is not None
        return [json.loads(line) for line in lines if is_written or line.endswith(b"\n")]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send SIGTERM as a kubelet does, or another signal, and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(25)

    def comes(self, is_so: Callable[[], Any], within_s: float = 60.0) -> None:
        """Wait until the condition is true."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            if is_so():
                return
            time.sleep(0.05)
        pytest.fail(f"did not come true within {within_s} s; status {self.status()}")

    def comes_to_rest(self, within_s: float) -> Any:
        """Wait until every stream is served and every gap is closed, and return the status.

        This must hold for longer than it takes to detect a gap. The wait ends at a time between two candles.
        """
        complete_since = time.monotonic()

        def is_at_rest() -> bool:
            nonlocal complete_since
            if not is_whole(self.status()):
                complete_since = time.monotonic()
            return time.monotonic() - complete_since > REST_S and 0.3 < time.time() % 1 < 0.6

        self.comes(is_at_rest, within_s)
        return self.status()

    def is_ready(self) -> bool:
        """The result of the readiness probe."""
        return self.get("/readyz")[0] == 200


def is_whole(status: Any) -> bool:
    """Whether all streams are served and no gap is open, as far as the collector knows."""
    streams, gaps = status["streams"], status["gaps"]
    return all(s["state"] in ("live", "quiet") for s in streams) and all(gap["state"] != "open" for gap in gaps)


def document(exchange: Simulator | None, **spec: Any) -> dict[str, Any]:
    """The collector document in the format that the operator mounts."""
    endpoint = {"websocket": exchange.websocket, "rest": exchange.rest} if exchange else {}
    defaults = {
        "exchange": exchange.words.name if exchange else "okx",
        "symbol": exchange.words.symbol if exchange else "BTC-USDT",
        "dataTypes": TYPES,
        "staleAfter": "5s",
        "connection": {"backoff": {"initial": "100ms", "max": "500ms"}, "endpoint": endpoint},
    }
    return {"contract": 1, "name": "okx-btc", "namespace": "test", "shard": 0, "spec": defaults | spec}


@contextmanager
def program(folder: Path, config: dict[str, Any], *options: str, **environment: str) -> Iterator[Program]:
    """Run ``market-collector run``, and end it by its process id."""
    file, output, log = folder / "collector.json", folder / "records.jsonl", folder / "log"
    file.write_text(json.dumps(config))
    address = new_address()
    command = [sys.executable, "-m", "market_collector", "run", "-f", str(file), "--http", address]
    with output.open("ab") as out, log.open("ab") as err:
        process = subprocess.Popen(
            [*command, *options], stdout=out, stderr=err, env={**os.environ, "POD_UID": "pod-1", **environment}
        )
        try:
            running = Program(process, address, output, log)
            _wait_for_answer(running)
            yield running
        finally:
            process.terminate()
            process.wait(25)


def _wait_for_answer(running: Program) -> None:
    for _ in range(200):
        if running.process.poll() is not None:
            return
        try:
            running.get("/livez")
        except OSError:
            time.sleep(0.05)
        else:
            return


def stored(directory: Path) -> list[Any]:
    """All records of a file sink, each gap once. A line that a kill has cut off was never acknowledged."""
    lines = [line for file in sorted(directory.glob("*.jsonl")) for line in file.read_bytes().splitlines(keepends=True)]
    return list(without_repeated_gaps(json.loads(line) for line in lines if line.endswith(b"\n")))


def without_repeated_gaps(records: Iterable[Any]) -> Iterator[Any]:
    """A file repeats the gaps that are open at its start."""
    gaps: set[str] = set()
    for record in records:
        if record["type"] == "gap" and record["gap_id"] in gaps:
            continue
        if record["type"] == "gap":
            gaps.add(record["gap_id"])
        yield record


def verified(directory: Path) -> Any:
    """The result of ``market-collector verify`` for the files below a directory."""
    command = [sys.executable, "-m", "market_collector", "verify", "-o", "json", str(directory)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stdout, answer.stderr
    return json.loads(answer.stdout)
