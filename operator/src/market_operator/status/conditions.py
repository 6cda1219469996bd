"""All conditions of a resource. One pure function each, from a snapshot to a state with reason and message.

Reasons come from the closed list in `Reason`. Inside a condition, the order of the ifs is the precedence.
"""

from collections.abc import Mapping

from market_operator.scheduling.contests import HOPELESS
from market_operator.status.accepted import accepted
from market_operator.status.diagnosis import is_progressing, pod_problem
from market_operator.status.failures import fails_repeatedly, succeeds_failures
from market_operator.status.output import complete, sinks_healthy
from market_operator.status.reasons import PASSING, ConditionState, Reason
from market_operator.status.snapshot import Snapshot
from market_operator.status.streaming import streaming
from market_operator.status.workload import has_unready_pods, workload_ready

# Conditions that depend on the collectors' reports.
_REPORT_BASED = ("Accepted", "Streaming", "Complete", "SinksHealthy")


def conditions(snapshot: Snapshot) -> dict[str, ConditionState]:
    """All conditions by type. Reconciling and Stalled are present only when True."""
    found = {
        "Accepted": accepted(snapshot),
        "WorkloadReady": workload_ready(snapshot),
        "Streaming": streaming(snapshot),
        "Complete": complete(snapshot),
        "SinksHealthy": sinks_healthy(snapshot),
    }
    if snapshot.has_unprobed_pods:
        found |= {kind: state for kind, state in snapshot.before.items() if _stays(kind, found)}
    return {"Ready": ready(found, snapshot), **found, **_progress(found, snapshot)}


def _progress(found: Mapping[str, ConditionState], snapshot: Snapshot) -> dict[str, ConditionState]:
    """Reconciling or Stalled, never both: kstatus waits as long as Reconciling is True, also for a hopeless change."""
    if (stall := stalled(found, snapshot)) is not None:
        return {"Stalled": stall}
    work = reconciling(found, snapshot)
    return {} if work is None else {"Reconciling": work}


def _stays(kind: str, found: Mapping[str, ConditionState]) -> bool:
    """Whether the stored condition stays before the first probe. A missing Secret shows at the pod without one."""
    return kind in _REPORT_BASED and found[kind].reason != Reason.SECRET_NOT_FOUND


def ready(found: Mapping[str, ConditionState], snapshot: Snapshot) -> ConditionState:
    """The summary: whether data flows. An open gap affects only Complete and the health."""
    inputs = [found[kind] for kind in ("Accepted", "WorkloadReady", "Streaming", "SinksHealthy")]
    if snapshot.is_suspended:
        return found["WorkloadReady"]
    workload = found["WorkloadReady"]
    if found["Streaming"].status == "True" and _data_flows_without(workload, snapshot):
        inputs.remove(workload)
    for status in ("False", "Unknown"):
        for state in inputs:
            if state.status == status:
                return state
    message = found["Streaming"].message
    if workload.status != "True" or has_unready_pods(snapshot):
        message = f"{message}; {workload.message}"
    return ConditionState("True", Reason.READY, message)


def _data_flows_without(workload: ConditionState, snapshot: Snapshot) -> bool:
    """Whether data flows although WorkloadReady is not True.

    Old pods or another replica deliver, or a person paused the resource. Or a write failed and is retried, and this
    generation was Ready before it.
    """
    before = snapshot.before.get("Ready")
    was_ready = before is not None and before.status == "True"
    if snapshot.failures:
        return snapshot.is_retrying and was_ready
    if workload.reason in (*PASSING, Reason.PAUSED):
        return True
    sound = snapshot.only(lambda pod: not pod_problem(pod, snapshot.now) and not succeeds_failures(snapshot, pod))
    return was_ready if sound.has_unprobed_pods else streaming(sound).status == "True"


def reconciling(found: Mapping[str, ConditionState], snapshot: Snapshot) -> ConditionState | None:
    """kstatus: work is in progress that may finish without a person."""
    workload = found["WorkloadReady"]
    return ConditionState("True", workload.reason, workload.message) if _is_in_progress(workload, snapshot) else None


def _is_in_progress(workload: ConditionState, snapshot: Snapshot) -> bool:
    """Whether WorkloadReady may still become True without a person.

    A node may be added, a Secret created or a registry recover within the rollout's progress deadline. Tools fail a
    resource at its first Stalled, so it waits for that deadline.
    """
    if workload.status != "False":
        return False
    if snapshot.failures or snapshot.paused:
        return snapshot.is_retrying
    if workload.reason == Reason.CHANGED_BY_OTHERS:
        return all(contest.count < HOPELESS for contest in snapshot.contests)
    if workload.reason in (Reason.EVICTED, Reason.PODS_FAILED):
        return not fails_repeatedly(snapshot)
    rolling = [snapshot.deployments[shard] for shard in snapshot.shards if shard in snapshot.deployments]
    return workload.reason in PASSING or any(map(is_progressing, rolling))


def stalled(found: Mapping[str, ConditionState], snapshot: Snapshot) -> ConditionState | None:
    """kstatus: a person must act."""
    symbols, workload, streams = found["Accepted"], found["WorkloadReady"], found["Streaming"]
    if symbols.status == "False" and symbols.reason != Reason.SECRET_NOT_FOUND:
        return ConditionState("True", symbols.reason, symbols.message)
    if workload.status == "False" and not _is_in_progress(workload, snapshot):
        return ConditionState("True", workload.reason, workload.message)
    if streams.reason == Reason.RECONNECTS_EXHAUSTED:
        return ConditionState("True", streams.reason, streams.message)
    if streams.reason == Reason.REGION_RESTRICTED and not _is_in_progress(workload, snapshot):
        return ConditionState("True", streams.reason, streams.message)
    return None


def health(found: Mapping[str, ConditionState]) -> str:
    """A one-word summary: Healthy, Degraded (data flows, but a condition is not True), Unhealthy or Unknown."""
    summary = found["Ready"]
    if summary.status == "Unknown":
        return "Unknown"
    if summary.status == "False":
        return "Unhealthy"
    if summary.reason == Reason.SUSPENDED:
        return "Healthy"
    whole = all(found[kind].status == "True" for kind in ("Complete", "WorkloadReady"))
    return "Healthy" if whole else "Degraded"
