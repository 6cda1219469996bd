"""The time of a snapshot: how long its reports are trusted, and when it expires."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from market_operator.errors import ApiError
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.status.snapshot import TRUST_REPORT_FOR_S, Failure, Snapshot

NOW = 1_795_341_605.0
"""5 s after the play-pods' containers started."""
EMPTY = Snapshot(None, "", {}, (), {}, (), {}, NOW)


@pytest.fixture
def failing(pod: Callable[..., Pod], report: Callable[..., Report]) -> Callable[[float], Snapshot]:
    """Makes a snapshot with one pod whose probes have failed for the given seconds."""

    def make(seconds: float) -> Snapshot:
        return replace(EMPTY, pods=(pod(),), probes={"pod-1": ProbeResult(report(), "timed out", NOW - seconds)})

    return make


def test_snapshot_expires_when_a_report_is_no_longer_trusted(failing: Callable[[float], Snapshot]) -> None:
    assert failing(4).expires_in == TRUST_REPORT_FOR_S - 4
    assert failing(TRUST_REPORT_FOR_S + 4).expires_in is None
    assert EMPTY.expires_in is None


def test_snapshot_expires_when_a_crashed_container_is_trusted_again(pod: Callable[..., Pod]) -> None:
    times = {"startedAt": "2026-11-22T09:59:00Z", "finishedAt": "2026-11-22T09:59:20Z"}
    again = pod(last_state={"terminated": {"exitCode": 1, **times}}, restarts=2)
    assert replace(EMPTY, pods=(again,)).expires_in == 55.0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ApiError(503, "ServiceUnavailable", ""), True),
        (ApiError(429, "TooManyRequests", ""), True),
        (ApiError(0, "TimeoutError", ""), True),
        (ApiError(500, "InternalError", ""), True),
        (
            ApiError(500, "HTTP500", "failed to create typed patch object (a/b): .c: field not declared in schema"),
            False,
        ),
        (ApiError(409, "Conflict", ""), True),
        (ApiError(409, "NameTaken", ""), False),
        (ApiError(403, "Forbidden", ""), False),
        (ApiError(422, "Invalid", ""), False),
    ],
)
def test_a_write_is_retried_without_a_person_when_its_failure_may_pass(error: ApiError, expected: bool) -> None:
    broken = Failure("Service a", ApiError(422, "Invalid", ""))
    assert replace(EMPTY, failures=(Failure("Deployment a", error),)).is_retrying is expected
    assert not replace(EMPTY, failures=(Failure("Deployment a", error), broken)).is_retrying
