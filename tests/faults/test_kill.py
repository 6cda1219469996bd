"""The program, killed and stopped at random times while faults are active.

It always restarts with the same --state-dir and the same files. The complete output must have every trade once and
report all gaps.
"""

import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

import evidence
from collector_program import Program, document, program, stored, verified
from exchange_words import MARKETS, OKX
from fault_cases import SKEW_NS, connections, messages
from fault_cases import market as market_cases
from simulator_process import simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
PACE = settings(
    stateful_step_count=12,
    deadline=None,
    print_blob=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
MOMENTS_S = st.sampled_from([0.0, 0.1, 0.3, 1.0, 2.0])


class Life(RuleBasedStateMachine):
    """A collector that is killed and stopped often."""

    market: str

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._words = MARKETS[self.market]
        seeded = ("--market", "9", "--symbols", self._words.symbol, "--rate", "300", "--start", "now")
        self._exchange = self._stack.enter_context(simulator(*seeded, exchange=self.market))
        file = {"directory": str(self._folder / "data"), "fsyncInterval": "200ms", "rotate": {"size": "1Mi"}}
        connection = {
            "backoff": {"initial": "100ms", "max": "500ms"},
            "endpoint": {"websocket": self._exchange.websocket, "rest": self._exchange.rest},
            "pingInterval": "5s",
        }
        self._document = document(
            self._exchange,
            dataTypes=["trade", "orderbook", "candle"],
            candle={"intervals": [self._words.interval]},
            connection=connection,
            sinks=[{"name": "archive", "type": "file", "file": file}],
        )
        self._kills = 0
        self._start()

    def _start(self) -> None:
        self._running = ExitStack()
        state = ("--state-dir", str(self._folder / "state"))
        self._collector: Program = self._running.enter_context(program(self._folder, self._document, *state))

    @rule(data=st.data(), pause_s=MOMENTS_S)
    def something_goes_wrong(self, data: st.DataObject, pause_s: float) -> None:
        cases = [*connections(self._words), *messages(self._words), *market_cases(self._words)]
        data.draw(st.sampled_from(cases)).happen(self._exchange)
        time.sleep(pause_s)

    @rule()
    def all_is_well_for_a_moment(self) -> None:
        self._exchange.clear_faults()
        time.sleep(1.5)

    @rule(dead_s=MOMENTS_S, alive_s=MOMENTS_S)
    def it_is_killed(self, dead_s: float, alive_s: float) -> None:
        self._collector.process.kill()
        self._collector.process.wait(5)
        self._restart(dead_s, alive_s)

    @rule(dead_s=MOMENTS_S, alive_s=MOMENTS_S)
    def it_is_stopped(self, dead_s: float, alive_s: float) -> None:
        assert self._collector.stop() == 0
        self._restart(dead_s, alive_s)

    def _restart(self, dead_s: float, alive_s: float) -> None:
        self._kills += 1
        self._running.close()
        time.sleep(dead_s)
        self._start()
        time.sleep(alive_s)

    def teardown(self) -> None:
        try:
            self._exchange.clear_faults()
            self._collector.comes_to_rest(within_s=90)
            assert self._collector.stop() == 0
            records = stored(self._folder / "data")
            note(f"{len(records)} records of {self._kills + 1} lives; log: {self._collector.log.read_text()[-2_000:]}")
            evidence.check(records, Truth(self._exchange), skew_ns=SKEW_NS)
            evidence.check_verdict(verified(self._folder / "data"))
        finally:
            self._running.close()
            self._stack.close()


@pytest.mark.long
@pytest.mark.parametrize("market", MARKETS)
def test_every_trade_is_in_the_output_once_however_often_it_is_killed(market: str) -> None:
    life = type("Life", (Life,), {"market": market})
    run_state_machine_as_test(life, settings=settings(PACE, max_examples=2 if market == OKX.name else 1))


@pytest.mark.parametrize("market", MARKETS)
def test_gap_of_a_killed_process_ends_with_the_next_one(market: str, tmp_path: Path) -> None:
    """Its last checkpoint, which is put back here, is older than the gap. Nobody can read its output back."""
    data, state, older = tmp_path / "data", tmp_path / "state", tmp_path / "older"
    data.mkdir()
    seeded = ("--market", "9", "--symbols", MARKETS[market].symbol, "--rate", "200", "--start", "now")
    with simulator(*seeded, exchange=market) as exchange:
        spec = document(exchange, dataTypes=["trade", "orderbook"])
        with program(tmp_path, spec, "--state-dir", str(state)) as collector:
            collector.comes_to_rest(within_s=60)
            shutil.copytree(state, older)
            exchange.post("/faults/refuse", {"status": 503, "count": 1_000})
            exchange.post("/faults/drop", {})
            collector.comes(lambda: evidence.of_type(whole_lines(collector.output), "gap"))
            collector.process.kill()
            collector.process.wait(5)
        collector.output.rename(data / "killed.jsonl")
        exchange.clear_faults()
        with program(tmp_path, spec, "--state-dir", str(older)) as collector:
            collector.comes_to_rest(within_s=60)
            assert collector.stop() == 0
        collector.output.rename(data / "next.jsonl")
    first, second = (stored_ids(data / name) for name in ("killed.jsonl", "next.jsonl"))
    assert first - second, "the next process knew all gaps"
    evidence.check_verdict(verified(data))


def whole_lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def stored_ids(file: Path) -> set[str]:
    return {record["gap_id"] for record in whole_lines(file) if "gap_id" in record}
