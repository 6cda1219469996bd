"""Each fault on each kind of write: the operator retries with backoff, and the write succeeds after the fault.

All pairs of a fault and a kind of write run at the same time, each with a resource of its own. The resources are
suspended, so that no pods load the cluster.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import pytest

from api_calls import Call
from api_proxy import Fault, Hang, Pick, Refuse, Reset
from end_state import differences
from market_operator.scheduling.work_queue import delays

# One worker for all: they share one setup of many resources.
pytestmark = [pytest.mark.xdist_group("failing writes"), pytest.mark.timeout(560)]

FAULTS: dict[str, Fault] = {
    "403": Refuse(403),
    "404": Refuse(404),
    "409": Refuse(409),
    "429": Refuse(429, retry_after_s=1),
    "500": Refuse(500),
    "503": Refuse(503),
    "reset before it is written": Reset(),
    "reset after it is written": Reset(after_forwarding=True),
    "timeout": Hang(),
}
WRITES = [
    ("PATCH", "networkpolicies"),
    ("PATCH", "configmaps"),
    ("PATCH", "services"),
    ("PATCH", "poddisruptionbudgets"),
    ("PATCH", "deployments"),
    ("PATCH", "marketcollectors/status"),
    ("DELETE", "configmaps"),
    ("DELETE", "services"),
    ("DELETE", "poddisruptionbudgets"),
    ("DELETE", "deployments"),
]
PAIRS = [(fault, *write) for fault in FAULTS for write in WRITES]
# Least number of calls of a pair that meet the fault. A write that took effect in spite of it may not be retried at all,
# and a timeout takes 30 s.
TRIES = 4
ONCE = ("timeout", "reset after it is written")
# Reconciles that events of other objects may cause, regardless of the backoff.
EVENT_RECONCILES = 12


@dataclass(frozen=True)
class Outcome:
    """The result of one pair: the calls that met the fault, and the deviations from a run without a fault."""

    tries: list[Call]
    differences: list[str]

    def too_many(self) -> list[str]:
        """Objects that were retried more often than the backoff allows with its shortest delays."""
        times: dict[str, list[float]] = {}
        for call in self.tries:
            times.setdefault(call.name, []).append(call.time)
        allowed = {name: EVENT_RECONCILES + _tries_within(tries[-1] - tries[0]) for name, tries in times.items()}
        return [f"{name}: {len(times[name])} of {most}" for name, most in allowed.items() if len(times[name]) > most]


def _tries_within(seconds: float) -> int:
    return sum(1 for _ in itertools.takewhile(lambda due: due <= seconds, _earliest()))


def _earliest() -> Iterator[float]:
    return itertools.accumulate(delays(chance=lambda: 1.0))


@pytest.fixture(scope="module")
def outcomes(new_ground: Callable[[], AbstractContextManager[Any]]) -> Iterator[dict[Any, Outcome]]:
    with new_ground() as ground:
        ground.start("--workers", "24", "--health-via", "direct", "--allow-from", '{"podSelector": {}}')
        names = {pair: f"case-{number:02}" for number, pair in enumerate(PAIRS)}
        picks = {pair: _break(ground, name, pair) for pair, name in names.items()}
        for name in ("plain", *names.values()):
            ground.place.create(name, symbols=["ADA-USDT", "BTC-USDT"], shards=2, replicas=2, suspend=True)
        _wait_for_tries(ground, {pair: pick for pair, pick in picks.items() if pair[1] == "PATCH"})
        ground.proxy.heal(*(picks[pair] for pair in PAIRS if pair[1] == "PATCH"))
        _wait_for_two_shards(ground, names)
        for name in ("plain", *names.values()):
            ground.place.change(name, shards=1)
        _wait_for_tries(ground, picks)
        ground.proxy.heal()
        yield _settled(ground, names, picks)


def _break(ground: Any, name: str, pair: tuple[str, str, str]) -> Pick[Call]:
    fault, method, kind = pair

    def match(call: Call) -> bool:
        return call.method == method and call.kind == kind and call.is_of(name)

    # Each timeout takes 30 s.
    return ground.proxy.on(match, FAULTS[fault], times=1 if fault == "timeout" else None)  # type: ignore[no-any-return]


def _wait_for_tries(ground: Any, picks: dict[Any, Pick[Call]]) -> None:
    def tried() -> None:
        missing = [pair for pair, pick in picks.items() if pick.hits < (1 if pair[0] in ONCE else TRIES)]
        assert missing == []

    ground.eventually(tried, pods=False)


def _wait_for_two_shards(ground: Any, names: dict[Any, str]) -> None:
    deployments = {f"{name}-{shard}" for pair, name in names.items() if pair[0] != "timeout" for shard in (0, 1)}

    def made() -> None:
        assert deployments <= ground.place.names("deployments")

    ground.eventually(made, pods=False)


def _settled(ground: Any, names: dict[Any, str], picks: dict[Any, Pick[Call]]) -> dict[Any, Outcome]:
    """Waits until all resources equal the one without a fault, or for 4 minutes: a delay doubles while its fault lasts."""
    deadline = time.monotonic() + 240
    while (left := _differences(ground, names)) and time.monotonic() < deadline:
        time.sleep(1)
    return {pair: Outcome(picks[pair].taken, left.get(pair, [])) for pair in names}


def _differences(ground: Any, names: dict[Any, str]) -> dict[Any, list[str]]:
    states = ground.states(("plain", *names.values()))
    found = {pair: differences(states[name], states["plain"]) for pair, name in names.items()}
    return {pair: lines for pair, lines in found.items() if lines}


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_failed_write_is_retried_until_it_succeeds(outcomes: dict[Any, Outcome], pair: Any) -> None:
    assert outcomes[pair].tries, "no such write; the test shows nothing"
    assert outcomes[pair].differences == []


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] != "timeout"], ids=" ".join)
def test_repeatedly_failing_write_is_retried_with_backoff(outcomes: dict[Any, Outcome], pair: Any) -> None:
    assert outcomes[pair].too_many() == []
