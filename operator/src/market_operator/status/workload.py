"""The condition WorkloadReady."""

from collections.abc import Sequence

from market_operator.manifests.wanted import DesiredState
from market_operator.observed.collectors import ProbeResult
from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.status.diagnosis import deployment_trouble, is_crash_looping, is_taken_up, pod_trouble
from market_operator.status.reasons import PASSING, ConditionState, Reason
from market_operator.status.snapshot import Snapshot
from market_operator.status.text import number, some


def workload_ready(picture: Snapshot) -> ConditionState:
    """Whether all pods of the wanted version run, and no other.

    Their streams are not asked for: a pod that the kubelet calls not ready because the exchange is gone still runs.
    """
    if picture.wanted is None:
        return ConditionState("Unknown", Reason.INVALID_SPEC, "Nothing is built from a spec that is not valid")
    if picture.failures:
        return _apply_failed(picture)
    if picture.is_suspended:
        return _suspended(picture)
    verdicts = [_shard_ready(picture, shard) for shard in picture.shards]
    bad = [verdict for verdict in verdicts if verdict.status != "True"]
    worst = [verdict for verdict in bad if verdict.reason not in PASSING] or bad
    if not worst:
        return ConditionState("True", Reason.ALL_RUNNING, f"Wanted pods that run: {_wanted_pods(picture.wanted)}")
    return worst[0]


def _apply_failed(picture: Snapshot) -> ConditionState:
    texts = [f"{failure.what}: {failure.error}" for failure in picture.failures]
    reason = Reason.QUOTA_EXCEEDED if any("exceeded quota" in text for text in texts) else Reason.APPLY_FAILED
    again = "; it is tried again" if picture.is_retrying else ""
    return ConditionState("False", reason, f"Could not write {some(texts)}{again}")


def _suspended(picture: Snapshot) -> ConditionState:
    left = [pod for pod in picture.pods if not pod.is_terminating]
    if left:
        message = f"{number(len(left), 'pod')} still to stop, because spec.suspend is true"
        return ConditionState("False", Reason.ROLLING_OUT, message)
    return ConditionState("True", Reason.SUSPENDED, "No pod runs, because spec.suspend is true")


def _shard_ready(picture: Snapshot, shard: int) -> ConditionState:
    assert picture.wanted
    template, replicas = picture.wanted.templates[shard], picture.wanted.spec.replicas
    deployment, pods = picture.deployments.get(shard), picture.pods_of(shard)
    new = [pod for pod in pods if pod.template == template]
    old = [pod for pod in pods if pod.template != template]
    running = [pod for pod in new if pod.is_running and not is_crash_looping(pod, picture.now)]
    is_seen = deployment is None or is_taken_up(deployment)
    if len(running) >= replicas and not old and is_seen:
        return ConditionState("True", Reason.ALL_RUNNING, "")
    if trouble := _trouble(picture, new, deployment):
        return trouble
    if not is_seen:
        return ConditionState(
            "False", Reason.ROLLING_OUT, f"Shard {shard}: Kubernetes has yet to take up what was written"
        )
    if old:
        to_go = number(len(old), "old pod")
        message = f"Shard {shard}: {len(running)} of {replicas} new pods run, {to_go} still to go"
        return ConditionState("False", Reason.ROLLING_OUT, message)
    return ConditionState("False", Reason.PODS_NOT_READY, f"Shard {shard}: {len(running)} of {replicas} pods run")


def _trouble(picture: Snapshot, new: Sequence[Pod], deployment: Document | None) -> ConditionState | None:
    """What keeps a shard's new pods from running or from getting ready: their own reason before the Deployment's."""
    found = [verdict for pod in new if (verdict := pod_trouble(pod, picture.now))]
    if found or deployment is None:
        return next(iter(found), None)
    waiting = [_why_not_ready(picture, pod) for pod in new if not pod.is_ready]
    return deployment_trouble(deployment, some(waiting) or "there is none yet")


def _why_not_ready(picture: Snapshot, pod: Pod) -> str:
    if not pod.is_running:
        return f"pod {pod.name} waits for its {pod.waiting or 'start'}; kubectl describe pod says for what"
    look = picture.looks.get(pod.uid, ProbeResult())
    why = look.problem or (look.report.reason if look.report else "") or "it has not said why"
    return f"pod {pod.name} runs but is not ready: {why}"


def _wanted_pods(wanted: DesiredState) -> int:
    return 0 if wanted.spec.suspend else len(wanted.templates) * wanted.spec.replicas
