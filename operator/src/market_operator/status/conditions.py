"""The conditions: one small pure function each, from the picture to True, False or Unknown with reason and message.

Reasons are a closed list: a class attribute of Reason each. Precedence inside a condition is the order of the ifs.
"""

from collections.abc import Mapping

from market_operator.status.accepted import accepted
from market_operator.status.diagnosis import is_in_time
from market_operator.status.output import complete, sinks_healthy
from market_operator.status.reasons import PASSING, ConditionState, Reason
from market_operator.status.snapshot import Snapshot
from market_operator.status.streaming import streaming
from market_operator.status.workload import workload_ready

# What can only be known from the collectors' reports.
_FROM_REPORTS = ("Accepted", "Streaming", "Complete", "SinksHealthy")


def conditions(picture: Snapshot) -> dict[str, ConditionState]:
    """All conditions of the picture by type; Reconciling and Stalled only when True."""
    found = {
        "Accepted": accepted(picture),
        "WorkloadReady": workload_ready(picture),
        "Streaming": streaming(picture),
        "Complete": complete(picture),
        "SinksHealthy": sinks_healthy(picture),
    }
    if picture.unseen:
        found |= {kind: verdict for kind, verdict in picture.before.items() if _stands(kind, found)}
    progress = {"Reconciling": reconciling(found, picture), "Stalled": stalled(found, picture)}
    present = {kind: verdict for kind, verdict in progress.items() if verdict is not None}
    return {"Ready": ready(found, picture), **found, **present}


def _stands(kind: str, found: Mapping[str, ConditionState]) -> bool:
    """Whether what was told before the first look stands; that a secret is missing is seen at the pod."""
    return kind in _FROM_REPORTS and found[kind].reason != Reason.SECRET_NOT_FOUND


def ready(found: Mapping[str, ConditionState], picture: Snapshot) -> ConditionState:
    """The summary: whether data flows as the resource says. An open gap shows in Complete and in the health alone."""
    inputs = [found[kind] for kind in ("Accepted", "WorkloadReady", "Streaming", "SinksHealthy")]
    if picture.is_suspended:
        return found["WorkloadReady"]
    if found["Streaming"].status == "True" and _is_passing(found["WorkloadReady"], picture):
        inputs.remove(found["WorkloadReady"])
    for status in ("False", "Unknown"):
        for verdict in inputs:
            if verdict.status == status:
                return verdict
    return ConditionState("True", Reason.READY, found["Streaming"].message)


def _is_passing(workload: ConditionState, picture: Snapshot) -> bool:
    """Whether what WorkloadReady lacks leaves the flow of data alone.

    Old pods or another replica deliver; or the write that failed for a moment was none that this generation needed,
    since it was Ready before.
    """
    before = picture.before.get("Ready")
    return workload.reason in PASSING or (picture.is_retrying and before is not None and before.status == "True")


def reconciling(found: Mapping[str, ConditionState], picture: Snapshot) -> ConditionState | None:
    """kstatus' sign that work is under way that may end by itself."""
    workload = found["WorkloadReady"]
    return ConditionState("True", workload.reason, workload.message) if _is_under_way(workload, picture) else None


def _is_under_way(workload: ConditionState, picture: Snapshot) -> bool:
    """Whether what WorkloadReady lacks may come without anybody's help.

    A node that is being added, a secret that is made a moment later, a registry that was busy: as long as Kubernetes
    gives a roll-out time, so do we, for tools give up on a resource at the first Stalled.
    """
    if workload.status != "False":
        return False
    if picture.failures:
        return picture.is_retrying
    rolling = [picture.deployments[shard] for shard in picture.shards if shard in picture.deployments]
    return workload.reason in PASSING or any(map(is_in_time, rolling))


def stalled(found: Mapping[str, ConditionState], picture: Snapshot) -> ConditionState | None:
    """kstatus' sign that a person must act."""
    symbols, workload, streams = found["Accepted"], found["WorkloadReady"], found["Streaming"]
    if symbols.status == "False" and symbols.reason != Reason.SECRET_NOT_FOUND:
        return ConditionState("True", symbols.reason, symbols.message)
    if workload.status == "False" and not _is_under_way(workload, picture):
        return ConditionState("True", workload.reason, workload.message)
    if streams.reason == Reason.RECONNECTS_EXHAUSTED:
        return ConditionState("True", streams.reason, streams.message)
    return None


def health(found: Mapping[str, ConditionState]) -> str:
    """One word for people: Healthy, Degraded (data flows, but something is amiss), Unhealthy, Unknown."""
    summary = found["Ready"]
    if summary.status == "Unknown":
        return "Unknown"
    if summary.status == "False":
        return "Unhealthy"
    if summary.reason == Reason.SUSPENDED:
        return "Healthy"
    whole = all(found[kind].status == "True" for kind in ("Complete", "WorkloadReady"))
    return "Healthy" if whole else "Degraded"
