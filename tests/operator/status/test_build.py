from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_operator.errors import ApiError
from market_operator.manifests.build import build_desired_state
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.counters import LARGEST, Counters, CounterState, Sample, read_counters
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.document import Document, Resource
from market_operator.resource.status import PENDING, Status
from market_operator.status.build import new_status, status_after_error, stored_conditions, summarise_symbols
from market_operator.status.events import condition_events, event, warning
from market_operator.status.patch import change, merge_patch
from market_operator.status.snapshot import Failure, Snapshot

NOW = 1_795_345_600.0
TALLY = CounterState({0: Counters(messages=5)}, (Sample("pod-1/1", 0, "p", Counters(messages=7, reconnections=2)),))
JSON = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
Make = Callable[..., Any]


@pytest.fixture
def snapshot(pod: Callable[..., Pod], report: Callable[..., Report]) -> Callable[..., Snapshot]:
    def make(resource: Resource, now: float = NOW, **fields: Any) -> Snapshot:
        desired = build_desired_state(resource, "image:1")
        pods = (pod(template=desired.templates[0]),)
        probes = {"pod-1": ProbeResult(report(**fields))}
        return Snapshot(desired, "", {}, pods, probes, (), stored_conditions(resource), now)

    return make


def test_status_has_only_fields_of_the_schema(resource: Make, snapshot: Make) -> None:
    status = new_status(resource(), snapshot(resource()), TALLY)
    dumped = Status.model_validate(status).model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert dumped == status


def test_status_keeps_every_limit_of_the_schema(resource: Make, snapshot: Make) -> None:
    """The API server would refuse it as a whole, with the conditions."""
    long, most = "x" * 10_000, 10**30
    hostile: dict[str, Any] = {
        "counters": dict.fromkeys(("messages", "records", "missingTrades"), most),
        "streams": [{"stream": f"{number}{long}", "state": long, "reason": long} for number in range(100)],
        "lastReconnect": {"time": "0099-01-01T00:00:00Z", "reason": long},
        "sinks": [{"name": f"{number}{long}", "healthy": False, "error": long} for number in range(100)],
    }
    wide = resource(symbols=[f"{number:09}{'C' * 20}-USDT" for number in range(500)], shards=64)
    seen = replace(snapshot(wide, **hostile), failures=(Failure("Deployment a", ApiError(422, "Invalid", long * 9)),))
    seen = replace(seen, desired=replace(seen.desired, image=long))
    counters = CounterState(dict.fromkeys(range(64), read_counters(hostile["counters"], LARGEST)))
    Status.model_validate(new_status(wide, seen, counters))
    assert counters.total.messages == LARGEST


def test_the_status_in_numbers(resource: Make, snapshot: Make) -> None:
    status = new_status(resource(), snapshot(resource()), TALLY)
    assert (status["messages"], status["reconnections"]) == (12, 2)
    assert status["streams"] == {"total": 3, "live": 3, "summary": "3/3"}
    assert (status["pods"], status["shards"], status["readyShards"]) == ("1/1", 1, 1)
    assert (status["image"], status["symbols"], status["health"]) == ("image:1", "BTC-USDT", "Healthy")
    assert status["selector"] == "marketcollector.dev/collector=okx-btc"
    assert status["lastMessageTime"] == "2026-11-22T10:05:00Z"


LATE = "2026-11-22T11:07:41Z"
"""61 s after NOW."""


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", LATE, "0099-01-01T00:00:00Z"])
def test_impossible_time_of_a_pod_is_not_kept(resource: Make, snapshot: Make, time: str) -> None:
    """The newest time is kept, so a wrong clock would hide every later message."""
    stored = {"lastMessageTime": "2026-11-22T11:00:00Z", "lastReconnect": {"time": "2026-11-22T10:00:00Z"}}
    known = resource(status=stored)
    fields = {"lastMessageTime": time, "lastReconnect": {"time": time, "reason": "z"}}
    status = new_status(known, snapshot(known, **fields), TALLY)
    assert status["lastMessageTime"] == "2026-11-22T11:00:00Z"
    assert status["lastReconnect"] == {"time": "2026-11-22T10:00:00Z", "reason": ""}


def test_impossible_time_in_the_status_is_corrected(resource: Make, snapshot: Make) -> None:
    stored = {"lastMessageTime": LATE, "lastReconnect": {"time": "9999-12-31T23:59:59Z", "reason": "z"}}
    known = resource(status=stored)
    time = "2026-11-22T11:07:39Z"
    status = new_status(known, snapshot(known, lastMessageTime=time, lastReconnect=None), TALLY)
    assert status["lastMessageTime"] == time
    assert change(stored, status).patch["lastReconnect"] is None


