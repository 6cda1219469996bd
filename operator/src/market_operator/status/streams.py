"""The state of each stream, merged over replicas."""

from collections.abc import Callable

from market_operator.observed.reported_streams import Stream
from market_operator.status.snapshot import Snapshot

DELIVERING = ("live", "quiet")


def count_live_streams(snapshot: Snapshot) -> tuple[int, int]:
    """Number of desired streams that deliver, and of all desired streams. One replica per stream is enough."""
    if snapshot.desired is None:
        return 0, 0
    spec = snapshot.desired.spec
    desired = spec.subjects
    states = best_streams(snapshot)
    live = [s for s in states.values() if s.state in DELIVERING and s.symbol in desired]
    total = spec.stream_count
    return min(len(live), total), total


_ORDER = {"live": 0, "quiet": 1, "pending": 2, "unknown": 3, "stale": 4, "refused": 5}


def best_streams(snapshot: Snapshot) -> dict[str, Stream]:
    """Each reported stream in its best state over all replicas, by name."""
    best: dict[str, Stream] = {}
    for report in snapshot.reports:
        for stream in report.streams:
            known = best.get(stream.name)
            if known is None or _rank(stream) < _rank(known):
                best[stream.name] = stream
    return best


def _rank(stream: Stream) -> tuple[int, bool]:
    """Sort key: the best state first, and of equal ones those whose words were kept."""
    return _ORDER.get(stream.state, 6), not stream.has_words


def select_streams(snapshot: Snapshot, is_selected: Callable[[Stream], bool]) -> list[Stream]:
    """The streams that `is_selected` accepts, each in its best state, ordered by name."""
    return [stream for _, stream in sorted(best_streams(snapshot).items()) if is_selected(stream)]
