"""Each fault of the exchange by itself: all trades are delivered once, and every published book is correct."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest

import evidence
from collector_thread import ListSink, collector_thread, settings_for
from exchange_words import MARKETS
from fault_cases import SKEW_NS, Case, cases
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280), pytest.mark.xdist_group("each fault")]
WORKERS = 6
"""Cases that run in parallel, because each waits most of the time."""
SEEDS = count()
"""Of the threads' simulators."""
KNOWN = 3
"""Trades before a fault. A page without every third one (`rest-partial`) lacks one of three in a row."""
NAMES = [(market, case.name) for market, words in MARKETS.items() for case in cases(words)]


class Worker(threading.local):
    """A thread with a simulator, which runs until another market's is needed."""

    def __init__(self, until_the_end: ExitStack) -> None:
        self._running = until_the_end.enter_context(ExitStack())
        self._market, self._seed = "", next(SEEDS)

    def run(self, market: str, case: Case) -> None:
        """Try out a case, and end its faults."""
        if market != self._market:
            self._running.close()
            symbols = ("--symbols", MARKETS[market].symbol)
            options = ("--market", str(self._seed), *symbols, "--rate", "200", "--start", "now")
            self._exchange = self._running.enter_context(simulator(*options, exchange=market))
            self._market = market
        try:
            try_out(self._exchange, case)
        finally:
            self._exchange.clear_faults()


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[tuple[str, str], Future[None]]]:
    """All selected cases, started at once."""
    callspecs = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    chosen = {(params.get("market"), params.get("name")) for params in callspecs}
    with ExitStack() as stack, ThreadPoolExecutor(WORKERS) as pool:
        worker = Worker(stack)
        yield {
            (market, case.name): pool.submit(worker.run, market, case)
            for market, words in MARKETS.items()
            for case in cases(words)
            if (market, case.name) in chosen
        }


def try_out(exchange: Simulator, case: Case) -> None:
    """Run a collector with one fault, and check its output."""
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        collector.comes(lambda _: sum(b'"type":"trade"' in each for each in sink.lines) >= KNOWN, 30, "trades")
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


@pytest.mark.parametrize(("market", "name"), NAMES)
def test_nothing_is_lost_or_wrong_after(market: str, name: str, outcomes: dict[tuple[str, str], Future[None]]) -> None:
    outcomes[market, name].result(250)


def test_no_thread_is_left(outcomes: dict[tuple[str, str], Future[None]]) -> None:
    for outcome in outcomes.values():
        outcome.exception(250)
    assert [thread.name for thread in threading.enumerate() if thread.name == "collector"] == []