def test_impossible_time_of_a_stream_is_not_shown(resource: Make, snapshot: Make) -> None:
    stale = {"stream": "BTC-USDT/trade", "state": "stale", "since": LATE}
    known = resource()
    status = new_status(known, snapshot(known, streams=[stale]), TALLY)
    assert status["unhealthyStreams"] == [{"stream": "BTC-USDT/trade", "reason": "stale"}]
    assert LATE not in str(status["conditions"])


def test_status_after_an_error_keeps_the_other_conditions(resource: Make, snapshot: Make) -> None:
    before = resource(status=new_status(resource(), snapshot(resource()), TALLY))
    failed = status_after_error(before, "KeyError('x')", NOW + 60)
    ready, accepted = failed["conditions"][0], failed["conditions"][1]
    assert (ready["status"], ready["reason"], accepted["status"]) == ("Unknown", "InternalError", "True")
    assert ready["lastTransitionTime"] > accepted["lastTransitionTime"]
    again = resource(status={**before.status, **failed})
    assert status_after_error(again, "KeyError('x')", NOW + 90) == failed, "nothing to write a second time"
    assert Status.model_validate(failed)


def test_control_characters_of_a_container_reach_no_status(resource: Make, snapshot: Make, pod: Make) -> None:
    words = {"terminated": {"reason": "Error", "exitCode": 1, "message": "\x1b]0;x\x07\u202e\n\x9b2J"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off\x1b[2J"}}
    seen = snapshot(resource())
    crashing = pod(template=seen.desired.templates[0], state=waiting, last_state=words, restarts=5)
    status = new_status(resource(), replace(seen, pods=(crashing,)), TALLY)
    assert "CrashLooping" in str(status)
    assert all(each["message"].isprintable() for each in status["conditions"])
    [event_] = [each for each in condition_events([], status["conditions"]) if each.is_warning][:1]
    assert event(event_, resource(), "operator-0", NOW)["note"].isprintable()
    assert warning("StatusRefused", "a\x1b[2J", resource(), "operator-0", NOW)["note"].isprintable()


def test_gap_totals_are_reported(resource: Make, snapshot: Make) -> None:
    counted = Counters(
        gaps_detected=4, gaps_repaired=2, gaps_lost=1, missing_trades=9, recovered_trades=6, lost_trades=2
    )
    status = new_status(resource(), snapshot(resource()), CounterState({0: counted, 1: Counters(skipped_updates=7)}))
    assert status["gaps"] == {
        "detected": 4,
        "repaired": 2,
        "lost": 1,
        "open": 0,
        "missingTrades": 9,
        "recoveredTrades": 6,
        "lostTrades": 2,
    }
    assert status["skippedUpdates"] == 7


def test_second_status_of_an_unchanged_snapshot_is_equal(resource: Make, snapshot: Make) -> None:
    first = new_status(resource(), snapshot(resource()), TALLY)
    again = resource(status=first)
    assert change(first, new_status(again, snapshot(again, now=NOW + 60), TALLY)).patch == {}


def test_a_condition_keeps_its_time_while_its_status_stays(resource: Make, snapshot: Make) -> None:
    before = resource(status=new_status(resource(), snapshot(resource()), TALLY))
    gap = {"id": "1", "stream": "BTC-USDT/trade", "state": "open"}
    after = new_status(before, snapshot(before, now=NOW + 60, gaps=[gap]), TALLY)
    times = {each["type"]: each["lastTransitionTime"] for each in after["conditions"]}
    assert times["Complete"] > times["Ready"]


def test_the_default_time_of_a_new_resource_is_not_kept(resource: Make, snapshot: Make) -> None:
    fresh = resource(status=PENDING)
    status = new_status(fresh, snapshot(fresh), TALLY)
    assert all(each["lastTransitionTime"].startswith("2026") for each in status["conditions"])


def test_observed_generation_is_that_of_the_snapshot(resource: Make, snapshot: Make) -> None:
    status = new_status(resource(generation=4), snapshot(resource(generation=4)), TALLY)
    assert {each["observedGeneration"] for each in status["conditions"]} == {4} == {status["observedGeneration"]}


def test_conditions_of_another_generation_are_not_kept(resource: Make) -> None:
    conditions = [
        {"type": "Accepted", "status": "True", "reason": "A", "message": "m", "observedGeneration": 1},
        {"type": "Streaming", "status": "True", "reason": "A", "message": "m", "observedGeneration": 2},
    ]
    assert list(stored_conditions(resource(generation=2, status={"conditions": conditions}))) == ["Streaming"]


def test_times_never_go_back(resource: Make, snapshot: Make) -> None:
    old = {"lastMessageTime": "2026-11-22T11:00:00Z", "lastReconnect": {"time": "2026-11-22T11:00:00Z", "reason": "x"}}
    stored = resource(status=old)
    status = new_status(stored, snapshot(stored), TALLY)
    assert (status["lastMessageTime"], status["lastReconnect"]) == (old["lastMessageTime"], old["lastReconnect"])


def test_streams_keep_their_status_until_the_first_probe(resource: Make, snapshot: Make) -> None:
    before = resource(status=new_status(resource(), snapshot(resource()), TALLY))
    seen = snapshot(before)
    has_unprobed_pods = Snapshot(seen.desired, "", {}, seen.pods, {}, (), seen.before, NOW + 5)
    assert change(before.status, new_status(before, has_unprobed_pods, TALLY)).patch == {}


def test_unhealthy_streams_are_named_at_most_twenty(resource: Make, snapshot: Make) -> None:
    streams = [{"stream": f"C{quantity:02}-USDT/trade", "state": "stale", "reason": "NoData"} for quantity in range(30)]
    found = new_status(resource(), snapshot(resource(), streams=streams), TALLY)["unhealthyStreams"]
    assert len(found) == 20
    assert found[0] == {"stream": "C00-USDT/trade", "reason": "stale: NoData"}


def test_status_of_an_invalid_spec_has_no_workload(resource: Make) -> None:
    status = new_status(resource(), Snapshot(None, "bad", {}, (), {}, (), {}, NOW), CounterState())
    assert status["health"] == "Unhealthy"
    assert "pods" not in status


def turn(message: str, reason: str = "A") -> Document:
    return {"type": "SinksHealthy", "status": "False", "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("old", "new", "is_counting"),
    [
        ({"messages": 1}, {"messages": 2}, True),
        ({"gaps": {"detected": 1, "open": 0}}, {"gaps": {"detected": 2, "open": 0}}, True),
        ({"gaps": {"detected": 1, "open": 0}}, {"gaps": {"detected": 2, "open": 1}}, False),
        ({"messages": 1, "health": "Healthy"}, {"messages": 2, "health": "Degraded"}, False),
        ({"streams": {"live": 1}}, {"streams": {"live": 2}}, False),
        ({"conditions": [turn("a sentence")]}, {"conditions": [turn("another")]}, True),
        ({"conditions": [turn("a sentence")]}, {"conditions": [turn("another", reason="B")]}, False),
        ({"conditions": [turn("a sentence")]}, {"conditions": []}, False),
    ],
)
def test_change_of_only_counters_and_messages_can_wait(old: Document, new: Document, is_counting: bool) -> None:
    assert change(old, new).is_counting is is_counting


def test_fields_of_a_later_release_stay_and_obsolete_ones_go() -> None:
    later = {"future": "x", "gaps": {"open": 0, "future": 1}, "pods": "1/1", "messages": 1}
    assert change(later, {"gaps": {"open": 0}, "messages": 1}).patch == {"pods": None}


def test_counters_of_a_later_release_stay_in_replaced_lists() -> None:
    def shard(quantity: int, messages: int, **later: int) -> Document:
        counters = {"messages": messages, **later}
        return {"shard": quantity, "base": counters, "epochs": [{"epoch": "u/1", **counters}]}

    old = {"shardStatuses": [{**shard(0, 1, future=7), "future": 7}, shard(1, 1)]}
    patch = change(old, {"shardStatuses": [shard(0, 2), shard(2, 3)]}).patch
    assert patch == {"shardStatuses": [{**shard(0, 2, future=7), "future": 7}, shard(2, 3)]}
    assert change(old | patch, {"shardStatuses": [shard(0, 2), shard(2, 3)]}).patch == {}


def applied(document: Any, patch: Any) -> Any:
    """JSON merge patch as RFC 7386 writes it."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


@given(old=st.dictionaries(st.text(max_size=2), JSON), new=st.dictionaries(st.text(max_size=2), JSON))
def test_the_patch_leads_from_the_old_to_the_new(old: Document, new: Document) -> None:
    assert applied(old, merge_patch(old, new)) == new
    assert merge_patch(new, new) == {}


def test_long_symbol_list_is_abbreviated(resource: Make) -> None:
    many = build_desired_state(resource(symbols=["A-B", "C-D", "E-F", "G-H", "I-J"]), "image").spec
    assert summarise_symbols(many) == "A-B, C-D, E-F +2"
