"""All conditions of one snapshot: the summary Ready, progress, and the rules between conditions."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from documented_reasons import documented
from market_operator.errors import ApiError
from market_operator.observed.collectors import ProbeResult
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import TRUST_REPORT_FOR_S, Failure, Snapshot
from status_scenes import NOW, Scene, deployment, said

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


def test_spec_that_is_not_allowed_has_a_reason_of_its_own() -> None:
    text = "spec.template.image: not allowed"
    found = conditions(Snapshot(None, text, {}, (), {}, (), {}, NOW, invalid_reason=Reason.NOT_ALLOWED))
    assert {state.reason for state in found.values()} == {Reason.NOT_ALLOWED}
    assert (found["Stalled"].status, found["Stalled"].message) == ("True", text)
    assert found["Streaming"].message == "Nothing is built from a spec that is not allowed"


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


class TestRandomSnapshots:
    """Random snapshots: every reason is documented, and the rules between the conditions hold."""

    STATES = st.sampled_from(
        [
            {"running": {"startedAt": "2026-11-22T10:00:00Z"}},
            {"running": {"startedAt": "2026-11-22T11:06:30Z"}},
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
        assert not {"Reconciling", "Stalled"} <= set(found)
        if found["Ready"].status == "True":
            assert "Stalled" not in found or found["WorkloadReady"].status == "False"
            assert snapshot.is_suspended or found["Streaming"].status == "True"
        if found["WorkloadReady"].status == "False":
            assert {"Reconciling", "Stalled"} & set(found)
        if snapshot.failures:
            assert found["Ready"].status != "True", "nothing is known of what the new generation needs"
            assert {"Reconciling", "Stalled"} & set(found)
