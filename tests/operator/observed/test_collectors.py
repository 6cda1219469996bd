import json
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.collectors import Collectors
from market_operator.observed.counters import fold, read_counter_state, write_counter_state
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.shares import KEPT_BYTES, Shares

Make = Callable[..., Any]


@pytest.fixture
def seen() -> Collectors:
    return Collectors()


def ended(words: dict[str, Any]) -> dict[str, Any]:
    return {"terminated": {"exitCode": 0, "message": json.dumps(words)}}


def test_report_counts_as_changed_once(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    assert seen.record_probe(pod(), report()) == "conditions"
    assert seen.record_probe(pod(), report()) == "nothing"
    assert seen.record_probe(pod(), report(counters={"messages": 11})) == "counters"
    assert seen.record_probe(pod(), report(health="Degraded")) == "conditions"


def test_failed_probe_keeps_the_last_report_and_the_start_of_the_failure(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    seen.record_probe(pod(), report())
    assert seen.record_failure(pod(), "timed out", 100.0)
    assert not seen.record_failure(pod(), "timed out", 102.0)
    look = seen.probes["pod-1"]
    assert (look.report, look.problem, look.failing_since) == (report(), "timed out", 100.0)


def test_report_after_a_failure_counts_as_changed(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    seen.record_probe(pod(), report())
    seen.record_failure(pod(), "timed out", 100.0)
    assert seen.record_probe(pod(), report()) == "conditions"


def test_termination_message_is_counted(seen: Collectors, pod: Callable[..., Pod], report_document: Make) -> None:
    crashed = pod(last_state=ended(report_document(counters={"messages": 12})))
    seen.record_termination(crashed)
    assert [each.counters.messages for each in seen.samples(crashed.key, [])] == [12]


def test_termination_message_has_the_last_positions(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report], report_document: Make
) -> None:
    seen.record_probe(pod(), report(positions=ended_at(7)))
    crashed = pod(last_state=ended(report_document(positions=ended_at(9))))
    seen.record_termination(crashed)
    seen.stopped(crashed)
    assert json.loads(seen.positions[crashed.key][crashed.uid]) == ended_at(9)


@pytest.mark.parametrize("fields", [{}, {"positions": {}}, {"positions": {"BTC-USDT/trade": {"line": {"last": 7}}}}])
def test_termination_message_hides_no_newer_positions(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report], report_document: Make, fields: Any
) -> None:
    """It stays in the status of the pod while the next container runs."""
    restarted = pod(last_state=ended(report_document(**fields)))
    seen.record_termination(restarted)
    seen.record_probe(restarted, report(start="2026-11-22T11:00:00.000Z", positions=ended_at(9)))
    seen.record_termination(restarted)
    assert json.loads(seen.positions[restarted.key][restarted.uid]) == ended_at(9)
    seen.stopped(restarted)
    seen.record_termination(restarted)
    assert json.loads(seen.positions[restarted.key][restarted.uid]) == ended_at(9)


def ended_at(last: int) -> dict[str, Any]:
    return {"BTC-USDT/trade": {"line": {"last": last}}}


def test_log_tail_is_no_termination_message(seen: Collectors, pod: Callable[..., Pod]) -> None:
    crashed = pod(last_state={"terminated": {"message": "Traceback (most recent call last)"}})
    seen.record_termination(crashed)
    assert seen.samples(crashed.key, []) == []


def test_termination_message_of_another_pod_is_ignored(
    seen: Collectors, pod: Callable[..., Pod], report_document: Make
) -> None:
    liar = pod(uid="pod-2", last_state=ended(report_document(uid="pod-1")))
    seen.record_termination(liar)
    assert seen.samples(liar.key, []) == []


def test_killed_collector_counts_by_its_last_report(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    seen.record_probe(pod(), report())
    seen.stopped(pod())
    assert seen.probes == {}
    assert [each.counters.messages for each in seen.samples(pod().key, [])] == [10]


def test_unnoticed_restart_loses_no_count(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    seen.record_probe(pod(), report())
    seen.record_probe(pod(), report(start="2026-11-22T11:00:00.000Z", counters={"messages": 1}))
    assert sum(each.counters.messages for each in seen.samples(pod().key, [pod()])) == 11


def test_stored_epochs_are_dropped_and_their_late_reports_ignored(
    seen: Collectors, pod: Callable[..., Pod], report_document: Make
) -> None:
    gone = pod(last_state=ended(report_document()))
    seen.record_termination(gone)
    stored = fold(read_counter_state([]), seen.samples(gone.key, []), set())
    seen.drop_stored(gone.key, read_counter_state(write_counter_state(stored)), set())
    seen.record_termination(gone)
    assert seen.samples(gone.key, []) == []


def test_deleted_resource_leaves_no_termination_messages(
    seen: Collectors, pod: Callable[..., Pod], report_document: Make
) -> None:
    seen.record_termination(pod(last_state=ended(report_document())))
    seen.forget(pod().key)
    assert seen.samples(pod().key, []) == []


def test_reports_of_many_streams_have_a_share_of_the_memory(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    seen.shares = Shares(1_000_000)

    def large(uid: str, count: int = 3_000) -> Report:
        streams = [{"stream": f"S{number:04d}-USDT/trade", "state": "stale"} for number in range(count)]
        return report(uid, streams=streams, positions={"S0001-USDT/trade": {"line": {"last": 7}}})

    pods = [pod(uid) for uid in ("a", "b", "c", "d", "e")]
    while seen.has_room(pods[0], large(pods[0].uid)):
        first = pods.pop(0)
        seen.record_probe(first, large(first.uid))
    assert len(seen.probes) == 3
    assert seen.has_room(pods[0], report(pods[0].uid)), "few streams take no share"
    assert seen.has_room(pod("next-door", namespace="quiet"), large("next-door"))
    assert seen.has_room(first, large(first.uid)), "its next report takes the place of the last one"
    seen.record_probe(first, report(first.uid))
    assert seen.has_room(pods[0], large(pods[0].uid))


def test_memory_of_a_stopped_pod_is_free_again(
    seen: Collectors, pod: Callable[..., Pod], report: Callable[..., Report]
) -> None:
    positions = {f"S{number:04d}-USDT/trade": {"line": {"last": 7}} for number in range(3_000)}
    for uid in ("a", "b", "c"):
        seen.record_probe(pod(uid), report(uid, positions=positions))
        seen.stopped(pod(uid))
    assert not seen.shares.may_take("md", KEPT_BYTES - 1), "where it ended is still needed"
    seen.drop_positions(pod().key, ["a", "b"])
    seen.drop_positions(pod().key, ["a"])
    seen.forget(pod().key)
    assert seen.shares == Shares(KEPT_BYTES)
