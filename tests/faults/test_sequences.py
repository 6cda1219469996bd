"""Random sequences of faults, after which the same checks must pass as after a single fault.

The market has several hundred messages per second instead of the usual 20, so each run has minutes' worth of data.
"""

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import evidence
from collector_thread import CollectorThread, ListSink, settings_for
from exchange_words import MARKETS, OKX
from fault_cases import SKEW_NS, cases
from simulator_process import simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280)]
PACE = settings(
    stateful_step_count=16,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # to shrink would take hours
    suppress_health_check=list(HealthCheck),
)


class Trouble(RuleBasedStateMachine):
    """A collector at an exchange with all faults, in parallel and in turn."""

    market: str

    def __init__(self) -> None:
        super().__init__()
        seeded = ("--market", "5", "--symbols", MARKETS[self.market].symbol, "--rate", "400", "--start", "now")
        self._simulator = simulator(*seeded, exchange=self.market)
        self._exchange = self._simulator.__enter__()
        self._sink = ListSink()
        self._collector = CollectorThread(settings_for(self._exchange), [self._sink])
        self._collector.start()
        self._collector.is_served()

    @rule(data=st.data(), pause_s=st.sampled_from([0.0, 0.2, 0.5, 1.0, 2.0]))
    def something_goes_wrong(self, data: st.DataObject, pause_s: float) -> None:
        data.draw(st.sampled_from(cases(MARKETS[self.market]))).happen(self._exchange)
        time.sleep(pause_s)

    @rule()
    def all_is_well_for_a_moment(self) -> None:
        self._exchange.clear_faults()
        time.sleep(1.0)

    def teardown(self) -> None:
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
        note(f"{len(records)} records; {counters}")
        assert (self._collector.left, self._collector.complaints) == ([], [])
        evidence.check(records, Truth(self._exchange), skew_ns=SKEW_NS)
        evidence.check_counters(records, counters)


@pytest.mark.parametrize("market", MARKETS)
def test_nothing_is_lost_or_wrong_after_any_sequence_of_faults(market: str) -> None:
    trouble = type("Trouble", (Trouble,), {"market": market})
    run_state_machine_as_test(trouble, settings=settings(PACE, max_examples=3 if market == OKX.name else 1))
