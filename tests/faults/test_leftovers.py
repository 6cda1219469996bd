"""A stopped collector leaves no socket, thread or memory behind."""

import gc
import os
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector_thread import ListSink, collector_thread, settings_for
from exchange_words import ALL_WORDS
from fault_cases import CUT, LOSE
from simulator_process import Simulator, simulator

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
RUNS = 3
GROWTH = 200_000
"""Allowed growth in bytes after all runs. The records of one run have several megabytes."""


@pytest.fixture(params=ALL_WORDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    market = ("--market", "19", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now")
    with simulator(*market, exchange=request.param) as running:
        yield running


def live(exchange: Simulator) -> int:
    """Run a collector with a backfill and a reconnect, and return the number of its records."""
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        for fault, body in (LOSE, CUT, ("notice", {"seconds": 1})):
            exchange.post(f"/faults/{fault}", body)
            time.sleep(0.3)
        collector.stop()
        exchange.clear_faults()
    assert (collector.left, collector.complaints) == ([], [])
    return len(sink.lines)


def open_files() -> list[str]:
    """The targets of this process's file descriptors, without those closed in the meantime."""
    links = (path for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    return sorted(os.readlink(path).split(":")[0] for path in links if path.exists() or os.path.lexists(path))


def test_nothing_is_left_however_often_it_runs(exchange: Simulator) -> None:
    live(exchange)
    gc.collect()
    files, threads = open_files(), threading.active_count()
    tracemalloc.start()
    live(exchange)
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    assert all(live(exchange) > 500 for _ in range(RUNS))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < GROWTH
    assert (open_files(), threading.active_count()) == (files, threads)
