import json
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from market_operator.observed.handover import EMPTY, MAX_BYTES, Handovers
from market_operator.observed.pods import Pod
from market_operator.resource.naming import Key
from market_operator.resource.shares import KEPT_BYTES

KEY = Key("md", "okx-btc")
TRADE, BOOK = "BTC-USDT/trade", "BTC-USDT/orderbook"


def trade(last: int, time_ns: int = 1) -> dict[str, Any]:
    return {"line": {"last": last, "time_ns": time_ns}}


class Resource:
    """The document of one resource, as the reconciler asks for it."""

    def __init__(self, stored: str | None = None) -> None:
        self.handovers = Handovers()
        self.stored = stored
        self.is_new = False
        self.is_old = False
        self.is_rolled_out = True

    def document(
        self, *pods: Pod, desired: tuple[str, ...] = (TRADE, BOOK), **reported: Mapping[str, Any]
    ) -> dict[str, Any]:
        positions = {uid: json.dumps(streams) for uid, streams in reported.items()}
        text, self.is_new = self.handovers.document(
            KEY, self.stored, pods, positions, desired, lambda: self.is_old, lambda: self.is_rolled_out
        )
        self.stored = text or None
        document: dict[str, Any] = json.loads(text or EMPTY)
        return document


@pytest.fixture
def named(pod: Callable[..., Pod]) -> Callable[[str], Pod]:
    return lambda uid: pod(uid=uid)


