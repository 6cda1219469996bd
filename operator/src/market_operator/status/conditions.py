"""All conditions of a resource. One pure function each, from a snapshot to a state with reason and message.

Reasons come from the closed list in `Reason`. Inside a condition, the order of the ifs is the precedence.
"""

from collections.abc import Mapping

from market_operator.status.accepted import accepted
from market_operator.status.diagnosis import is_progressing
from market_operator.status.output import complete, sinks_healthy
from market_operator.status.reasons import PASSING, ConditionState, Reason
from market_operator.status.snapshot import Snapshot
from market_operator.status.streaming import streaming
from market_operator.status.workload import workload_ready

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
    progress = {"Reconciling": reconciling(found, snapshot), "Stalled": stalled(found, snapshot)}
    present = {kind: state for kind, state in progress.items() if state is not None}
    return {"Ready": ready(found, snapshot), **found, **present}


def _stays(kind: str, found: Mapping[str, ConditionState]) -> bool:
    """Whether the stored condition stays before the first probe. A missing Secret shows at the pod without one."""
    return kind in _REPORT_BASED and found[kind].reason != Reason.SECRET_NOT_FOUND


def ready(found: Mapping[str, ConditionState], snapshot: Snapshot) -> ConditionState:
    """The summary: whether data flows. An open gap affects only Complete and the health."""
    inputs = [found[kind] for kind in ("Accepted", "WorkloadReady", "Streaming", "SinksHealthy")]
    if snapshot.is_suspended:
        return found["WorkloadReady"]
    if found["Streaming"].status == "True" and _is_temporary(found["WorkloadReady"], snapshot):
        inputs.remove(found["WorkloadReady"])
    for status in ("False", "Unknown"):
        for state in inputs:
            if state.status == status:
                return state
    return ConditionState("True", Reason.READY, found["Streaming"].message)


def _is_temporary(workload: ConditionState, snapshot: Snapshot) -> bool:
    """Whether data flows although WorkloadReady is not True.

    Old pods or another replica deliver. Or a write failed and is retried, and this generation was Ready before it.
    """
    before = snapshot.before.get("Ready")
    return workload.reason in PASSING or (snapshot.is_retrying and before is not None and before.status == "True")


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
    if snapshot.failures:
        return snapshot.is_retrying
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
