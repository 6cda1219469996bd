"""Example 1: a fixture that starts an exchange for each test, on free ports, with its truth and faults."""

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
    """A running simulator: two addresses for the client under test, and the control address for the test."""

    listen: str
    rest: str
    control: str

    def get(self, call: str) -> list[Any]:
        """The lines of an answer of the control address."""
        with urlopen(self.control + call, timeout=5) as answer:
            return [json.loads(line) for line in answer]

    def fault(self, name: str, **fields: Any) -> None:
        """Inject a fault."""
        with urlopen(Request(f"{self.control}/faults/{name}", json.dumps(fields).encode()), timeout=5):
            pass


@pytest.fixture
def okx() -> Iterator[Exchange]:
    with subprocess.Popen(COMMAND.split(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Exchange(**json.loads(process.stdout.readline()))  # one line, once both ports listen
        process.terminate()