def test_a_resource_has_no_document_before_its_first_pod_runs(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(replace(named("a"), is_running=False, started_at=0.0))
    assert resource.stored is None
    assert not resource.is_new
    resource.document(named("a"))
    assert resource.is_new


def test_a_document_that_is_not_kept_in_memory_stays() -> None:
    resource = Resource(stored="")
    resource.document()
    assert resource.stored == EMPTY


def test_pods_are_in_it_as_soon_as_they_run(named: Callable[[str], Pod]) -> None:
    """A pod that finds itself in it knows that it lists every predecessor."""
    created = replace(named("a"), ip="", is_running=False, started_at=0.0)
    assert Resource().document(created)["running"] == {}
    found = Resource().document(replace(named("a"), is_running=False))
    assert found["running"] == {"a": {"address": "10.244.0.9:8080", "streams": None}}, "it may deliver any stream"


def test_pods_are_in_it_with_their_address(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    found = resource.document(named("a"), a={TRADE: trade(7)})
    assert found["running"] == {"a": {"address": "10.244.0.9:8080", "streams": {TRADE: trade(7)}}}
    assert resource.document(replace(named("b"), ip="fd00::1"), b={TRADE: trade(7)})["running"]["b"]["address"] == (
        "[fd00::1]:8080"
    )


def test_newer_positions_change_it_only_when_it_is_old(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    before = resource.document(named("a"), a={TRADE: trade(7)})
    assert resource.document(named("a"), a={TRADE: trade(9)}) == before
    assert not resource.is_new
    resource.is_old = True
    assert resource.document(named("a"), a={TRADE: trade(9)})["running"]["a"]["streams"] == {TRADE: trade(9)}


def test_one_more_stream_with_data_changes_it_at_once(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(named("a"), a={TRADE: trade(7)})
    both = {TRADE: trade(8), BOOK: {"line": {"head": 5}}}
    assert resource.document(named("a"), a=both)["running"]["a"]["streams"] == both


def test_pod_that_is_asked_to_stop_changes_it_at_once(named: Callable[[str], Pod]) -> None:
    """Its successor mounts the document within a second."""
    resource = Resource()
    resource.document(named("a"), a={TRADE: trade(7)})
    found = resource.document(replace(named("a"), is_terminating=True), a={TRADE: trade(9)})
    assert found["running"]["a"]["streams"] == {TRADE: trade(9)}


def test_pod_that_is_gone_leaves_its_last_positions(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(named("a"), a={TRADE: trade(7)})
    found = resource.document(a={TRADE: trade(9)})
    assert (found["ended"], found["running"]) == ({TRADE: trade(9)}, {})
    assert resource.document(named("b"), b={TRADE: trade(20)})["ended"] == {TRADE: trade(9)}


def test_evicted_pod_is_gone_although_it_still_exists(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(named("a"), a={TRADE: trade(7)})
    evicted = replace(named("a"), is_running=False, is_terminating=True, is_finished=True)
    assert resource.document(evicted, a={TRADE: trade(7)})["ended"] == {TRADE: trade(7)}


def test_crashed_container_keeps_its_place(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(named("a"), a={TRADE: trade(7)})
    crashed = replace(named("a"), is_running=False, started_at=0.0, ended="Error, exit code 1")
    assert resource.document(crashed, a={TRADE: trade(7)})["running"].keys() == {"a"}


def test_the_furthest_of_several_pods_counts(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(named("a"), named("b"), a={TRADE: trade(7)}, b={TRADE: trade(9)})
    assert resource.document()["ended"] == {TRADE: trade(9)}
    assert resource.document(c={TRADE: trade(8)})["ended"] == {TRADE: trade(9)}


def test_restarted_ids_count_by_their_time(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(a={TRADE: trade(900, time_ns=1)})
    assert resource.document(b={TRADE: trade(5, time_ns=2)})["ended"] == {TRADE: trade(5, time_ns=2)}


def test_pod_that_was_never_asked_leaves_unknown_positions(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(named("a"))
    assert resource.document()["ended"] == {TRADE: None, BOOK: None}
    assert resource.document(b={TRADE: trade(5)})["ended"] == {TRADE: trade(5), BOOK: None}
    resource.document(named("c"), b={TRADE: trade(5)})
    assert resource.document()["ended"][TRADE] == trade(5), "an old position is better than none"


def test_pod_that_never_ran_leaves_nothing(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(replace(named("a"), is_running=False, started_at=0.0))
    assert resource.document()["ended"] == {}


def test_pod_that_ended_without_data_leaves_nothing(named: Callable[[str], Pod]) -> None:
    """Its termination message has no position. A killed pod leaves no message, so its end is unknown."""
    resource = Resource()
    resource.document(named("a"), named("b"), a={}, b={TRADE: None})
    assert resource.document(named("b"), a={}, b={TRADE: None})["ended"] == {}
    assert resource.document(b={TRADE: None})["ended"] == {TRADE: None}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_end_of_a_pod_that_never_reported_is_unknown(named: Callable[[str], Pod], is_restarted: bool) -> None:
    before = Resource()
    before.document(named("a"), named("b"))
    after = Resource(before.stored) if is_restarted else before
    assert after.document(named("b"))["ended"] == {TRADE: None, BOOK: None}


def test_streams_that_are_not_desired_any_more_are_forgotten(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.document(a={TRADE: trade(7), BOOK: {"line": {"head": 5}}})
    assert resource.document(b={TRADE: trade(8)}, desired=(TRADE,))["ended"] == {TRADE: trade(8)}


@pytest.mark.parametrize("is_restarted", [False, True])
def test_streams_stay_while_a_pod_of_an_earlier_template_may_start(
    named: Callable[[str], Pod], is_restarted: bool
) -> None:
    """Such a pod has the streams that were removed. Without their end it would take them for new ones."""
    resource = Resource()
    positions = {TRADE: trade(7), BOOK: {"line": {"head": 5}}}
    resource.document(named("a"), a=positions)
    resource.is_rolled_out = False
    assert resource.document(a=positions, desired=(TRADE,))["ended"] == positions
    if is_restarted:
        resource = Resource(resource.stored)
        resource.is_rolled_out = False
    assert resource.document(named("b"), b={}, desired=(TRADE,))["ended"] == positions
    assert resource.document(named("b"), b={}, desired=(TRADE,))["ended"] == positions
    resource.is_rolled_out = True
    assert resource.document(named("b"), b={}, desired=(TRADE,))["ended"] == {TRADE: trade(7)}


def test_a_restarted_operator_continues_from_the_stored_document(named: Callable[[str], Pod]) -> None:
    before = Resource()
    before.document(named("a"), named("b"), a={TRADE: trade(7)}, b={BOOK: {"line": {"head": 5}}})
    after = Resource(before.stored)
    found = after.document(named("a"))
    assert found["running"]["a"]["streams"] == {TRADE: trade(7)}
    assert found["ended"] == {BOOK: {"line": {"head": 5}}}, "b went while the operator was away"


@pytest.mark.parametrize("damaged", ["{", "[]", '{"ended": 1, "running": {}}', '{"ended": {}, "running": {"a": 5}}'])
def test_a_damaged_document_is_replaced(named: Callable[[str], Pod], damaged: str) -> None:
    found = Resource(damaged).document(named("a"), a={TRADE: trade(7)})
    assert found["running"]["a"]["streams"] == {TRADE: trade(7)}


def test_a_forgotten_resource_has_an_empty_document_again() -> None:
    resource = Resource()
    resource.document(a={TRADE: trade(7)})
    resource.handovers.forget(KEY)
    resource.stored = None
    resource.document()
    assert resource.stored is None


def test_the_document_fits_a_configmap_and_loses_no_position(named: Callable[[str], Pod]) -> None:
    streams = {f"{n}-USDT/trade": {**trade(n), "gaps": ["x" * 300]} for n in range(1_500)}
    resource = Resource()
    found = resource.document(named("a"), named("b"), desired=tuple(streams), a=streams, b=streams)
    assert len(resource.stored or "") <= MAX_BYTES
    assert found["ended"] == streams or found["running"].keys() == {"a"}


def test_pods_say_nothing_of_streams_that_nobody_asked_for(named: Callable[[str], Pod]) -> None:
    others = {f"X{number}-USDT/trade": trade(1) for number in range(9_000)}
    found = Resource().document(named("a"), a={TRADE: trade(7), **others})
    assert found["running"]["a"]["streams"] == {TRADE: trade(7)}


def test_positions_of_many_pods_are_not_all_parsed_at_once(named: Callable[[str], Pod]) -> None:
    """Each has 800 kB, which would take 15 MB as Python objects."""
    streams = {f"{number}-USDT/trade": {**trade(number), "gaps": [[]] * 1_300} for number in range(200)}
    pods = {f"pod-{number}": json.dumps(streams, separators=(",", ":")) for number in range(20)}
    handovers, alive = Handovers(), [named(uid) for uid in pods]
    tracemalloc.start()
    text, _ = handovers.document(KEY, None, alive, pods, tuple(streams), lambda: False, lambda: True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(text) <= MAX_BYTES
    assert peak < 35_000_000


def test_documents_have_a_share_of_the_memory(named: Callable[[str], Pod]) -> None:
    resource = Resource()
    resource.handovers.shares.take("md", KEPT_BYTES // 2)
    streams = {f"{number}-USDT/trade": trade(number) for number in range(500)}
    assert resource.document(named("a"), desired=tuple(streams), a=streams)["running"] == {}
    assert resource.document(named("a"), desired=tuple(streams), a=streams)["ended"] == dict.fromkeys(streams)
    resource.handovers.forget(KEY)
    resource.handovers.shares.release("md", KEPT_BYTES // 2)
    assert resource.handovers.shares == Handovers().shares
