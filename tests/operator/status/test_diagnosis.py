"""Reasons why pods do not run or do not become ready."""

from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.pods import Pod
from market_operator.status.diagnosis import (
    TRUST_RESTARTED_AFTER_S,
    deployment_problem,
    is_observed,
    pod_problem,
    seconds_until_trusted,
)
from market_operator.status.reasons import Reason

Make = Callable[..., Pod]
STARTED = 1_795_341_600.0
"""2026-11-22T10:00:00Z, when the play-pods' containers started."""


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def ended(seconds: int, reason: str = "Error") -> dict[str, Any]:
    finished = f"2026-11-22T09:{seconds // 60:02}:{seconds % 60:02}Z"
    return {
        "terminated": {"reason": reason, "exitCode": 1, "startedAt": "2026-11-22T09:00:00Z", "finishedAt": finished}
    }


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (waiting("CreateContainerConfigError", 'secret "okx-key" not found'), Reason.SECRET_NOT_FOUND),
        (
            waiting("CreateContainerConfigError", "couldn't find key apiKey in Secret md/okx-key"),
            Reason.SECRET_NOT_FOUND,
        ),
        (waiting("CreateContainerConfigError", 'configmap "x" not found'), Reason.PODS_REFUSED),
        (waiting("RunContainerError", "exec format error"), Reason.PODS_REFUSED),
        (waiting("ImagePullBackOff", "no such image"), Reason.IMAGE_PULL_FAILED),
        ({**waiting("CrashLoopBackOff"), "last_state": ended(20, "OOMKilled"), "restarts": 3}, Reason.OOM_KILLED),
        ({**waiting("CrashLoopBackOff"), "last_state": ended(20), "restarts": 3}, Reason.CRASH_LOOPING),
    ],
)
def test_problem_quotes_the_pod(pod: Make, fields: dict[str, Any], reason: str) -> None:
    found = pod_problem(pod(**fields), STARTED)
    assert found is not None
    assert found.reason == reason
    assert fields["state"]["waiting"].get("message", "") in found.message


def test_container_that_is_being_created_is_no_problem(pod: Make) -> None:
    assert pod_problem(pod(**waiting("ContainerCreating")), STARTED) is None


class TestBetweenTwoCrashes:
    """A crash loop must not look healthy during the seconds of each run."""

    def test_container_with_repeated_short_runs_is_not_trusted_at_once(self, pod: Make) -> None:
        again = pod(last_state=ended(20), restarts=2)
        found = pod_problem(again, STARTED + 5)
        assert found is not None
        assert found.reason == Reason.CRASH_LOOPING
        assert seconds_until_trusted(again, STARTED + 5) == TRUST_RESTARTED_AFTER_S - 5

    @pytest.mark.parametrize(
        ("seconds", "restarts", "later"),
        [(20, 2, TRUST_RESTARTED_AFTER_S), (20, 1, 5.0), (int(TRUST_RESTARTED_AFTER_S), 2, 5.0)],
    )
    def test_container_that_ran_long_or_ended_once_is_trusted(
        self, pod: Make, seconds: int, restarts: int, later: float
    ) -> None:
        assert pod_problem(pod(last_state=ended(seconds), restarts=restarts), STARTED + later) is None


def deployment(reason: str = "ProgressDeadlineExceeded", generation: int = 1) -> dict[str, Any]:
    condition = {"type": "Progressing", "status": "False", "reason": reason}
    return {"metadata": {"generation": generation}, "status": {"observedGeneration": 1, "conditions": [condition]}}


def test_exceeded_deadline_names_the_reason_of_the_pods() -> None:
    found = deployment_problem(deployment(), "pod a runs but is not ready: no data")
    assert found is not None
    assert (found.reason, found.message) == (
        Reason.DEADLINE_EXCEEDED,
        "The new pods are not ready within the progress deadline: pod a runs but is not ready: no data",
    )


def test_status_of_an_older_deployment_generation_is_ignored() -> None:
    late = deployment(generation=2)
    assert not is_observed(late)
    assert deployment_problem(late, "") is None
