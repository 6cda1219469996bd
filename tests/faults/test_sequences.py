"""Random sequences of faults, after which the same checks must pass as after a single fault.

The market has several hundred messages per second instead of the usual 20, so each run has minutes' worth of data.
"""

import os
import random
import time
from typing import Any

import pytest

import evidence
from collector_thread import CollectorThread, ListSink, settings_for
from exchange_words import MARKETS, OKX
from fault_cases import SKEW_NS, Case, cases
from simulator_process import simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280)]
STEPS = 16
SEEDS = [(market, f"{market}-{number}") for market in MARKETS for number in range(3 if market == OKX.name else 1)]
"""FAULTS_SEED replaces the seeds."""


class Trouble:
    """A collector at an exchange with all faults, in parallel and in turn."""

    def __init__(self, market: str) -> None:
        seeded = ("--market", "5", "--symbols", MARKETS[market].symbol, "--rate", "400", "--start", "now")
        self._simulator = simulator(*seeded, exchange=market)
        self._exchange = self._simulator.__enter__()
        self._sink = ListSink()
        self._collector = CollectorThread(settings_for(self._exchange), [self._sink])
        self._collector.start()
        self._collector.is_served()

    def something_goes_wrong(self, case: Case, pause_s: float) -> None:
        print(f"{case.name}, then {pause_s:g} s")
        case.happen(self._exchange)
        time.sleep(pause_s)

    def all_is_well_for_a_moment(self) -> None:
        print("all is well")
        self._exchange.clear_faults()
        time.sleep(1.0)

    def end(self) -> None:
        try:
            self._exchange.clear_faults()
            status = self._collector.stop()
            self._judge(self._sink.output(), status)
        finally:
            if self._collector.is_running:
                self._collector.end()
            self._simulator.__exit__(None, None, None)

    def _judge(self, records: list[Any], status: Any) -> None:
        counters = status["counters"]
        print(f"{len(records)} records; {counters}")
        assert (self._collector.left, self._collector.complaints) == ([], [])
        evidence.check(records, Truth(self._exchange), skew_ns=SKEW_NS)
        evidence.check_counters(records, counters)


@pytest.mark.parametrize(("market", "seed"), SEEDS)
def test_nothing_is_lost_or_wrong_after_a_sequence_of_faults(market: str, seed: str) -> None:
    chance = random.Random(os.environ.get("FAULTS_SEED", seed))
    trouble = Trouble(market)
    try:
        for _ in range(STEPS):
            if chance.random() < 0.3:
                trouble.all_is_well_for_a_moment()
            else:
                case = chance.choice(cases(MARKETS[market]))
                trouble.something_goes_wrong(case, chance.choice((0.0, 0.2, 0.5, 1.0, 2.0)))
    finally:
        trouble.end()
