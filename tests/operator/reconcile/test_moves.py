"""A shard keeps its pods until their streams are delivered elsewhere."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from market_operator.cluster.actions import Apply, Delete
from market_operator.manifests.build import build_desired_state
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.cache import Observed, name_of
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.observed.reports import read_report
from market_operator.reconcile.moves import UNREADY_FOR_S, held_shards
from market_operator.reconcile.plan import plan
from market_operator.resource.document import Resource

SYMBOLS = ["BTC-USDT", "ETH-USDT"]
NOW = 1_000_000.0


class Situation:
    """Deployments of one spec, a new spec, and pods with the symbols that they deliver."""

    def __init__(
        self, make: Callable[..., Resource], pod: Callable[..., Pod], report_document: Callable[..., Any], before: int
    ) -> None:
        self._make, self._pod, self._report = make, pod, report_document
        self.before = self.spec(before)
        self.pods: list[Pod] = []
        self.probes: dict[str, ProbeResult] = {}

    def spec(self, shards: int, **spec: Any) -> DesiredState:
        fields = {"symbols": SYMBOLS, "shards": shards, "dataTypes": ["trade", "ticker"], **spec}
        return build_desired_state(self._make(**fields), "image")

    def runs(self, shard: int, *symbols: str, state: str = "live", template: str = "", **changes: Any) -> Pod:
        uid = f"pod-{len(self.pods)}"
        pod = replace(self._pod(uid=uid, shard=shard, template=template), ready_changed_at=NOW - 60)
        self.pods.append(replace(pod, **changes))
        streams = [{"stream": f"{s}/{kind}", "state": state} for s in symbols for kind in ("trade", "ticker")]
        self.probes[uid] = ProbeResult(read_report(json.dumps(self._report(uid=uid, shard=shard, streams=streams))))
        return self.pods[-1]

    @property
    def observed(self) -> Observed:
        return Observed({name_of(child): child for child in self.before.children}, tuple(self.pods))

    def held(self, desired: DesiredState, now: float = NOW) -> set[int]:
        return set(held_shards(desired, self.observed, self.probes, now))


@pytest.fixture
def situation(
    resource: Callable[..., Resource], pod: Callable[..., Pod], report_document: Callable[..., Any]
) -> Callable[[int], Situation]:
    return lambda before: Situation(resource, pod, report_document, before)


def test_removed_shard_stays_until_the_other_delivers_its_symbol(situation: Callable[[int], Situation]) -> None:
    here = situation(2)
    one = here.spec(1)
    (kept,), (moved,) = here.before.symbols
    here.runs(0, kept)
    here.runs(1, moved)
    assert here.held(one) == {1}
    new = here.runs(0, kept, moved, template=one.templates[0], is_running=False)
    assert here.held(one) == {1}
    here.pods[here.pods.index(new)] = replace(new, is_running=True)
    assert here.held(one) == set()


def test_shard_keeps_its_pods_until_a_new_shard_delivers_its_symbol(
    situation: Callable[[int], Situation],
) -> None:
    here = situation(1)
    two = here.spec(2)
    here.runs(0, *SYMBOLS)
    assert here.held(two) == {0}
    here.runs(1, *two.symbols[1], state="pending", template=two.templates[1])
    assert here.held(two) == {0}
    here.runs(1, *two.symbols[1], template=two.templates[1])
    assert here.held(two) == set()


def test_symbols_that_are_removed_hold_nothing(situation: Callable[[int], Situation]) -> None:
    here = situation(1)
    here.runs(0, *SYMBOLS)
    assert here.held(here.spec(1, symbols=SYMBOLS[:1])) == set()


def test_streams_that_the_old_pod_does_not_deliver_hold_nothing(situation: Callable[[int], Situation]) -> None:
    here = situation(1)
    here.runs(0, *SYMBOLS, state="stale")
    assert here.held(here.spec(2)) == set()


def test_data_types_that_are_removed_hold_nothing(situation: Callable[[int], Situation]) -> None:
    here = situation(1)
    here.runs(0, *SYMBOLS)
    two = here.spec(2, dataTypes=["trade"])
    here.runs(1, *two.symbols[1], template=two.templates[1])
    assert here.held(two) == set()


def test_suspended_resource_holds_nothing(situation: Callable[[int], Situation]) -> None:
    here = situation(2)
    here.runs(1, "ETH-USDT")
    assert here.held(here.spec(1, suspend=True)) == set()


def test_two_shards_that_exchange_symbols_do_not_wait_for_each_other(situation: Callable[[int], Situation]) -> None:
    here = situation(2)
    here.runs(0, *here.before.symbols[1])
    here.runs(1, *here.before.symbols[0])
    assert here.held(here.before) == set()


@pytest.mark.parametrize(
    ("is_ready", "since_s", "is_held"),
    [(True, 2.0, True), (True, 7.0, False), (False, 2.0, True), (False, UNREADY_FOR_S + 1, False)],
)
def test_pod_that_delivers_is_not_replaced_before_it_is_available(
    situation: Callable[[int], Situation], is_ready: bool, since_s: float, is_held: bool
) -> None:
    here = situation(1)
    here.runs(0, *SYMBOLS, is_ready=is_ready, ready_changed_at=NOW - since_s)
    assert here.held(here.spec(1, logLevel="debug")) == ({0} if is_held else set())


def test_first_change_waits_for_nothing(situation: Callable[[int], Situation]) -> None:
    """A Deployment controller keeps the pods of one old template until their successors are available."""
    here = situation(1)
    here.runs(0, *SYMBOLS, ready_changed_at=NOW)
    (deployment,) = [child for child in here.before.children if child["kind"] == "Deployment"]
    deployment["status"] = {"updatedReplicas": 1, "replicas": 1}
    assert here.held(here.spec(1, logLevel="debug")) == set()


def test_available_or_silent_pods_hold_no_change(situation: Callable[[int], Situation]) -> None:
    here = situation(1)
    here.runs(0, template=here.before.templates[0], is_ready=False, ready_changed_at=NOW)
    assert here.held(here.spec(1, logLevel="debug")) == set()
    here.runs(0, *SYMBOLS, template=here.before.templates[0], ready_changed_at=NOW)
    assert here.held(here.before) == set()


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_scaled_shards_stay_until_their_pods_are_probed(
    situation: Callable[[int], Situation], before: int, after: int
) -> None:
    """As after a start of the operator, when a resource was scaled meanwhile."""
    here = situation(before)
    for shard, symbols in enumerate(here.before.symbols):
        here.runs(shard, *symbols)
    known, here.probes = here.probes, {}
    assert here.held(here.spec(after)) == {*range(before)}
    assert here.held(here.spec(before, logLevel="debug")) == set(), "no stream moves"
    here.probes = {uid: ProbeResult(problem="no answer") for uid in known}
    assert here.held(here.spec(after)) == set()


@pytest.mark.parametrize("state", [{"ip": ""}, {"is_running": False}, {"is_terminating": True}])
def test_pod_that_is_not_probed_holds_nothing(situation: Callable[[int], Situation], state: dict[str, Any]) -> None:
    here = situation(1)
    here.runs(0, *SYMBOLS, **state)
    here.probes = {}
    assert here.held(here.spec(2)) == set()


def test_held_shard_keeps_all_of_its_objects(situation: Callable[[int], Situation]) -> None:
    here = situation(2)
    for child in here.before.children:
        child["metadata"]["uid"] = "uid"
    one = here.spec(1)
    actions = plan(here.observed, one, {0, 1})
    assert not [action for action in actions if isinstance(action, Delete)]
    assert {action.manifest["kind"] for action in actions if isinstance(action, Apply)} == {"ConfigMap"}
    freed = plan(here.observed, one, ())
    assert {action.kind for action in freed if isinstance(action, Delete)} >= {"Deployment", "Service"}
    assert "Deployment" in {action.manifest["kind"] for action in freed if isinstance(action, Apply)}
