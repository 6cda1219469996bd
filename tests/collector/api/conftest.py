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
    left = {thread for thread in set(threading.enumerate()) - threads if not thread.name.startswith("asyncio_")}
    for thread in left:
        await asyncio.to_thread(thread.join, 20)  # longer than a REST request or a write that nobody waits for
    assert [thread.name for thread in left if thread.is_alive()] == []
