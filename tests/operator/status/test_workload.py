"""WorkloadReady as a table of observed state and expected result."""

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from market_operator.errors import ApiError
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod, read_pod
from market_operator.scheduling.contests import Contest
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Failure
from status_scenes import NOW, Scene, deployment, said


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

    @pytest.mark.parametrize("reason", ["CrashLoopBackOff", "ErrImagePull"])
    def test_broken_new_version_leaves_ready_alone_while_the_old_one_streams(self, scene: Scene, reason: str) -> None:
        """Data flows, so nobody must be woken up because it does not."""
        old = scene.pod("old", template="before")
        new = scene.pod("new", state={"waiting": {"reason": reason}})
        found = conditions(scene.snapshot(old, new))
        assert (found["Ready"].status, found["WorkloadReady"].status) == ("True", "False")
        assert found["WorkloadReady"].message in found["Ready"].message
        assert found["Stalled"].reason == found["WorkloadReady"].reason
        assert health(found) == "Degraded"

    @pytest.mark.parametrize(
        ("progress", "expected"), [("ReplicaSetUpdated", "Reconciling"), ("ProgressDeadlineExceeded", "Stalled")]
    )
    def test_rollout_within_a_full_quota_leaves_ready_alone(self, scene: Scene, progress: str, expected: str) -> None:
        full = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: q, requested: pods=1"}
        moves = {"type": "Progressing", "status": str(expected == "Reconciling"), "reason": progress}
        old = scene.pod("old", template="before")
        found = conditions(scene.snapshot(old, deployments={0: deployment(full, moves)}))
        assert (found["Ready"].status, found[expected].reason) == ("True", Reason.QUOTA_EXCEEDED)
        assert health(found) == "Degraded"

    def test_crash_loop_is_not_ready_between_two_crashes(self, scene: Scene) -> None:
        last = {
            "terminated": {"exitCode": 1, "startedAt": "2026-11-22T11:06:00Z", "finishedAt": "2026-11-22T11:06:20Z"}
        }
        now = {"running": {"startedAt": "2026-11-22T11:06:30Z"}}
        found = conditions(scene.snapshot(scene.pod(state=now, last_state=last, restarts=3)))
        assert (found["Streaming"].status, found["Ready"].reason) == ("True", Reason.CRASH_LOOPING)

    def test_rollout_of_somebody_else_is_a_rollout(self, scene: Scene) -> None:
        """`kubectl rollout restart` changes no version, so only the Deployment tells old pods from new ones."""
        restarted = deployment()
        restarted["status"] |= {"replicas": 1, "updatedReplicas": 0}
        found = conditions(scene.snapshot(scene.pod(), deployments={0: restarted}))
        assert (found["WorkloadReady"].reason, found["Ready"].status) == (Reason.ROLLING_OUT, "True")
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        restarted["status"]["conditions"] = [late]
        found = conditions(scene.snapshot(scene.pod(), deployments={0: restarted}))
        assert (found["Stalled"].reason, found["Ready"].status) == (Reason.DEADLINE_EXCEEDED, "True")

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


class TestPaused:
    """The annotation of a resource stops all changes to its managed objects."""

    def test_in_its_desired_state_it_is_ready_and_says_so(self, scene: Scene) -> None:
        snapshot = scene.snapshot(scene.pod(), paused=())
        assert said(snapshot, "WorkloadReady") == ("True", Reason.PAUSED)
        assert said(snapshot, "Ready") == ("True", Reason.READY)
        assert health(conditions(snapshot)) == "Healthy"

    def test_waiting_changes_stall_it_while_old_pods_deliver(self, scene: Scene) -> None:
        snapshot = scene.snapshot(scene.pod(template="old"), paused=("Deployment okx-btc-0",))
        found = conditions(snapshot)
        assert found["Stalled"].reason == Reason.PAUSED
        assert "Deployment okx-btc-0. Remove it to continue" in found["Stalled"].message
        assert "Reconciling" not in found
        assert said(snapshot, "Ready") == ("True", Reason.READY)

    def test_without_pods_it_is_not_ready(self, scene: Scene) -> None:
        snapshot = scene.snapshot(paused=("Deployment okx-btc-0",))
        assert said(snapshot, "Ready") == ("False", Reason.PAUSED)


