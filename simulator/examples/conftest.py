"""Example 1: a fixture that gives a test an exchange of its own, on free ports, and its truth and faults."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

import pytest

COMMAND = (
    "market-simulator serve --exchange okx --market 7 --symbols BTC-USDT --rate 200 --start now "
    "--listen 127.0.0.1:0 --control 127.0.0.1:0"
)


@dataclass(frozen=True)
class Exchange:
    """A running simulator: addresses for the client under test, and the control address for the test."""

    listen: str
    rest: str
    control: str

    def get(self, call: str) -> list[Any]:
        """What the control address tells, line by line."""
        with urlopen(self.control + call, timeout=5) as answer:
            return [json.loads(line) for line in answer]

    def fault(self, name: str, **what: Any) -> None:
        """Make something go wrong."""
        with urlopen(Request(f"{self.control}/faults/{name}", json.dumps(what).encode()), timeout=5):
            pass


@pytest.fixture
def okx() -> Iterator[Exchange]:
    with subprocess.Popen(COMMAND.split(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Exchange(**json.loads(process.stdout.readline()))  # one line, as soon as all is ready
        process.terminate()
