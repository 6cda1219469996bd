"""The conditions Complete and SinksHealthy."""

from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot, all_shards_report, no_desired_state, not_reported
from market_operator.status.text import listed
from market_spec.messages import counted


def complete(snapshot: Snapshot) -> ConditionState:
    """Whether no gap is open."""
    if snapshot.desired is None:
        return no_desired_state(snapshot)
    if snapshot.is_suspended:
        return ConditionState("Unknown", Reason.SUSPENDED, "Nothing is collected because spec.suspend is true")
    if not all_shards_report(snapshot):
        return not_reported(snapshot)
    gaps = [stream for report in snapshot.reports for stream in report.open_gaps]
    if gaps:
        names = sorted(set(gaps))
        return ConditionState("False", Reason.GAPS_OPEN, f"{counted(len(gaps), 'gap')} open in {listed(names)}")
    return ConditionState("True", Reason.NO_GAPS_OPEN, "No gap is open")


def sinks_healthy(snapshot: Snapshot) -> ConditionState:
    """Whether every sink stores the records."""
    if snapshot.desired is None:
        return no_desired_state(snapshot)
    if snapshot.is_suspended:
        return ConditionState("Unknown", Reason.SUSPENDED, "Nothing is written because spec.suspend is true")
    failing = sorted(
        {
            f"{sink.name}: {sink.error or 'no reason given'}"
            for r in snapshot.reports
            for sink in r.sinks
            if not sink.healthy
        }
    )
    if failing:
        return ConditionState(
            "False", Reason.SINK_FAILING, f"{counted(len(failing), 'sink')} cannot write: {listed(failing)}"
        )
    if not all_shards_report(snapshot):
        return not_reported(snapshot)
    return ConditionState("True", Reason.SINKS_WRITING, "All sinks are writing")
