"""The Events that follow from changes of conditions, and their contents."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_operator.resource.document import Resource
from market_operator.resource.status import PENDING
from market_operator.status.events import ConditionEvent, condition_events, event
from market_operator.status.reasons import Reason

Recorded = list[tuple[str, str]]
DEFAULT: Any = PENDING["conditions"]


def condition(kind: str, status: str, reason: str, message: str = "", since: int = 0) -> dict[str, Any]:
    time = f"2026-11-22T10:00:{since:02}Z"
    return {"type": kind, "status": status, "reason": reason, "message": message or reason, "lastTransitionTime": time}


def ready(status: str, reason: str) -> dict[str, Any]:
    return condition("Ready", status, reason)


def changed(before: list[dict[str, Any]], *after: dict[str, Any]) -> Recorded:
    found = condition_events(before, after)
    return [("Warning" if each.is_warning else "Normal", each.conditions[0]["reason"]) for each in found]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # A normal start gives one Event, when the resource is Ready.
        (DEFAULT, ready("False", Reason.PODS_NOT_READY), []),
        (DEFAULT, ready("False", Reason.STREAMS_PENDING), []),
        ([], condition("Complete", "Unknown", Reason.PENDING), []),
        ([ready("False", Reason.PODS_NOT_READY)], ready("True", Reason.READY), [("Normal", "Ready")]),
        ([condition("Complete", "Unknown", Reason.PENDING)], condition("Complete", "True", Reason.NO_GAPS_OPEN), []),
        # A problem found by the first probe gives one.
        (DEFAULT, ready("False", Reason.INVALID_SPEC), [("Warning", "InvalidSpec")]),
        ([], condition("Accepted", "False", Reason.SYMBOL_NOT_FOUND), [("Warning", "SymbolNotFound")]),
        # A transient reason becomes a problem, although the status stays.
        (
            [condition("WorkloadReady", "False", Reason.PODS_NOT_READY)],
            condition("WorkloadReady", "False", Reason.CRASH_LOOPING),
            [("Warning", "CrashLooping")],
        ),
        # A problem starts, stays, gets another reason, ends.
        ([ready("True", Reason.READY)], ready("False", Reason.STREAMS_STALE), [("Warning", "StreamsStale")]),
        ([ready("False", Reason.STREAMS_STALE)], ready("False", Reason.STREAMS_STALE), []),
        ([ready("False", Reason.STREAMS_STALE)], ready("False", Reason.DISCONNECTED), []),
        (
            [condition("Complete", "False", Reason.GAPS_OPEN)],
            condition("Complete", "True", Reason.NO_GAPS_OPEN),
            [("Normal", "NoGapsOpen")],
        ),
        # A failed probe gives one, too.
        (
            [ready("True", Reason.READY)],
            ready("Unknown", Reason.COLLECTOR_UNREACHABLE),
            [("Warning", "CollectorUnreachable")],
        ),
        # Ready that turns False for an ordinary reason is Normal, no Warning.
        ([ready("True", Reason.READY)], ready("False", Reason.PODS_NOT_READY), [("Normal", "PodsNotReady")]),
        ([ready("False", Reason.ROLLING_OUT)], ready("True", Reason.SUSPENDED), [("Normal", "Suspended")]),
        # A rollout gives none.
        ([], condition("Reconciling", "True", Reason.ROLLING_OUT), []),
        ([], condition("Stalled", "True", Reason.QUOTA_EXCEEDED), [("Warning", "QuotaExceeded")]),
    ],
)
def test_events_follow_from_the_change_of_a_condition(
    before: list[dict[str, Any]], after: dict[str, Any], expected: Recorded
) -> None:
    assert changed(before, after) == expected


def crash(since: int = 0) -> tuple[dict[str, Any], ...]:
    return (
        condition("Ready", "False", Reason.CRASH_LOOPING, "Pod a ended 3 times", since),
        condition("WorkloadReady", "False", Reason.CRASH_LOOPING, "Pod a ended 3 times", since),
        condition("Stalled", "True", Reason.CRASH_LOOPING, "Pod a ended 3 times", since),
    )


def test_one_cause_gives_one_event_that_names_all_conditions(resource: Callable[..., Resource]) -> None:
    [found] = condition_events(DEFAULT, crash())
    document = event(found, resource(), "operator-0", 1_795_000_000.5)
    assert document["note"] == "Ready False, WorkloadReady False, Stalled True: Pod a ended 3 times"
    assert (document["type"], document["reason"], document["eventTime"]) == (
        "Warning",
        "CrashLooping",
        "2026-11-18T11:06:40.500000Z",
    )
    assert document["regarding"]["uid"] == "uid-1"


def name(found: tuple[ConditionEvent, ...], resource: Resource) -> str:
    return str(event(found[0], resource, "operator-0", 0.0)["metadata"]["name"])


def test_event_name_is_the_same_for_the_same_change_only(
    resource: Callable[..., Resource],
) -> None:
    once, again, later = (condition_events((), crash(since)) for since in (0, 0, 7))
    assert name(once, resource()) == name(again, resource()) != name(later, resource())


def test_names_and_notes_fit_the_api_server(resource: Callable[..., Resource]) -> None:
    long = condition_events((), [condition("Ready", "False", Reason.SINK_FAILING, "x" * 5000)])
    document = event(long[0], resource(name="a" * 253), "i" * 300, 0.0)
    assert len(document["metadata"]["name"]) <= 253
    assert len(document["note"]) == 1024
    assert len(document["reportingInstance"]) == 128


REASONS = st.sampled_from([value for key, value in vars(Reason).items() if key.isupper()])
CONDITIONS = st.dictionaries(
    st.sampled_from(["Ready", "Accepted", "Streaming", "Complete", "Stalled"]),
    st.tuples(st.sampled_from(["True", "False", "Unknown"]), REASONS),
)


@given(CONDITIONS)
def test_unchanged_condition_gives_no_event(found: dict[str, tuple[str, str]]) -> None:
    same = [condition(kind, status, reason) for kind, (status, reason) in found.items()]
    assert condition_events(same, same) == ()
