"""The condition WorkloadReady."""

from collections.abc import Sequence

from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.resource.naming import PAUSED_ANNOTATION
from market_operator.status.diagnosis import deployment_problem, has_outdated_pods, is_observed, pod_problem
from market_operator.status.failures import describe_failures, failed_pods, failure_state, is_repeated
from market_operator.status.reasons import PASSING, ConditionState, Reason
from market_operator.status.snapshot import Snapshot, no_desired_state
from market_operator.status.text import listed
from market_spec.messages import counted


def workload_ready(snapshot: Snapshot) -> ConditionState:
    """Whether all desired pods run, and no others.

    Pod readiness does not count: a pod whose exchange is unreachable is not ready, but it runs.
    """
    if snapshot.desired is None:
        return no_desired_state(snapshot)
    if snapshot.failures:
        return _apply_failed(snapshot)
    if snapshot.paused:
        return _paused(snapshot.paused)
    if snapshot.is_suspended:
        return _suspended(snapshot)
    states = [_shard_ready(snapshot, shard) for shard in snapshot.shards]
    bad = [state for state in states if state.status != "True"]
    worst = [state for state in bad if state.reason not in PASSING] or bad
    if snapshot.contests:
        return _contested(snapshot, [state.message for state in worst[:1]])
    return worst[0] if worst else _all_running(snapshot, _desired_pods(snapshot.desired))


def _all_running(snapshot: Snapshot, pods: int) -> ConditionState:
    message = "; ".join([f"{counted(pods, 'pod')} running", *_remarks(snapshot)])
    if snapshot.paused is None:
        return ConditionState("True", Reason.ALL_RUNNING, message)
    return ConditionState("True", Reason.PAUSED, f"{message}. The annotation {PAUSED_ANNOTATION} stops changes")


def _contested(snapshot: Snapshot, others: Sequence[str]) -> ConditionState:
    """The objects that another writer keeps changing, which may be the cause of `others`."""
    texts = [f"{each.message} ({counted(each.count, 'time')})" for each in snapshot.contests]
    pause = max(each.delay for each in snapshot.contests)
    message = f"{listed(texts)}. The operator puts it back after {pause:.0f} s. Stop the other writer"
    return ConditionState("False", Reason.CHANGED_BY_OTHERS, ". ".join([message, *others]))


def has_unready_pods(snapshot: Snapshot) -> bool:
    """Whether a pod runs but is not ready for Kubernetes."""
    return bool(_unready_pods(snapshot))


def _unready_pods(snapshot: Snapshot) -> list[Pod]:
    pods = [pod for shard in snapshot.shards for pod in snapshot.pods_of(shard)]
    return [pod for pod in pods if pod.is_running and not pod.is_ready]


def _remarks(snapshot: Snapshot) -> list[str]:
    """Pods that are not ready, and the failed pods of a shard."""
    unready = [_why_not_ready(snapshot, pod) for pod in _unready_pods(snapshot)]
    failed = [failed for shard in snapshot.shards if (failed := failed_pods(snapshot, shard))]
    return [*([listed(unready)] if unready else []), *(describe_failures(snapshot, pods) for pods in failed[:1])]


def _paused(waiting: Sequence[str]) -> ConditionState:
    message = f"The annotation {PAUSED_ANNOTATION} stops changes of {listed(waiting)}. Remove it to continue"
    return ConditionState("False", Reason.PAUSED, message)


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
    running = [pod for pod in new if pod.is_running and not pod_problem(pod, snapshot.now)]
    is_seen = deployment is None or is_observed(deployment)
    is_replacing = deployment is not None and is_seen and has_outdated_pods(deployment)
    failed = failed_pods(snapshot, shard)
    if len(running) >= replicas and not old and is_seen and not is_replacing and not is_repeated(failed):
        return ConditionState("True", Reason.ALL_RUNNING, "")
    if problem := _problem(snapshot, new, deployment):
        return problem
    if is_repeated(failed) or (failed and len(running) < replicas):
        return failure_state(snapshot, failed)
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
    if len(running) >= replicas:
        message = f"Shard {shard}: the Deployment replaces pods of the same version, as after kubectl rollout restart"
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
    why = probe.problem or (probe.report.reason if probe.report else "") or pod.unready or "no reason reported"
    return f"pod {pod.name} runs but is not ready: {why}"


def _desired_pods(desired: DesiredState) -> int:
    return 0 if desired.spec.suspend else len(desired.templates) * desired.spec.replicas
