"""Each condition as a table of observed state and expected result."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from documented_reasons import documented
from market_operator.errors import ApiError
from market_operator.manifests.build import build_desired_state
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.resource.document import Resource
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import TRUST_REPORT_FOR_S, Failure, Snapshot

NOW = 1_000.0
Make = Callable[..., Any]


class Scene:
    """Builds snapshots of one resource."""

    def __init__(self, resource: Make, pod: Make, report: Make) -> None:
        self._resource, self._pod, self._report = resource, pod, report
        self.desired = self.want()

    def want(self, **spec: Any) -> DesiredState:
        self.desired = build_desired_state(self._resource(**spec), "image")
        return self.desired

    def pod(self, uid: str = "pod-1", shard: int = 0, template: str | None = None, **fields: Any) -> Pod:
        made: Pod = self._pod(uid=uid, shard=shard, template=template or self.desired.templates[shard], **fields)
        return made

    def report(self, uid: str = "pod-1", **fields: Any) -> Report:
        made: Report = self._report(uid=uid, **fields)
        return made

    def snapshot(self, *pods: Pod, probes: dict[str, ProbeResult] | None = None, **fields: Any) -> Snapshot:
        """A snapshot in which all pods report healthy, apart from the given fields."""
        if probes is None:
            probes = {pod.uid: ProbeResult(self.report(pod.uid)) for pod in pods if pod.is_running}
        base = Snapshot(self.desired, "", {}, pods, probes, (), {}, NOW)
        return replace(base, **fields)

    def streams(self, *states: str, reason: str = "") -> dict[str, ProbeResult]:
        names = ("trade", "orderbook", "ticker")
        listed = [
            {"stream": f"BTC-USDT/{name}", "state": state, "reason": reason, "since": "2026-11-22T10:00:00Z"}
            for name, state in zip(names, states, strict=True)
        ]
        return {"pod-1": ProbeResult(self.report(streams=listed))}


@pytest.fixture
def scene(resource: Callable[..., Resource], pod: Make, report: Make) -> Scene:
    return Scene(resource, pod, report)


def deployment(*conditions: dict[str, str], generation: int = 1, observed: int = 1) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "status": {"observedGeneration": observed, "conditions": [*conditions]},
    }


def said(snapshot: Snapshot, kind: str) -> tuple[str, str]:
    state = conditions(snapshot)[kind]
    assert state.message
    return state.status, state.reason


ALWAYS = ["Ready", "Accepted", "WorkloadReady", "Streaming", "Complete", "SinksHealthy"]


def test_all_well(scene: Scene) -> None:
    found = conditions(scene.snapshot(scene.pod()))
    assert list(found) == ALWAYS
    assert {kind: state.status for kind, state in found.items()} == dict.fromkeys(ALWAYS, "True")
    assert health(found) == "Healthy"
    assert found["Ready"].message == "3 of 3 streams deliver"


def test_a_new_resource_is_not_ready_and_work_is_under_way(scene: Scene) -> None:
    found = conditions(scene.snapshot())
    assert (found["Ready"].status, found["Ready"].reason) == ("False", Reason.PODS_NOT_READY)
    assert found["Reconciling"].status == "True"
    assert "Stalled" not in found
    assert found["Accepted"].status == "Unknown"


def test_an_invalid_spec_needs_a_person(scene: Scene) -> None:
    found = conditions(Snapshot(None, "spec.staleAfter: too long", {}, (), {}, (), {}, NOW))
    assert (found["Accepted"].status, found["Accepted"].reason) == ("False", Reason.INVALID_SPEC)
    assert found["Ready"].message == "spec.staleAfter: too long"
    assert found["Stalled"].reason == Reason.INVALID_SPEC
    assert health(found) == "Unhealthy"


class TestAccepted:
    @pytest.mark.parametrize(
        ("states", "reason", "expected"),
        [
            (("live", "live", "live"), "", ("True", Reason.ACCEPTED)),
            (("quiet", "stale", "live"), "", ("True", Reason.ACCEPTED)),
            (("live", "pending", "live"), "", ("Unknown", Reason.PENDING)),
            (("refused", "refused", "refused"), "SymbolNotFound", ("False", Reason.SYMBOL_NOT_FOUND)),
            (("live", "refused", "live"), "60012 bad", ("False", Reason.SUBSCRIPTION_REFUSED)),
        ],
    )
    def test_accepted_follows_the_answers_of_the_exchange(
        self, scene: Scene, states: tuple[str, ...], reason: str, expected: tuple[str, str]
    ) -> None:
        assert said(scene.snapshot(scene.pod(), probes=scene.streams(*states, reason=reason)), "Accepted") == expected

    def test_the_unknown_symbol_is_named_and_a_person_must_act(self, scene: Scene) -> None:
        probes = scene.streams("refused", "refused", "refused", reason="SymbolNotFound")
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert found["Accepted"].message == "The exchange does not list BTC-USDT. Correct or remove the symbol"
        assert found["Ready"].reason == Reason.SYMBOL_NOT_FOUND
        assert found["Stalled"].reason == Reason.SYMBOL_NOT_FOUND

    @pytest.mark.parametrize("reason", [Reason.CREDENTIALS_MISSING, Reason.CREDENTIALS_REFUSED])
    def test_missing_or_refused_key_has_the_collectors_message(self, scene: Scene, reason: str) -> None:
        words = "Secret okx-key: no passphrase in /etc/market-collector-credentials"
        stream = {"stream": "account/balance", "state": "refused", "reason": reason, "message": words}
        probes = {"pod-1": ProbeResult(scene.report("pod-1", streams=[stream]))}
        found = conditions(scene.snapshot(scene.pod(), probes=probes))
        assert found["Accepted"] == ConditionState("False", reason, f"account/balance: {words}")
        assert found["Ready"].reason == found["Stalled"].reason == reason
        before = {"Accepted": found["Accepted"]}
        assert said(scene.snapshot(before=before), "Accepted") == ("False", reason), "until the exchange answers"

    def test_refusal_survives_a_restart_of_the_pod(self, scene: Scene) -> None:
        before = {"Accepted": ConditionState("True", Reason.ACCEPTED, "yes")}
        probes = scene.streams("pending", "pending", "pending")
        assert said(scene.snapshot(scene.pod(), probes=probes, before=before), "Accepted")[0] == "True"
        assert said(scene.snapshot(before=before), "Accepted")[0] == "True"

    def test_refusal_stands_until_the_exchange_accepts(self, scene: Scene) -> None:
        before = {"Accepted": ConditionState("False", Reason.SYMBOL_NOT_FOUND, "no")}
        assert said(scene.snapshot(before=before), "Accepted") == ("False", Reason.SYMBOL_NOT_FOUND)
        assert said(scene.snapshot(scene.pod(), before=before), "Accepted")[0] == "True"


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


class TestStreaming:
    @pytest.mark.parametrize(
        ("states", "expected"),
        [
            (("live", "live", "live"), ("True", Reason.ALL_LIVE)),
            (("live", "quiet", "quiet"), ("True", Reason.ALL_LIVE)),
            (("live", "stale", "live"), ("False", Reason.STREAMS_STALE)),
            (("live", "pending", "live"), ("False", Reason.STREAMS_PENDING)),
            (("live", "refused", "live"), ("False", Reason.STREAMS_REFUSED)),
            (("refused", "stale", "pending"), ("False", Reason.STREAMS_STALE)),
        ],
    )
    def test_by_the_streams(self, scene: Scene, states: tuple[str, ...], expected: tuple[str, str]) -> None:
        assert said(scene.snapshot(scene.pod(), probes=scene.streams(*states)), "Streaming") == expected

    def test_the_stale_stream_is_named(self, scene: Scene) -> None:
        found = conditions(scene.snapshot(scene.pod(), probes=scene.streams("live", "stale", "live")))
        assert found["Streaming"].message == (
            "2 of 3 streams deliver; no data for longer than spec.staleAfter: "
            "BTC-USDT/orderbook (since 2026-11-22T10:00:00Z)"
        )

    def test_running_process_without_streams_is_not_streaming(self, scene: Scene) -> None:
        probes = {"pod-1": ProbeResult(scene.report(streams=[], health="Healthy"))}
        assert said(scene.snapshot(scene.pod(), probes=probes), "Streaming") == ("False", Reason.STREAMS_PENDING)

    def gone(self, scene: Scene, state: str, connection: str = "backoff") -> Snapshot:
        streams = [{"stream": f"BTC-USDT/{kind}", "state": state} for kind in ("trade", "orderbook", "ticker")]
        down = {"name": "public", "state": connection, "since": "2026-11-22T10:00:00Z", "reason": "refused"}
        probe = ProbeResult(scene.report(streams=streams, connections=[down], health="Unhealthy"))
        return scene.snapshot(scene.pod(ready=False), probes={"pod-1": probe})

    def test_workload_stays_ready_when_the_exchange_is_down(self, scene: Scene) -> None:
        found = conditions(self.gone(scene, "stale"))
        assert (found["Streaming"].status, found["Streaming"].reason) == ("False", Reason.DISCONNECTED)
        assert found["Streaming"].message.endswith("no connection to the exchange since 2026-11-22T10:00:00Z: refused")
        assert found["WorkloadReady"].status == "True"
        assert "Stalled" not in found

    def test_short_reconnect_changes_no_condition(self, scene: Scene) -> None:
        found = conditions(self.gone(scene, "live"))
        assert (found["Streaming"].status, found["Ready"].status) == ("True", "True")

    def test_disconnected_collector_is_stalled_when_it_gave_up(self, scene: Scene) -> None:
        scene.want(autoRestart=False)
        found = conditions(self.gone(scene, "stale", "stopped"))
        assert found["Streaming"].reason == Reason.RECONNECTS_EXHAUSTED
        assert found["Stalled"].reason == Reason.RECONNECTS_EXHAUSTED

    def test_one_replica_that_delivers_is_enough(self, scene: Scene) -> None:
        scene.want(replicas=2)
        stale = scene.streams("stale", "stale", "stale")["pod-1"]
        probes = {"pod-1": stale, "pod-2": ProbeResult(scene.report("pod-2"))}
        assert said(scene.snapshot(scene.pod(), scene.pod("pod-2"), probes=probes), "Streaming")[0] == "True"

    def test_a_shard_without_a_pod_does_not_stream(self, scene: Scene) -> None:
        assert said(scene.snapshot(), "Streaming") == ("False", Reason.COLLECTOR_NOT_RUNNING)


class TestUnprobed:
    def test_failed_probe_is_unknown_and_names_the_request(self, scene: Scene) -> None:
        probe = ProbeResult(
            scene.report(), "GET http://10.0.0.1:8080/status failed: timed out", NOW - TRUST_REPORT_FOR_S - 1
        )
        found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": probe}))
        for kind in ("Streaming", "Complete", "SinksHealthy", "Ready"):
            assert (found[kind].status, found[kind].reason) == ("Unknown", Reason.COLLECTOR_UNREACHABLE)
            assert "timed out" in found[kind].message
        assert health(found) == "Unknown"

    @pytest.mark.parametrize("kind", ["Accepted", "Streaming", "Complete", "SinksHealthy", "Ready"])
    def test_condition_without_a_report_names_the_failed_request(self, scene: Scene, kind: str) -> None:
        probe = ProbeResult(None, "GET http://10.0.0.1:8080/status failed: no answer within 2.5 s", 0.0)
        snapshot = scene.snapshot(scene.pod(), probes={"pod-1": probe})
        state = conditions(snapshot)[kind]
        assert (state.status, state.reason) == ("Unknown", Reason.COLLECTOR_UNREACHABLE)
        assert "GET http://10.0.0.1:8080/status failed: no answer within 2.5 s" in state.message

    def test_known_problem_precedes_a_failed_probe(self, scene: Scene) -> None:
        scene.want(symbols=["A-B", "C-D"], shards=2)
        stale = scene.report("pod-1", streams=[{"stream": "A-B/trade", "state": "stale"}])
        probes = {"pod-1": ProbeResult(stale), "pod-2": ProbeResult(None, "timed out", 0.0)}
        snapshot = scene.snapshot(scene.pod(), scene.pod("pod-2", 1), probes=probes)
        assert said(snapshot, "Streaming") == ("False", Reason.STREAMS_STALE)

    def test_single_failed_probe_changes_no_condition(self, scene: Scene) -> None:
        probe = ProbeResult(scene.report(), "timed out", NOW - 1)
        assert said(scene.snapshot(scene.pod(), probes={"pod-1": probe}), "Ready")[0] == "True"

    def test_conditions_stand_until_the_first_probe_after_a_start(self, scene: Scene) -> None:
        before = conditions(scene.snapshot(scene.pod()))
        assert conditions(scene.snapshot(scene.pod(), probes={}, before=before)) == before

    def test_standing_condition_does_not_hide_a_crash(self, scene: Scene) -> None:
        before = conditions(scene.snapshot(scene.pod()))
        crashed = scene.pod(state={"waiting": {"reason": "CrashLoopBackOff"}}, ready=False)
        assert said(scene.snapshot(crashed, probes={}, before=before), "Ready") == ("False", Reason.CRASH_LOOPING)


class TestComplete:
    def test_open_gap_degrades_but_the_resource_stays_ready(self, scene: Scene) -> None:
        gap = {"id": "1", "stream": "BTC-USDT/trade", "state": "open"}
        found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(gaps=[gap]))}))
        assert (found["Complete"].status, found["Complete"].reason) == ("False", Reason.GAPS_OPEN)
        assert found["Complete"].message == "1 gap open in BTC-USDT/trade"
        assert found["Ready"].status == "True"
        assert health(found) == "Degraded"

    @pytest.mark.parametrize("state", ["repaired", "lost"])
    def test_filled_or_lost_gap_is_not_open(self, scene: Scene, state: str) -> None:
        gap = {"id": "1", "stream": "BTC-USDT/trade", "state": state}
        assert (
            said(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(gaps=[gap]))}), "Complete")[0]
            == "True"
        )


def test_failing_sink_makes_the_resource_not_ready(scene: Scene) -> None:
    sink = {"name": "archive", "type": "file", "healthy": False, "error": "read-only file system"}
    found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(sinks=[sink]))}))
    assert found["SinksHealthy"].reason == Reason.SINK_FAILING
    assert found["Ready"].message == "1 sink cannot write: archive: read-only file system"


class TestSuspended:
    def test_suspended_resource_is_ready_when_all_pods_are_gone(self, scene: Scene) -> None:
        scene.want(suspend=True)
        found = conditions(scene.snapshot())
        assert (found["Ready"].status, found["Ready"].reason) == ("True", Reason.SUSPENDED)
        assert (found["Streaming"].status, found["Streaming"].reason) == ("False", Reason.SUSPENDED)
        assert health(found) == "Healthy"
        assert "Reconciling" not in found

    def test_suspended_resource_is_not_ready_while_pods_are_left(self, scene: Scene) -> None:
        scene.want(suspend=True)
        found = conditions(scene.snapshot(scene.pod()))
        assert (found["Ready"].status, found["Reconciling"].status) == ("False", "True")

    def test_reports_of_gone_pods_decide_nothing(self, scene: Scene) -> None:
        scene.want(suspend=True)
        changed = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report())}))["Accepted"]
        assert (changed.status, changed.reason) == ("Unknown", Reason.SUSPENDED)
        assert conditions(scene.snapshot())["Accepted"] == changed


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

    @pytest.mark.parametrize(
        ("reason", "expected"),
        [
            ("ReplicaSetUpdated", "Reconciling"),
            ("NewReplicaSetCreated", "Reconciling"),
            ("NewReplicaSetAvailable", "Stalled"),
        ],
    )
    def test_rollout_is_not_stalled_before_the_deadline_of_kubernetes(
        self, scene: Scene, reason: str, expected: str
    ) -> None:
        """Tools give up at the first Stalled, and a new node may still be starting."""
        progress = {"type": "Progressing", "status": "True", "reason": reason}
        lost = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}
        pod = scene.pod(state={}, ready=False, conditions=[lost])
        found = conditions(scene.snapshot(pod, deployments={0: deployment(progress)}))
        assert (found["Ready"].reason, found[expected].reason) == (Reason.UNSCHEDULABLE, Reason.UNSCHEDULABLE)
        assert len({"Reconciling", "Stalled"} & set(found)) == 1

    def test_stale_deployment_status_is_not_stalled(self, scene: Scene) -> None:
        late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        snapshot = scene.snapshot(scene.pod(), deployments={0: deployment(late, generation=2)})
        assert said(snapshot, "WorkloadReady") == ("False", Reason.ROLLING_OUT)
        assert said(snapshot, "Ready")[0] == "True"
        assert "Stalled" not in conditions(snapshot)


class TestSecret:
    MISSING = 'secret "okx-key" not found'

    def test_a_missing_secret_is_named_and_a_person_must_act(self, scene: Scene) -> None:
        state = {"waiting": {"reason": "CreateContainerConfigError", "message": self.MISSING}}
        found = conditions(scene.snapshot(scene.pod(state=state, ready=False)))
        for kind in ("Accepted", "WorkloadReady", "Ready", "Stalled"):
            assert found[kind].reason == Reason.SECRET_NOT_FOUND
            assert self.MISSING in found[kind].message

    def test_secret_that_exists_again_is_no_problem(self, scene: Scene) -> None:
        before = {"Accepted": ConditionState("False", Reason.SECRET_NOT_FOUND, self.MISSING)}
        probes = scene.streams("pending", "pending", "pending")
        assert said(scene.snapshot(scene.pod(), probes=probes, before=before), "Accepted") == (
            "Unknown",
            Reason.PENDING,
        )


class TestWritesThatFail:
    OUTAGE = (Failure("Deployment okx-btc-0", ApiError(503, "ServiceUnavailable", "busy")),)

    def test_transient_failure_is_reconciling(self, scene: Scene) -> None:
        found = conditions(scene.snapshot(scene.pod(), failures=self.OUTAGE))
        assert (found["Ready"].status, found["Reconciling"].reason) == ("False", Reason.APPLY_FAILED)
        assert "Stalled" not in found
        assert found["WorkloadReady"].message.endswith("busy; retrying")

    def test_generation_that_was_ready_stays_ready_while_data_flows(self, scene: Scene) -> None:
        before = {"Ready": ConditionState("True", Reason.READY, "3 of 3 streams deliver")}
        found = conditions(scene.snapshot(scene.pod(), failures=self.OUTAGE, before=before))
        assert (found["Ready"].status, found["Reconciling"].status) == ("True", "True")
        assert health(found) == "Degraded"

    def test_permanent_failure_ends_ready(self, scene: Scene) -> None:
        before = {"Ready": ConditionState("True", Reason.READY, "3 of 3 streams deliver")}
        failures = (Failure("Service okx-btc-0", ApiError(403, "Forbidden", "no")),)
        found = conditions(scene.snapshot(scene.pod(), failures=failures, before=before))
        assert (found["Ready"].status, found["Stalled"].reason) == ("False", Reason.APPLY_FAILED)
        assert "Reconciling" not in found


def test_messages_stay_short_with_hundreds_of_streams(scene: Scene) -> None:
    symbols = [f"C{number}-USDT" for number in range(500)]
    scene.want(symbols=symbols, dataTypes=["trade"])
    streams = [{"stream": f"{symbol}/trade", "state": "stale"} for symbol in symbols]
    found = conditions(scene.snapshot(scene.pod(), probes={"pod-1": ProbeResult(scene.report(streams=streams))}))
    assert found["Streaming"].message.endswith("and 495 more")


class TestRandomSnapshots:
    """Random snapshots: every reason is documented, and the rules between the conditions hold."""

    STATES = st.sampled_from(
        [
            {"running": {"startedAt": "2026-11-22T10:00:00Z"}},
            {"running": {"startedAt": "1970-01-01T00:16:30Z"}},
            {"terminated": {"exitCode": 1, "reason": "OOMKilled"}},
            *(
                {"waiting": {"reason": reason, "message": 'secret "k" not found'}}
                for reason in ("ContainerCreating", "CrashLoopBackOff", "ErrImagePull", "CreateContainerConfigError")
            ),
        ]
    )
    PODS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "shard": st.integers(0, 1),
            "is_old": st.booleans(),
            "state": STATES,
            "restarts": st.integers(0, 3),
            "ready": st.booleans(),
            "unschedulable": st.booleans(),
        }
    )
    STREAMS = st.lists(st.sampled_from(["live", "quiet", "pending", "stale", "refused", "unheard-of"]), max_size=4)
    REPORTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "streams": STREAMS,
            "reason": st.sampled_from(["", "SymbolNotFound", "60012"]),
            "connection": st.sampled_from(["connected", "connecting", "backoff", "stopped"]),
            "gap": st.sampled_from(["open", "repaired", "lost"]),
            "healthy": st.booleans(),
            "problem": st.sampled_from(["", "", "timed out"]),
            "failing_for": st.sampled_from([1.0, TRUST_REPORT_FOR_S + 1]),
            "never_read": st.booleans(),
        }
    )
    SPECS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
        {
            "suspend": st.booleans(),
            "autoRestart": st.booleans(),
            "replicas": st.integers(1, 2),
            "symbols": st.just(["A-B", "C-D"]),
            "shards": st.integers(1, 2),
        }
    )
    FAILURES = st.lists(
        st.sampled_from(
            [
                ApiError(503, "Unavailable", ""),
                ApiError(403, "Forbidden", "exceeded quota"),
                ApiError(422, "Invalid", ""),
            ]
        ),
        max_size=1,
    )
    DEPLOYMENTS = st.sampled_from(
        [
            deployment(),
            deployment(generation=2),
            deployment({"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}),
            deployment({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}),
        ]
    )

    def probe(self, scene: Scene, uid: str, changed: dict[str, Any]) -> ProbeResult:
        names = ("A-B/trade", "A-B/ticker", "C-D/trade", "C-D/orderbook")
        report = scene.report(
            uid,
            streams=[
                {"stream": n, "state": s, "reason": changed["reason"]}
                for n, s in zip(names, changed["streams"], strict=False)
            ],
            connections=[{"name": "public", "state": changed["connection"]}],
            gaps=[{"id": "1", "stream": "A-B/trade", "state": changed["gap"]}],
            sinks=[{"name": "out", "healthy": changed["healthy"]}],
        )
        return ProbeResult(None if changed["never_read"] else report, changed["problem"], NOW - changed["failing_for"])

    def seen(self, scene: Scene, data: st.DataObject, before: dict[str, ConditionState]) -> Snapshot:
        scene.want(**data.draw(self.SPECS))
        pods, probes = [], {}
        for number, fields in enumerate(data.draw(st.lists(self.PODS, max_size=3))):
            uid, shard = f"pod-{number}", fields.pop("shard")
            lost = {"type": "PodScheduled", "reason": "Unschedulable", "message": "0/1 nodes"}
            conditions = [lost] if fields.pop("unschedulable") else []
            template = "before" if fields.pop("is_old") or shard >= len(scene.desired.templates) else None
            pods.append(scene.pod(uid, shard, template, conditions=conditions, **fields))
            if data.draw(st.booleans()):
                probes[uid] = self.probe(scene, uid, data.draw(self.REPORTS))
        failures = tuple(Failure("Service a", error) for error in data.draw(self.FAILURES))
        snapshot = scene.snapshot(*pods, probes=probes, failures=failures, before=before)
        return replace(snapshot, deployments={0: data.draw(self.DEPLOYMENTS)})

    @given(data=st.data())
    @hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_every_reason_is_documented_for_its_condition(self, scene: Scene, data: st.DataObject) -> None:
        invalid = Snapshot(None, "bad", {}, (), {}, (), {}, NOW)
        before = conditions(self.seen(scene, data, {}))
        for found in (before, conditions(self.seen(scene, data, before)), conditions(invalid)):
            for kind in ("Accepted", "WorkloadReady", "Streaming", "Complete", "SinksHealthy"):
                assert kind in documented()[found[kind].reason][0], (kind, found[kind])
            decided = {found[kind].reason for kind in ("Accepted", "WorkloadReady", "Streaming", "SinksHealthy")}
            for kind in ("Ready", "Reconciling", "Stalled"):
                assert kind not in found or found[kind].reason in {Reason.READY, *decided}
            assert all(state.message for state in found.values())

    @given(data=st.data())
    @hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_the_rules_between_conditions_hold(self, scene: Scene, data: st.DataObject) -> None:
        snapshot = self.seen(scene, data, {})
        found = conditions(snapshot)
        assert {found[kind].status for kind in ("Reconciling", "Stalled") if kind in found} <= {"True"}
        if found["Ready"].status == "True":
            assert "Stalled" not in found
            assert snapshot.is_suspended or found["Streaming"].status == "True"
        if found["WorkloadReady"].status == "False":
            assert {"Reconciling", "Stalled"} & set(found)
        if snapshot.failures:
            assert found["Ready"].status != "True", "nothing is known of what the new generation needs"
            assert {"Reconciling", "Stalled"} & set(found)
