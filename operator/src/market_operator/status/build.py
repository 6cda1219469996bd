"""The status document: conditions with their times, totals, streams; and the patch that leads there. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from market_operator.observed.counters import CounterState, write_tally
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import COLLECTOR_LABEL, label_value
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import ConditionState
from market_operator.status.snapshot import Snapshot
from market_operator.status.streams import DELIVERING, best_streams, live_streams
from market_spec.spec import Spec

UNHEALTHY_LIMIT = 20
_NEVER = "1970-01-01T00:00:00Z"


def new_status(resource: Resource, picture: Snapshot, tally: CounterState) -> Document:
    """The status that describes `resource` as the picture shows it."""
    found = conditions(picture)
    status: Document = {
        "observedGeneration": resource.generation,
        "conditions": _with_times(resource, found, picture.now),
        "health": health(found),
        "selector": f"{COLLECTOR_LABEL}={label_value(resource.key.name)}",
        **_totals(resource.status, picture, tally),
        **_workload(picture),
        **_streams(resource, picture),
    }
    return status if picture.wanted is None else {**status, "symbols": symbols_in_short(picture.wanted.spec)}


def _with_times(resource: Resource, found: Mapping[str, ConditionState], now: float) -> list[Document]:
    """The conditions as stored; the time moves only when the status does."""
    before = {each["type"]: each for each in resource.status.get("conditions", ())}
    return [_condition(kind, verdict, before.get(kind), resource.generation, now) for kind, verdict in found.items()]


def _condition(kind: str, verdict: ConditionState, before: Document | None, generation: int, now: float) -> Document:
    unchanged = before and before["status"] == verdict.status and before["lastTransitionTime"] != _NEVER
    since = before["lastTransitionTime"] if before and unchanged else _time(now)
    return {
        "type": kind,
        "status": verdict.status,
        "reason": verdict.reason,
        "message": verdict.message,
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def stored_conditions(resource: Resource) -> dict[str, ConditionState]:
    """The stored conditions that are about the resource's present generation."""
    return {
        each["type"]: ConditionState(each["status"], each["reason"], each["message"])
        for each in resource.status.get("conditions", ())
        if each.get("observedGeneration") == resource.generation
    }


def _totals(before: Document, picture: Snapshot, tally: CounterState) -> Document:
    total, reports = tally.total, picture.reports
    last_message = max([report.last_message_time for report in reports] + [before.get("lastMessageTime") or ""])
    reconnects = [(r.last_reconnect_time, r.last_reconnect_reason) for r in reports]
    stored = before.get("lastReconnect") or {}
    last_reconnect = max([*reconnects, (stored.get("time", ""), stored.get("reason", ""))])
    return {
        "messages": total.messages,
        "records": total.records,
        "reconnections": total.reconnections,
        "resyncs": total.resyncs,
        "skippedUpdates": total.skipped_updates,
        "droppedRecords": total.dropped_records,
        "unreadableFrames": total.unreadable_frames,
        "gaps": {
            "detected": total.gaps_detected,
            "repaired": total.gaps_repaired,
            "lost": total.gaps_lost,
            "open": _open_gaps(before, picture),
            "missingTrades": total.missing_trades,
            "recoveredTrades": total.recovered_trades,
            "lostTrades": total.lost_trades,
        },
        "shardStatuses": write_tally(tally),
        **({"lastMessageTime": last_message} if last_message else {}),
        **({"lastReconnect": {"time": last_reconnect[0], "reason": last_reconnect[1]}} if last_reconnect[0] else {}),
    }


def _open_gaps(before: Document, picture: Snapshot) -> int:
    if picture.unseen:
        return int(before.get("gaps", {}).get("open", 0))
    return sum(gap.state == "open" for report in picture.reports for gap in report.gaps)


def _workload(picture: Snapshot) -> Document:
    if picture.wanted is None:
        return {}
    spec = picture.wanted.spec
    pods = [pod for shard in picture.shards for pod in picture.pods_of(shard)]
    wanted = 0 if spec.suspend else spec.shards * spec.replicas
    return {
        "shards": spec.shards,
        "readyShards": sum(_is_ready(picture, shard) for shard in picture.shards),
        "pods": f"{sum(pod.is_ready for pod in pods)}/{wanted}",
        "image": picture.wanted.image,
    }


def _is_ready(picture: Snapshot, shard: int) -> bool:
    """Whether all replicas of a shard are of the wanted version and ready."""
    assert picture.wanted
    template, spec = picture.wanted.templates[shard], picture.wanted.spec
    ready = [pod for pod in picture.pods_of(shard) if pod.is_ready and pod.template == template]
    return not spec.suspend and len(ready) >= spec.replicas


def _streams(resource: Resource, picture: Snapshot) -> Document:
    """The streams; as long as a pod has yet to be read, what was told of this generation stands."""
    if picture.unseen and "Streaming" in picture.before and "streams" in resource.status:
        return {name: resource.status[name] for name in ("streams", "unhealthyStreams") if name in resource.status}
    live, total = live_streams(picture)
    bad = [stream for _, stream in sorted(best_streams(picture).items()) if stream.state not in DELIVERING]
    return {
        "streams": {"total": total, "live": live, "summary": f"{live}/{total}"},
        "unhealthyStreams": [
            {
                "stream": stream.name,
                "reason": f"{stream.state}: {stream.reason}" if stream.reason else stream.state,
                **({"since": stream.since} if stream.since else {}),
            }
            for stream in bad[:UNHEALTHY_LIMIT]
        ],
    }


def symbols_in_short(spec: Spec) -> str:
    """The first three symbols, and how many more there are."""
    more = len(spec.all_symbols) - 3
    return ", ".join(spec.all_symbols[:3]) + (f" +{more}" if more > 0 else "")


def _time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
