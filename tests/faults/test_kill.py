"""The program, killed and stopped at random times while faults are active.

It always restarts with the same --state-dir and the same files. The complete output must have every trade once and
report all gaps.
"""

import json
import os
import random
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import Program, document, program, stored, verified
from exchange_words import MARKETS, OKX
from fault_cases import SKEW_NS, connections, messages
from fault_cases import market as market_cases
from simulator_process import simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
STEPS = 12
SEEDS = [(market, f"{market}-{number}") for market in MARKETS for number in range(2 if market == OKX.name else 1)]
"""FAULTS_SEED replaces the seeds."""
MOMENTS_S = (0.0, 0.1, 0.3, 1.0, 2.0)


class Life:
    """A collector that is killed and stopped often."""

    def __init__(self, market: str) -> None:
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._words = MARKETS[market]
        seeded = ("--market", "9", "--symbols", self._words.symbol, "--rate", "300", "--start", "now")
        self._exchange = self._stack.enter_context(simulator(*seeded, exchange=market))
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

    def something_goes_wrong(self, chance: random.Random) -> None:
        cases = [*connections(self._words), *messages(self._words), *market_cases(self._words)]
        case = chance.choice(cases)
        print(case.name)
        case.happen(self._exchange)
        time.sleep(chance.choice(MOMENTS_S))

    def all_is_well_for_a_moment(self, _: random.Random) -> None:
        print("all is well")
        self._exchange.clear_faults()
        time.sleep(1.5)

    def it_is_killed(self, chance: random.Random) -> None:
        self._collector.process.kill()
        self._collector.process.wait(5)
        self._restart("killed", chance.choice(MOMENTS_S), chance.choice(MOMENTS_S))

    def it_is_stopped(self, chance: random.Random) -> None:
        assert self._collector.stop() == 0
        self._restart("stopped", chance.choice(MOMENTS_S), chance.choice(MOMENTS_S))

    def _restart(self, how: str, dead_s: float, alive_s: float) -> None:
        print(f"{how}, dead for {dead_s:g} s, alive for {alive_s:g} s")
        self._kills += 1
        self._running.close()
        time.sleep(dead_s)
        self._start()
        time.sleep(alive_s)

    def end(self) -> None:
        try:
            self._exchange.clear_faults()
            self._collector.comes_to_rest(within_s=90)
            assert self._collector.stop() == 0
            records = stored(self._folder / "data")
            print(f"{len(records)} records of {self._kills + 1} lives; log: {self._collector.log.read_text()[-2_000:]}")
            evidence.check(records, Truth(self._exchange), skew_ns=SKEW_NS)
            evidence.check_verdict(verified(self._folder / "data"))
        finally:
            self._running.close()
            self._stack.close()


@pytest.mark.long
@pytest.mark.parametrize(("market", "seed"), SEEDS)
def test_every_trade_is_in_the_output_once_however_often_it_is_killed(market: str, seed: str) -> None:
    chance = random.Random(os.environ.get("FAULTS_SEED", seed))
    life = Life(market)
    try:
        for _ in range(STEPS):
            chance.choice(
                (life.something_goes_wrong, life.all_is_well_for_a_moment, life.it_is_killed, life.it_is_stopped)
            )(chance)
    finally:
        life.end()


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
