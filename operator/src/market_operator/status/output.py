"""The conditions Complete and SinksHealthy."""

from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot, all_shards_report, not_desired, not_reported
from market_operator.status.text import number, some


def complete(picture: Snapshot) -> ConditionState:
    """Whether no hole in the data is open."""
    if picture.wanted is None:
        return not_desired()
    if picture.is_suspended:
        return ConditionState("Unknown", Reason.SUSPENDED, "Nothing is collected, because spec.suspend is true")
    if not all_shards_report(picture):
        return not_reported(picture)
    gaps = [gap for report in picture.reports for gap in report.gaps if gap.state == "open"]
    if gaps:
        names = sorted({gap.stream for gap in gaps})
        return ConditionState("False", Reason.GAPS_OPEN, f"{number(len(gaps), 'hole')} open in {some(names)}")
    return ConditionState("True", Reason.NO_GAPS_OPEN, "No hole is open")


def sinks_healthy(picture: Snapshot) -> ConditionState:
    """Whether what is collected is also written."""
    if picture.wanted is None:
        return not_desired()
    if picture.is_suspended:
        return ConditionState("Unknown", Reason.SUSPENDED, "Nothing is written, because spec.suspend is true")
    failing = sorted(
        {
            f"{sink.name}: {sink.error or 'no reason given'}"
            for r in picture.reports
            for sink in r.sinks
            if not sink.healthy
        }
    )
    if failing:
        return ConditionState(
            "False", Reason.SINK_FAILING, f"{number(len(failing), 'sink')} cannot write: {some(failing)}"
        )
    if not all_shards_report(picture):
        return not_reported(picture)
    return ConditionState("True", Reason.SINKS_WRITING, "All sinks take what they are given")
