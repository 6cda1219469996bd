"""The condition Streaming."""

from market_operator.observed.reports import Stream
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot, not_desired
from market_operator.status.streams import DELIVERING, live_streams, merge_streams
from market_operator.status.text import some

_NOT_CONNECTED = ("connecting", "backoff", "stopped")


def streaming(picture: Snapshot) -> ConditionState:
    """Whether every wanted stream is delivered by at least one replica, or its market is quiet."""
    if picture.wanted is None:
        return not_desired()
    if picture.is_suspended:
        return ConditionState("False", Reason.SUSPENDED, "No stream is wanted, because spec.suspend is true")
    live, total = live_streams(picture)
    if live >= total:
        return ConditionState("True", Reason.ALL_LIVE, f"{live} of {total} streams deliver")
    return _not_streaming(picture, live, total)


def _not_streaming(picture: Snapshot, live: int, total: int) -> ConditionState:
    rest = merge_streams(picture, lambda stream: stream.state not in DELIVERING)
    counts = f"{live} of {total} streams deliver"
    for find in (_stopped, _disconnected, _not_running):
        if verdict := find(picture, counts):
            return verdict
    for state, reason, word in _STREAM_REASONS:
        names = [f"{stream.name}{_since(stream)}" for stream in rest if stream.state == state]
        if names:
            return ConditionState("False", reason, f"{counts}; {word}: {some(names)}")
    message = f"{counts}; the collectors have not reported the others yet"
    return _unreachable(picture, counts) or ConditionState("False", Reason.STREAMS_PENDING, message)


_STREAM_REASONS = (
    ("stale", Reason.STREAMS_STALE, "without data for longer than spec.staleAfter"),
    ("refused", Reason.STREAMS_REFUSED, "refused by the exchange"),
    ("pending", Reason.STREAMS_PENDING, "waiting for first data"),
)


def _since(stream: Stream) -> str:
    return f" (since {stream.since})" if stream.since else ""


def _stopped(picture: Snapshot, counts: str) -> ConditionState | None:
    """The collectors gave up as spec.autoRestart: false tells them to."""
    stopped = [c for report in picture.reports for c in report.connections if c.state == "stopped"]
    if not stopped or (picture.wanted and picture.wanted.spec.auto_restart):
        return None
    reason = f" ({stopped[0].reason})" if stopped[0].reason else ""
    message = f"{counts}; gave up after spec.connection.maxReconnectAttempts failed attempts{reason}"
    return ConditionState(
        "False", Reason.RECONNECTS_EXHAUSTED, f"{message}; change the spec or delete the pod to try again"
    )


def _disconnected(picture: Snapshot, counts: str) -> ConditionState | None:
    """Every connection of a shard is down, and none of its streams is fresh any more."""
    for shard in picture.shards:
        reports = picture.reports_of(shard)
        connections = [connection for report in reports for connection in report.connections]
        fresh = [stream for report in reports for stream in report.streams if stream.state in DELIVERING]
        down = [connection for connection in connections if connection.state in _NOT_CONNECTED]
        if down and len(down) == len(connections) and not fresh and any(c.state != "connecting" for c in down):
            told = next((c for c in down if c.reason), down[0])
            since = f" since {told.since}" if told.since else ""
            why = told.reason or next((report.reason for report in reports if report.reason), "no reason known")
            return ConditionState(
                "False", Reason.DISCONNECTED, f"{counts}; no connection to the exchange{since}: {why}"
            )
    return None


def _not_running(picture: Snapshot, counts: str) -> ConditionState | None:
    idle = [str(shard) for shard in picture.shards if not any(pod.is_running for pod in picture.pods_of(shard))]
    if not idle:
        return None
    word = "shard" if len(idle) == 1 else "shards"
    return ConditionState("False", Reason.COLLECTOR_NOT_RUNNING, f"{counts}; no collector runs for {word} {some(idle)}")


def _unreachable(picture: Snapshot, counts: str) -> ConditionState | None:
    for shard in picture.shards:
        lost = picture.unreachable(shard)
        if lost and not picture.reports_of(shard):
            pod, look = lost[0]
            message = f"Could not look at pod {pod.name}: {look.problem}; {counts} as far as is known"
            return ConditionState("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return None
