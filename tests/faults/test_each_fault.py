"""Each fault of the exchange by itself: all trades are delivered once, and every published book is correct."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any

import pytest

import evidence
from collector_thread import ListSink, collector_thread, settings_for
from fault_cases import CASES, Case
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
WORKERS = 4
"""Cases that run in parallel, because each waits most of the time."""


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """All selected cases, started at once. Each has its own simulator while it runs."""
    chosen = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with ExitStack() as stack:
        exchanges: SimpleQueue[Simulator] = SimpleQueue()
        for seed in range(WORKERS):
            market = ("--market", str(seed), "--symbols", "BTC-USDT", "--rate", "200", "--start", "now")
            exchanges.put(stack.enter_context(simulator(*market)))
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield {case.name: pool.submit(in_turn, exchanges, case) for case in CASES if case.name in chosen}


def in_turn(exchanges: "SimpleQueue[Simulator]", case: Case) -> None:
    exchange = exchanges.get()
    try:
        try_out(exchange, case)
    finally:
        exchange.clear_faults()
        exchanges.put(exchange)


def try_out(exchange: Simulator, case: Case) -> None:
    """Run a collector with one fault, and check its output."""
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        before = collector.status()["counters"]
        case.happen(exchange)
        time.sleep(1.0)
        collector.comes(lambda status: shows(case, before, status["counters"]), 15, f"{case.name} shows {case.shows}")
        exchange.clear_faults()
        status = collector.stop()
    assert (collector.left, collector.complaints) == ([], [])
    records = sink.output()
    evidence.check(records, Truth(exchange))
    evidence.check_counters(records, status["counters"])


def shows(case: Case, before: dict[str, Any], now: dict[str, Any]) -> bool:
    return all(now[name] > before[name] for name in case.shows)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_nothing_is_lost_or_wrong_after(name: str, outcomes: dict[str, Future[None]]) -> None:
    outcomes[name].result(250)


def test_no_thread_is_left(outcomes: dict[str, Future[None]]) -> None:
    for outcome in outcomes.values():
        outcome.exception(250)
    assert [thread.name for thread in threading.enumerate() if thread.name == "collector"] == []
