"""Times in the status."""

from datetime import UTC, datetime

CLOCK_TOLERANCE_S = 60.0
"""By how much a pod's clock may be ahead of the operator's."""
_EARLIEST = "2000-01-01T00:00:00Z"


def kubernetes_time(now: float) -> str:
    """A time in seconds since 1970, as Kubernetes writes it. Strings of this form sort by time."""
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def believed_time(time: str, now: float) -> str:
    """`time` of a pod or of a stored status; empty if it lies in the future or before 2000.

    The status keeps the newest time, so one from a pod with a wrong clock would stay until that moment.
    """
    return time if _EARLIEST <= time <= kubernetes_time(now + CLOCK_TOLERANCE_S) else ""
