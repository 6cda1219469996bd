"""The condition Streaming."""

from collections.abc import Sequence

from market_operator.observed.reported_streams import Stream
from market_operator.observed.reports import Connection
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot, no_desired_state
from market_operator.status.streams import DELIVERING, count_live_streams, select_streams
from market_operator.status.text import listed, shortened
from market_operator.status.times import believed_time

_NOT_CONNECTED = ("connecting", "backoff", "stopped")
_ELSEWHERE = (
    "Run the pods in another region, or set spec.connection.endpoint, or HTTPS_PROXY in spec.template.env. "
    "The collector tries again about every 10 minutes"
)


def streaming(snapshot: Snapshot) -> ConditionState:
    """Whether at least one replica delivers each desired stream, or the exchange confirms a quiet market."""
    if snapshot.desired is None:
        return no_desired_state(snapshot)
    if snapshot.is_suspended:
        return ConditionState("False", Reason.SUSPENDED, "No stream is collected because spec.suspend is true")
    live, total = count_live_streams(snapshot)
    if live >= total:
        return ConditionState("True", Reason.ALL_LIVE, f"{live} of {total} streams deliver{_not_trading(snapshot)}")
    return _not_streaming(snapshot, live, total)


def _not_streaming(snapshot: Snapshot, live: int, total: int) -> ConditionState:
    rest = select_streams(snapshot, lambda stream: stream.state not in DELIVERING)
    counts = f"{live} of {total} streams deliver"
    for find in (_stopped, _disconnected, _not_running):
        if found := find(snapshot, counts):
            return found
    for state, reason, word in _STREAM_REASONS:
        if streams := [stream for stream in rest if stream.state == state]:
            names = listed(f"{stream.name}{_since(stream.since, snapshot.now)}" for stream in streams)
            return ConditionState("False", reason, f"{counts}; {word}: {names}{_unreadable(streams)}")
    if unknown := [stream for stream in rest if stream.state == "unknown"]:
        return _unknown(unknown, counts, snapshot.now)
    message = f"{counts}; the collectors have not reported the other streams yet"
    return _unreachable(snapshot, counts) or ConditionState("False", Reason.STREAMS_PENDING, message)


_STREAM_REASONS = (
    ("stale", Reason.STREAMS_STALE, "no data for longer than spec.staleAfter"),
    ("refused", Reason.STREAMS_REFUSED, "refused by the exchange"),
    ("pending", Reason.STREAMS_PENDING, "waiting for first data"),
)


def _not_trading(snapshot: Snapshot) -> str:
    """The quiet streams whose instrument the exchange has suspended, or not opened yet."""
    halted = {
        stream.symbol: stream.message
        for report in snapshot.reports
        for stream in report.streams
        if stream.reason == "NotTrading" and stream.state == "quiet"
    }
    symbols = sorted(halted)
    return f"; not trading: {listed(symbols)} ({shortened(halted[symbols[0]])})" if halted else ""


def _unreadable(streams: Sequence[Stream]) -> str:
    """The reason that messages of a stream cannot be read: data comes, though none is published."""
    words = next((stream.message for stream in streams if stream.reason == "Unreadable" and stream.message), "")
    return f": {shortened(words)}" if words else ""


def _unknown(streams: Sequence[Stream], counts: str, now: float) -> ConditionState:
    """Streams without data whose market could not be checked: they may be quiet or stale."""
    names = listed(f"{stream.name}{_since(stream.since, now)}" for stream in streams)
    why = shortened(streams[0].message or "no reason reported")
    return ConditionState("Unknown", Reason.STREAMS_UNKNOWN, f"{counts}; quiet or stale: {names}: {why}")


def _since(time: str, now: float) -> str:
    since = believed_time(time, now)
    return f" (since {since})" if since else ""


def _stopped(snapshot: Snapshot, counts: str) -> ConditionState | None:
    """A collector stopped reconnecting, as spec.autoRestart: false asks for."""
    stopped = [c for report in snapshot.reports for c in report.connections if c.state == "stopped"]
    if not stopped or (snapshot.desired and snapshot.desired.spec.auto_restart):
        return None
    reason = f" ({stopped[0].reason})" if stopped[0].reason else ""
    message = f"{counts}; gave up after spec.connection.maxReconnectAttempts failed attempts{reason}"
    return ConditionState(
        "False", Reason.RECONNECTS_EXHAUSTED, f"{message}. Change the spec or delete the pod to retry"
    )


def _disconnected(snapshot: Snapshot, counts: str) -> ConditionState | None:
    """All connections of a shard are down, and none of its streams delivers."""
    for shard in snapshot.shards:
        reports = snapshot.reports_of(shard)
        connections = [connection for report in reports for connection in report.connections]
        fresh = [stream for report in reports for stream in report.streams if stream.state in DELIVERING]
        down = [connection for connection in connections if connection.state in _NOT_CONNECTED]
        has_failed = any(c.state != "connecting" or c.problem for c in down)
        if down and len(down) == len(connections) and not fresh and has_failed:
            changed = next((c for c in down if c.reason), down[0])
            since = believed_time(changed.since, snapshot.now)
            since = f" since {since}" if since else ""
            why = changed.reason or next((report.reason for report in reports if report.reason), "no reason reported")
            return _no_connection(down, f"{counts}; no connection to the exchange{since}: {why}")
    return None


def _no_connection(down: Sequence[Connection], message: str) -> ConditionState:
    if any(connection.problem != Reason.REGION_RESTRICTED for connection in down):
        return ConditionState("False", Reason.DISCONNECTED, message)
    return ConditionState("False", Reason.REGION_RESTRICTED, f"{message}. {_ELSEWHERE}")


def _not_running(snapshot: Snapshot, counts: str) -> ConditionState | None:
    idle = [str(shard) for shard in snapshot.shards if not any(pod.is_running for pod in snapshot.pods_of(shard))]
    if not idle:
        return None
    word = "shard" if len(idle) == 1 else "shards"
    return ConditionState(
        "False", Reason.COLLECTOR_NOT_RUNNING, f"{counts}; no collector runs for {word} {listed(idle)}"
    )


def _unreachable(snapshot: Snapshot, counts: str) -> ConditionState | None:
    for shard in snapshot.shards:
        lost = snapshot.unreachable(shard)
        if lost and not snapshot.reports_of(shard):
            pod, probe = lost[0]
            message = f"Could not probe pod {pod.name}: {probe.problem}; last known: {counts}"
            return ConditionState("Unknown", Reason.COLLECTOR_UNREACHABLE, message)
    return None