class TestOtherContainers:
    """Containers that somebody injects: a crash is reported with the container's name, like that of the collector."""

    CRASH: ClassVar[dict[str, Any]] = {
        "name": "mesh-proxy",
        "restartCount": 5,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 3, "message": "no certificate"}},
    }

    def pod(self, scene: Scene, kind: str, status: dict[str, Any], **fields: Any) -> Pod:
        document = scene.pod_document(**fields)
        document["status"].setdefault(kind, []).append(status)
        return read_pod(document)

    @pytest.mark.parametrize("kind", ["containerStatuses", "initContainerStatuses"])
    def test_crashing_container_is_named(self, scene: Scene, kind: str) -> None:
        found = conditions(scene.snapshot(self.pod(scene, kind, self.CRASH, ready=False)))
        assert (found["Ready"].status, found["Ready"].reason) == ("False", Reason.CRASH_LOOPING)
        words = "container mesh-proxy restarted 5 times: Error, exit code 3; last log line: no certificate"
        assert words in found["WorkloadReady"].message
        assert {"Stalled", "Reconciling"} & set(found)

    def test_missing_image_of_an_init_container_is_named(self, scene: Scene) -> None:
        waits = {"name": "setup", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
        collector = {"waiting": {"reason": "PodInitializing"}}
        state = conditions(scene.snapshot(self.pod(scene, "initContainerStatuses", waits, state=collector)))
        assert state["WorkloadReady"].reason == Reason.IMAGE_PULL_FAILED
        assert "container setup: ErrImagePull: no such image" in state["WorkloadReady"].message

    def test_completed_init_container_is_no_problem(self, scene: Scene) -> None:
        done = {"name": "setup", "restartCount": 3, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
        assert said(scene.snapshot(self.pod(scene, "initContainerStatuses", done)), "WorkloadReady")[0] == "True"

    def test_ready_has_the_kubelets_words_about_an_unready_pod(self, scene: Scene) -> None:
        document = scene.pod_document(ready=False)
        document["status"]["conditions"][0]["message"] = "containers with unready status: [mesh-proxy]"
        found = conditions(scene.snapshot(read_pod(document)))
        assert found["Ready"].status == "True"
        assert "[mesh-proxy]" in found["Ready"].message


class TestFailedPods:
    """Evicted pods stay as objects. Each took the files of its sinks with it."""

    def failed(self, scene: Scene, uid: str, ago: float = 30.0, template: str | None = None) -> Pod:
        pod = scene.pod(uid, state={}, template=template)
        return replace(
            pod,
            is_terminating=True,
            is_finished=True,
            failed="Evicted",
            failed_message="The node was low on resource: memory.",
            failed_at=NOW - ago,
        )

    def new(self, scene: Scene) -> Pod:
        """A pod that started 5 s ago, after the failures."""
        return scene.pod("new", state={"running": {"startedAt": "2026-11-22T11:06:35Z"}})

    def test_eviction_is_reported_until_another_pod_runs(self, scene: Scene) -> None:
        starting = scene.pod("new", state={"waiting": {"reason": "ContainerCreating"}}, ready=False)
        found = conditions(scene.snapshot(self.failed(scene, "a"), starting))
        assert found["WorkloadReady"].reason == found["Reconciling"].reason == Reason.EVICTED
        assert "1 pod failed within 10 minutes" in found["WorkloadReady"].message
        assert "The node was low on resource: memory." in found["WorkloadReady"].message
        found = conditions(scene.snapshot(self.failed(scene, "a"), scene.pod("new")))
        assert found["Ready"].status == "True"
        assert "The node was low on resource: memory." in found["WorkloadReady"].message

    def test_of_evictions_within_a_second_the_newest_object_is_the_last(self, scene: Scene) -> None:
        first = replace(self.failed(scene, "z"), version=8, failed_message="first")
        last = replace(self.failed(scene, "a"), version=9, failed_message="last")
        found = conditions(scene.snapshot(last, first))
        assert "Evicted: last" in found["WorkloadReady"].message

    def test_repeated_evictions_are_like_a_crash_loop(self, scene: Scene) -> None:
        pods = [self.failed(scene, f"p{number}", ago=90.0 * number + 1) for number in range(3)]
        found = conditions(scene.snapshot(*pods, self.new(scene)))
        assert found["Ready"].reason == found["Stalled"].reason == Reason.EVICTED
        assert "3 pods failed" in found["WorkloadReady"].message
        assert health(found) == "Unhealthy"

    def test_files_that_were_lost_are_reported(self, scene: Scene) -> None:
        scene.want(sinks=[{"name": "files", "type": "file", "file": {"directory": "/data"}}])
        message = conditions(scene.snapshot(self.failed(scene, "a"), scene.pod("new")))["WorkloadReady"].message
        assert message.endswith("Files of its sinks are lost")

    def test_pod_older_than_the_failures_keeps_the_resource_ready(self, scene: Scene) -> None:
        scene.want(replicas=2)
        pods = [self.failed(scene, f"p{number}", ago=90.0 * number + 1) for number in range(3)]
        steady = scene.pod("steady", state={"running": {"startedAt": "1970-01-01T00:00:05Z"}})
        found = conditions(scene.snapshot(*pods, steady, self.new(scene)))
        assert (found["Ready"].status, health(found)) == ("True", "Degraded")

    def test_old_failures_and_those_of_another_version_are_forgotten(self, scene: Scene) -> None:
        pods = [self.failed(scene, f"p{number}", ago=601.0) for number in range(3)]
        pods += [self.failed(scene, f"q{number}", template="before") for number in range(3)]
        snapshot = scene.snapshot(*pods, scene.pod("new"))
        assert conditions(snapshot)["WorkloadReady"].message == "1 pod running"

    def test_conditions_are_computed_again_when_a_failure_is_forgotten(self, scene: Scene) -> None:
        assert scene.snapshot(self.failed(scene, "a", ago=100.0), scene.pod("new")).expires_in == 500.0


class TestContests:
    """Another writer keeps changing a managed object."""

    @pytest.mark.parametrize(("count", "expected"), [(2, "Reconciling"), (5, "Stalled")])
    def test_contest_is_reported_and_leaves_ready_alone(self, scene: Scene, count: int, expected: str) -> None:
        contest = Contest("hash", count, NOW, "Deployment okx-btc-0: kubectl-scale changed spec.replicas")
        found = conditions(scene.snapshot(scene.pod(), contests=(contest,)))
        assert found["WorkloadReady"].reason == found[expected].reason == Reason.CHANGED_BY_OTHERS
        assert f"kubectl-scale changed spec.replicas ({count} times)" in found["WorkloadReady"].message
        assert (found["Ready"].status, health(found)) == ("True", "Degraded")

    def test_conditions_are_computed_again_when_a_contest_is_over(self, scene: Scene) -> None:
        contest = Contest("hash", 2, NOW, "changed")
        assert scene.snapshot(scene.pod(), contests=(contest,)).expires_in == contest.ends - NOW
