"""Fixtures for tests of complete collectors: an exchange, a temporary folder, and a check for leftovers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from simulator_process import MARKET, Simulator, simulator


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which ``config/EXCHANGE_config.json`` is looked for."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
async def nothing_is_left() -> AsyncIterator[None]:
    threads = set(threading.enumerate())
    yield
    assert {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}} == set()
    assert all(thread.name.startswith(("asyncio_", "question")) for thread in set(threading.enumerate()) - threads)
