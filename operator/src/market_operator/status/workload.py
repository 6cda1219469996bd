"""The condition WorkloadReady."""

from collections.abc import Sequence

from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.status.diagnosis import deployment_problem, is_crash_looping, is_observed, pod_problem
from market_operator.status.reasons import PASSING, ConditionState, Reason
from market_operator.status.snapshot import Snapshot
from market_operator.status.text import listed
from market_spec.messages import counted


def workload_ready(snapshot: Snapshot) -> ConditionState:
    """Whether all desired pods run, and no others.

    Pod readiness does not count: a pod whose exchange is unreachable is not ready, but it runs.
    """
    if snapshot.desired is None:
        return ConditionState("Unknown", Reason.INVALID_SPEC, "No object is built from an invalid spec")
    if snapshot.failures:
        return _apply_failed(snapshot)
    if snapshot.is_suspended:
        return _suspended(snapshot)
    states = [_shard_ready(snapshot, shard) for shard in snapshot.shards]
    bad = [state for state in states if state.status != "True"]
    worst = [state for state in bad if state.reason not in PASSING] or bad
    if not worst:
        return ConditionState("True", Reason.ALL_RUNNING, f"{counted(_desired_pods(snapshot.desired), 'pod')} running")
    return worst[0]


def _apply_failed(snapshot: Snapshot) -> ConditionState:
    texts = [f"{failure.what}: {failure.error}" for failure in snapshot.failures]
    reason = Reason.QUOTA_EXCEEDED if any("exceeded quota" in text for text in texts) else Reason.APPLY_FAILED
    retry = "; retrying" if snapshot.is_retrying else ""
    return ConditionState("False", reason, f"Could not write {listed(texts)}{retry}")


def _suspended(snapshot: Snapshot) -> ConditionState:
    left = [pod for pod in snapshot.pods if not pod.is_terminating]
    if left:
        message = f"{counted(len(left), 'pod')} still terminating because spec.suspend is true"
        return ConditionState("False", Reason.ROLLING_OUT, message)
    return ConditionState("True", Reason.SUSPENDED, "No pod runs because spec.suspend is true")


def _shard_ready(snapshot: Snapshot, shard: int) -> ConditionState:
    assert snapshot.desired
    template, replicas = snapshot.desired.templates[shard], snapshot.desired.spec.replicas
    deployment, pods = snapshot.deployments.get(shard), snapshot.pods_of(shard)
    new = [pod for pod in pods if pod.template == template]
    old = [pod for pod in pods if pod.template != template]
    running = [pod for pod in new if pod.is_running and not is_crash_looping(pod, snapshot.now)]
    is_seen = deployment is None or is_observed(deployment)
    if len(running) >= replicas and not old and is_seen:
        return ConditionState("True", Reason.ALL_RUNNING, "")
    if problem := _problem(snapshot, new, deployment):
        return problem
    if not is_seen:
        return ConditionState(
            "False",
            Reason.ROLLING_OUT,
            f"Shard {shard}: the Deployment controller has not observed the latest change yet",
        )
    if old:
        leaving = counted(len(old), "old pod")
        message = f"Shard {shard}: {len(running)} of {replicas} new pods run, {leaving} still to terminate"
        return ConditionState("False", Reason.ROLLING_OUT, message)
    return ConditionState("False", Reason.PODS_NOT_READY, f"Shard {shard}: {len(running)} of {replicas} pods run")


def _problem(snapshot: Snapshot, new: Sequence[Pod], deployment: Document | None) -> ConditionState | None:
    """The reason why new pods of a shard do not run or are not ready: a pod's first, then the Deployment's."""
    found = [state for pod in new if (state := pod_problem(pod, snapshot.now))]
    if found or deployment is None:
        return next(iter(found), None)
    waiting = [_why_not_ready(snapshot, pod) for pod in new if not pod.is_ready]
    return deployment_problem(deployment, listed(waiting) or "no new pod exists yet")


def _why_not_ready(snapshot: Snapshot, pod: Pod) -> str:
    if not pod.is_running:
        return f"pod {pod.name} is waiting ({pod.waiting or 'not started'}). kubectl describe pod shows why"
    probe = snapshot.probes.get(pod.uid, ProbeResult())
    why = probe.problem or (probe.report.reason if probe.report else "") or "no reason reported"
    return f"pod {pod.name} runs but is not ready: {why}"


def _desired_pods(desired: DesiredState) -> int:
    return 0 if desired.spec.suspend else len(desired.templates) * desired.spec.replicas
