"""WorkloadReady as a table of observed state and expected result."""

from typing import Any

import pytest

from market_operator.errors import ApiError
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Failure
from status_scenes import Scene, deployment, said


class TestWorkloadReady:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, ("True", Reason.ALL_RUNNING)),
            ({"ready": False}, ("True", Reason.ALL_RUNNING)),
            ({"state": {"waiting": {"reason": "ContainerCreating"}}}, ("False", Reason.PODS_NOT_READY)),
            ({"state": {"waiting": {"reason": "ErrImagePull"}}}, ("False", Reason.IMAGE_PULL_FAILED)),
            ({"state": {"waiting": {"reason": "CrashLoopBackOff"}}}, ("False", Reason.CRASH_LOOPING)),
            ({"state": {"terminated": {"exitCode": 1}}, "restarts": 3}, ("False", Reason.CRASH_LOOPING)),
            ({"state": {"terminated": {"exitCode": 1}}}, ("False", Reason.PODS_NOT_READY)),
            ({"state": {"waiting": {"reason": "CreateContainerConfigError"}}}, ("False", Reason.PODS_REFUSED)),
            (
                {
                    "state": {},
                    "conditions": [{"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}],
                },
                ("False", Reason.UNSCHEDULABLE),
            ),
        ],
    )
    def test_by_the_pod(self, scene: Scene, fields: dict[str, Any], expected: tuple[str, str]) -> None:
        assert said(scene.snapshot(scene.pod(**fields)), "WorkloadReady") == expected

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q"}, Reason.QUOTA_EXCEEDED),
            ({"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}, Reason.PODS_REFUSED),
            (
                {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"},
                Reason.DEADLINE_EXCEEDED,
            ),
        ],
    )
    def test_by_the_deployment(self, scene: Scene, condition: dict[str, str], expected: str) -> None:
        snapshot = scene.snapshot(deployments={0: deployment(condition)})
        assert said(snapshot, "WorkloadReady") == ("False", expected)
        assert conditions(snapshot)["Stalled"].reason == expected

    def test_deadline_passed_while_the_exchange_was_down_is_no_failure(self, scene: Scene) -> None:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        snapshot = scene.snapshot(scene.pod(ready=False), deployments={0: deployment(late)})
        assert said(snapshot, "WorkloadReady")[0] == "True"

    def test_crash_has_its_reason_and_last_log_line(self, scene: Scene) -> None:
        last = {"terminated": {"reason": "Error", "exitCode": 2, "message": "x\nconfig: bad symbol\n"}}
        pod = scene.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, last_state=last, restarts=4)
        message = conditions(scene.snapshot(pod))["WorkloadReady"].message
        assert "restarted 4 times: Error, exit code 2; last log line: config: bad symbol" in message

    def test_failed_write_is_reported(self, scene: Scene) -> None:
        failure = Failure("Deployment okx-btc-0", ApiError(403, "Forbidden", "you may not"))
        found = conditions(scene.snapshot(scene.pod(), failures=(failure,)))
        assert found["WorkloadReady"].reason == Reason.APPLY_FAILED
        assert "Deployment okx-btc-0: 403 Forbidden: you may not" in found["WorkloadReady"].message
        assert found["Ready"].status == "False"

    def test_one_replica_of_two_is_missing(self, scene: Scene) -> None:
        scene.want(replicas=2)
        found = conditions(scene.snapshot(scene.pod()))
        assert found["WorkloadReady"].reason == Reason.PODS_NOT_READY
        assert found["Ready"].status == "True"
        assert health(found) == "Degraded"

    def test_worst_shard_decides(self, scene: Scene) -> None:
        scene.want(symbols=["A-B", "C-D"], shards=2)
        broken = scene.pod("pod-2", 1, state={"waiting": {"reason": "ErrImagePull"}})
        assert said(scene.snapshot(broken), "WorkloadReady") == ("False", Reason.IMAGE_PULL_FAILED)


class TestRollOut:
    def test_while_the_old_pod_streams_the_resource_is_ready(self, scene: Scene) -> None:
        old, new = scene.pod("old", template="before"), scene.pod("new", ready=False)
        probes = {"old": ProbeResult(scene.report("old")), "new": ProbeResult(scene.report("new", streams=[]))}
        found = conditions(scene.snapshot(old, new, probes=probes))
        assert (found["WorkloadReady"].status, found["WorkloadReady"].reason) == ("False", Reason.ROLLING_OUT)
        assert found["Ready"].status == "True"
        assert found["Reconciling"].status == "True"

    def test_crashing_new_version_is_not_ready_while_the_old_one_streams(self, scene: Scene) -> None:
        old = scene.pod("old", template="before")
        new = scene.pod("new", state={"waiting": {"reason": "CrashLoopBackOff"}})
        found = conditions(scene.snapshot(old, new))
        assert (found["Ready"].status, found["Ready"].reason) == ("False", Reason.CRASH_LOOPING)
        assert found["Stalled"].status == "True"

    def test_terminating_pod_is_ignored(self, scene: Scene) -> None:
        old = scene.pod("old", template="before", deletionTimestamp="now")
        assert said(scene.snapshot(old, scene.pod()), "WorkloadReady")[0] == "True"


class TestDeadline:
    """A rollout whose new pods miss the deadline quotes the reason that the pods give."""

    def late(self, scene: Scene, new: Pod, probe: ProbeResult | None = None) -> ConditionState:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        old = scene.pod("old", template="before")
        probes = {"old": ProbeResult(scene.report("old")), "new": probe or ProbeResult()}
        snapshot = scene.snapshot(old, new, deployments={0: deployment(late)}, probes=probes)
        return conditions(snapshot)["Stalled"]

    def test_running_pod_names_its_missing_streams(self, scene: Scene) -> None:
        waits = scene.report("new", streams=[], health="Unhealthy", reason="no stream has data: X-Y/trade (NoData)")
        stalled = self.late(scene, scene.pod("new", ready=False), probe=ProbeResult(waits))
        assert stalled.reason == Reason.DEADLINE_EXCEEDED
        assert "runs but is not ready: no stream has data: X-Y/trade (NoData)" in stalled.message

    def test_unreadable_pod_is_named(self, scene: Scene) -> None:
        stalled = self.late(
            scene, scene.pod("new", ready=False), probe=ProbeResult(None, "GET http://x failed: refused", 1.0)
        )
        assert "GET http://x failed: refused" in stalled.message

    def test_pod_being_created_names_the_command_to_run(self, scene: Scene) -> None:
        new = scene.pod("new", state={"waiting": {"reason": "ContainerCreating"}}, ready=False)
        assert "is waiting (ContainerCreating). kubectl describe pod shows why" in self.late(scene, new).message

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            ({"reason": "ImagePullBackOff"}, Reason.IMAGE_PULL_FAILED),
            ({"reason": "CrashLoopBackOff"}, Reason.CRASH_LOOPING),
            ({"reason": "CreateContainerConfigError", "message": 'secret "k" not found'}, Reason.SECRET_NOT_FOUND),
        ],
    )
    def test_the_pods_own_reason_comes_first(self, scene: Scene, state: dict[str, str], reason: str) -> None:
        assert self.late(scene, scene.pod("new", state={"waiting": state}, ready=False)).reason == reason
