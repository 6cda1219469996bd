"""The simulator as a separate process on loopback with its control address, for tests without a cluster."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import recordings
from exchange_words import MARKETS, OKX, ExchangeWords
from unmeasured import NOT_MEASURED

REPLAY = ("--replay", str(recordings.OKX_2022))
ANSWER_S = 300
"""Only a deadlock takes longer: the state of a book is found by replaying its changes."""
MARKET = ("--market", "7", "--symbols", "BTC-USDT,ETH-USDT", "--rate", "100", "--start", "now")


@dataclass(frozen=True)
class Simulator:
    """A running simulator."""

    websocket: str
    rest: str
    control: str
    process: subprocess.Popen[str]
    words: ExchangeWords

    def get(self, path: str) -> Any:
        """A JSON answer of the control address."""
        with urlopen(self.control + path, timeout=ANSWER_S) as answer:
            return json.load(answer)

    def lines(self, path: str) -> list[Any]:
        """JSON lines of the control address."""
        with urlopen(self.control + path, timeout=ANSWER_S) as answer:
            return [json.loads(line) for line in answer]

    def stream(self, path: str) -> Iterator[Any]:
        """An iterator of JSON lines, for answers that do not fit into memory."""
        with urlopen(self.control + path, timeout=ANSWER_S) as answer:
            yield from map(json.loads, answer)

    def clear_faults(self, kind: str = "") -> None:
        """End all faults, or those of a kind."""
        path = f"/faults/{kind}" if kind else "/faults"
        urlopen(Request(self.control + path, method="DELETE"), timeout=ANSWER_S).close()

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a POST to the control address."""
        request = Request(self.control + path, json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
        with urlopen(request, timeout=ANSWER_S) as answer:
            return json.load(answer)


@contextmanager
def simulator(
    *arguments: str, exchange: str = OKX.name, listen: str = "127.0.0.1:0", is_impatient: bool = True
) -> Iterator[Simulator]:
    """Run ``market-simulator serve`` with these arguments, and end it by its process id.

    The exchange is one of `MARKETS`. Unless it ``is_impatient``, it has the deadlines and limits of the exchange.
    """
    words = MARKETS[exchange]
    command = [sys.executable, "-m", "market_simulator", "serve", "--exchange", words.name, "--listen", listen]
    command += words.options if is_impatient else ()
    # tests/simulator measures the simulator, in processes of its own.
    process = subprocess.Popen(
        [*command, "--control", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **NOT_MEASURED},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"the simulator ended with {process.wait()} before it was ready"
        addresses = json.loads(line)
        yield Simulator(addresses["listen"], addresses["rest"], addresses["control"], process, words)
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
