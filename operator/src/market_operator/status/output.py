"""The conditions Complete and SinksHealthy."""

from market_operator.status.reasons import Reason, Verdict
from market_operator.status.snapshot import Picture, all_shards_report, not_desired, not_reported
from market_operator.status.text import number, some


def complete(picture: Picture) -> Verdict:
    """Whether no hole in the data is open."""
    if picture.wanted is None:
        return not_desired()
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing is collected, because spec.suspend is true")
    if not all_shards_report(picture):
        return not_reported(picture)
    gaps = [gap for report in picture.reports for gap in report.gaps if gap.state == "open"]
    if gaps:
        names = sorted({gap.stream for gap in gaps})
        return Verdict("False", Reason.GAPS_OPEN, f"{number(len(gaps), 'hole')} open in {some(names)}")
    return Verdict("True", Reason.NO_GAPS_OPEN, "No hole is open")


def sinks_healthy(picture: Picture) -> Verdict:
    """Whether what is collected is also written."""
    if picture.wanted is None:
        return not_desired()
    if picture.is_suspended:
        return Verdict("Unknown", Reason.SUSPENDED, "Nothing is written, because spec.suspend is true")
    failing = sorted(
        {
            f"{sink.name}: {sink.error or 'no reason given'}"
            for r in picture.reports
            for sink in r.sinks
            if not sink.healthy
        }
    )
    if failing:
        return Verdict("False", Reason.SINK_FAILING, f"{number(len(failing), 'sink')} cannot write: {some(failing)}")
    if not all_shards_report(picture):
        return not_reported(picture)
    return Verdict("True", Reason.SINKS_WRITING, "All sinks take what they are given")
