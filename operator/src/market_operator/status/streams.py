"""The state of each stream, merged over replicas."""

from collections.abc import Callable

from market_operator.observed.reports import Stream
from market_operator.status.snapshot import Snapshot

DELIVERING = ("live", "quiet")


def live_streams(picture: Snapshot) -> tuple[int, int]:
    """How many of the wanted streams deliver, and how many are wanted; of replicas, one is enough."""
    if picture.wanted is None:
        return 0, 0
    spec = picture.wanted.spec
    wanted = spec.subjects
    states = best_streams(picture)
    live = [s for s in states.values() if s.state in DELIVERING and s.symbol in wanted]
    total = spec.stream_count
    return min(len(live), total), total


_ORDER = {"live": 0, "quiet": 1, "pending": 2, "stale": 3, "refused": 4}


def best_streams(picture: Snapshot) -> dict[str, Stream]:
    """Each reported stream in its best state over the replicas."""
    best: dict[str, Stream] = {}
    for report in picture.reports:
        for stream in report.streams:
            known = best.get(stream.name)
            if known is None or _ORDER.get(stream.state, 5) < _ORDER.get(known.state, 5):
                best[stream.name] = stream
    return best


def merge_streams(picture: Snapshot, is_meant: Callable[[Stream], bool]) -> list[Stream]:
    return [stream for _, stream in sorted(best_streams(picture).items()) if is_meant(stream)]
