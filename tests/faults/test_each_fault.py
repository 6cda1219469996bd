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
from exchange_words import ALL_WORDS
from fault_cases import SKEW_NS, Case, cases
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
WORKERS = 4
"""Cases that run in parallel, because each waits most of the time."""


NAMES = [(exchange, case.name) for exchange, words in ALL_WORDS.items() for case in cases(words)]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Future[None]]]:
    """All selected cases, started at once. Each has its own simulator while it runs."""
    callspecs = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = {(params.get("exchange"), params.get("name")) for params in callspecs}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield {
            (exchange, case.name): pool.submit(in_turn, simulators, case)
            for exchange, words in ALL_WORDS.items()
            for simulators in [queue_of(exchange, stack)]
            for case in cases(words)
            if (exchange, case.name) in chosen
        }


def queue_of(exchange: str, stack: ExitStack) -> SimpleQueue[Simulator]:
    """As many simulators as there may be cases at the same time."""
    simulators: SimpleQueue[Simulator] = SimpleQueue()
    for seed in range(WORKERS):
        market = ("--market", str(seed), "--symbols", "BTC-USDT", "--rate", "200", "--start", "now")
        simulators.put(stack.enter_context(simulator(*market, exchange=exchange)))
    return simulators


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
    skew_ns = SKEW_NS if case.name.startswith("skew-") else 0
    evidence.check(records, Truth(exchange), skew_ns=skew_ns)
    evidence.check_counters(records, status["counters"])


def shows(case: Case, before: dict[str, Any], now: dict[str, Any]) -> bool:
    return all(now[name] > before[name] for name in case.shows)


@pytest.mark.parametrize(("exchange", "name"), NAMES)
def test_nothing_is_lost_or_wrong_after(
    exchange: str, name: str, outcomes: dict[tuple[str, str], Future[None]]
) -> None:
    outcomes[exchange, name].result(250)


def test_no_thread_is_left(outcomes: dict[tuple[str, str], Future[None]]) -> None:
    for outcome in outcomes.values():
        outcome.exception(250)
    assert [thread.name for thread in threading.enumerate() if thread.name == "collector"] == []
