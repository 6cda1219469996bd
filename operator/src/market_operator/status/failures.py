"""Pods that ended for good: evicted, refused by a kubelet, or lost with a node. Pure."""

from market_operator.observed.pods import Pod
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import REMEMBER_FAILURE_FOR_S, Snapshot
from market_operator.status.text import shortened
from market_spec.messages import counted

_REPEATED = 2


def failed_pods(snapshot: Snapshot, shard: int) -> list[Pod]:
    """Pods of a shard and of its current version that failed within the last 10 minutes, the oldest first."""
    assert snapshot.desired
    earliest, template = snapshot.now - REMEMBER_FAILURE_FOR_S, snapshot.desired.templates[shard]
    failed = [pod for pod in snapshot.pods if pod.failed and pod.shard == shard and pod.template == template]
    return sorted((pod for pod in failed if pod.failed_at > earliest), key=lambda pod: (pod.failed_at, pod.version))


def is_repeated(failed: list[Pod]) -> bool:
    """Whether pods fail again and again."""
    return len(failed) >= _REPEATED


def fails_repeatedly(snapshot: Snapshot) -> bool:
    """Whether the pods of a shard fail again and again."""
    return any(is_repeated(failed_pods(snapshot, shard)) for shard in snapshot.shards)


def succeeds_failures(snapshot: Snapshot, pod: Pod) -> bool:
    """Whether a pod replaces one of several that failed, so that it may fail as soon."""
    failed = failed_pods(snapshot, pod.shard) if pod.shard in snapshot.shards else []
    return is_repeated(failed) and pod.started_at >= failed[0].failed_at


def failure_state(snapshot: Snapshot, failed: list[Pod]) -> ConditionState:
    """The state of WorkloadReady after `failed`."""
    reason = Reason.EVICTED if failed[-1].failed == Reason.EVICTED else Reason.PODS_FAILED
    return ConditionState("False", reason, describe_failures(snapshot, failed))


def describe_failures(snapshot: Snapshot, failed: list[Pod]) -> str:
    """Number of `failed`, and the kubelet's reason and words about the last one."""
    last = failed[-1]
    words = f": {shortened(last.failed_message.strip())}" if last.failed_message.strip() else ""
    lost = " Files of its sinks are lost" if _has_own_files(snapshot) else ""
    count = f"Shard {last.shard}: {counted(len(failed), 'pod')} failed within 10 minutes"
    return f"{count}, last {last.name}: {last.failed}{words}{'.' if lost and not words.endswith('.') else ''}{lost}"


def _has_own_files(snapshot: Snapshot) -> bool:
    """Whether a sink writes into the pod's own file system, which ends with the pod."""
    sinks = snapshot.desired.spec.sinks if snapshot.desired else ()
    return any(sink.file and not sink.file.claim_name for sink in sinks)
