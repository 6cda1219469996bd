"""Builds the status: conditions with their transition times, totals, pods and streams. Pure."""

from collections.abc import Mapping

from market_operator.observed.counters import CounterState, write_counter_state
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import COLLECTOR_LABEL, label_value
from market_operator.status.conditions import conditions, health
from market_operator.status.reasons import ConditionState, Reason
from market_operator.status.snapshot import Snapshot
from market_operator.status.streams import DELIVERING, best_streams, count_live_streams
from market_operator.status.text import message, shortened
from market_operator.status.times import believed_time, kubernetes_time
from market_spec.messages import escaped
from market_spec.spec import Spec

UNHEALTHY_LIMIT = 20
_LONGEST_IMAGE = 512
_NEVER = "1970-01-01T00:00:00Z"


def new_status(resource: Resource, snapshot: Snapshot, counters: CounterState) -> Document:
    """The status of `resource` for a snapshot."""
    found = conditions(snapshot)
    status: Document = {
        "observedGeneration": resource.generation,
        "conditions": _with_times(resource, found, snapshot.now),
        "health": health(found),
        "selector": f"{COLLECTOR_LABEL}={label_value(resource.key.name)}",
        **_totals(resource.status, snapshot, counters),
        **_workload(snapshot),
        **_streams(resource, snapshot),
    }
    return status if snapshot.desired is None else {**status, "symbols": summarise_symbols(snapshot.desired.spec)}


def _with_times(resource: Resource, found: Mapping[str, ConditionState], now: float) -> list[Document]:
    """The conditions as stored. lastTransitionTime changes only with the status."""
    before = {each["type"]: each for each in resource.status.get("conditions", ())}
    return [_condition(kind, state, before.get(kind), resource.generation, now) for kind, state in found.items()]


def _condition(kind: str, state: ConditionState, before: Document | None, generation: int, now: float) -> Document:
    unchanged = before and before["status"] == state.status and before["lastTransitionTime"] != _NEVER
    since = before["lastTransitionTime"] if before and unchanged else kubernetes_time(now)
    return {
        "type": kind,
        "status": state.status,
        "reason": state.reason,
        "message": message(state.message),
        "observedGeneration": generation,
        "lastTransitionTime": since,
    }


def status_after_error(resource: Resource, error: str, now: float) -> Document:
    """The part of a status that says that nothing is known, since the operator failed on this resource.

    The other conditions stay as they are: the last ones that could be computed.
    """
    known = {each["type"]: each for each in resource.status.get("conditions", ())}
    text = f"The operator failed on this resource: {error}. It retries; its log has the details"
    state = ConditionState("Unknown", Reason.INTERNAL_ERROR, text)
    ready = _condition("Ready", state, known.get("Ready"), resource.generation, now)
    return {"conditions": [*({**known, "Ready": ready}).values()], "health": "Unknown"}


def stored_conditions(resource: Resource) -> dict[str, ConditionState]:
    """The stored conditions of the current generation, by type."""
    return {
        each["type"]: ConditionState(each["status"], each["reason"], each["message"])
        for each in resource.status.get("conditions", ())
        if each.get("observedGeneration") == resource.generation
    }


def _totals(before: Document, snapshot: Snapshot, counters: CounterState) -> Document:
    total, reports = counters.total, snapshot.reports
    message_times = [*(report.last_message_time for report in reports), before.get("lastMessageTime") or ""]
    last_message = max(believed_time(time, snapshot.now) for time in message_times)
    stored = before.get("lastReconnect") or {}
    reconnects = [*((r.last_reconnect_time, r.last_reconnect_reason) for r in reports)]
    reconnects.append((stored.get("time", ""), stored.get("reason", "")))
    last_reconnect = max((believed_time(time, snapshot.now), reason) for time, reason in reconnects)
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
            "open": _open_gaps(before, snapshot),
            "missingTrades": total.missing_trades,
            "recoveredTrades": total.recovered_trades,
            "lostTrades": total.lost_trades,
        },
        "shardStatuses": write_counter_state(counters),
        **({"lastMessageTime": last_message} if last_message else {}),
        **({"lastReconnect": {"time": last_reconnect[0], "reason": last_reconnect[1]}} if last_reconnect[0] else {}),
    }


def _open_gaps(before: Document, snapshot: Snapshot) -> int:
    if snapshot.has_unprobed_pods:
        return int(before.get("gaps", {}).get("open", 0))
    return sum(len(report.open_gaps) for report in snapshot.reports)


def _workload(snapshot: Snapshot) -> Document:
    if snapshot.desired is None:
        return {}
    spec = snapshot.desired.spec
    pods = [pod for shard in snapshot.shards for pod in snapshot.pods_of(shard)]
    desired = 0 if spec.suspend else spec.shards * spec.replicas
    return {
        "shards": spec.shards,
        "readyShards": sum(_is_ready(snapshot, shard) for shard in snapshot.shards),
        "pods": f"{sum(pod.is_ready for pod in pods)}/{desired}",
        "image": shortened(escaped(snapshot.desired.image), _LONGEST_IMAGE),
    }


def _is_ready(snapshot: Snapshot, shard: int) -> bool:
    """Whether all replicas of a shard run the current template and are ready."""
    assert snapshot.desired
    template, spec = snapshot.desired.templates[shard], snapshot.desired.spec
    ready = [pod for pod in snapshot.pods_of(shard) if pod.is_ready and pod.template == template]
    return not spec.suspend and len(ready) >= spec.replicas


def _streams(resource: Resource, snapshot: Snapshot) -> Document:
    """The streams. The stored ones of this generation stay while a running pod has not been probed."""
    if snapshot.has_unprobed_pods and "Streaming" in snapshot.before and "streams" in resource.status:
        return {name: resource.status[name] for name in ("streams", "unhealthyStreams") if name in resource.status}
    live, total = count_live_streams(snapshot)
    bad = [stream for _, stream in sorted(best_streams(snapshot).items()) if stream.state not in DELIVERING]
    return {
        "streams": {"total": total, "live": live, "summary": f"{live}/{total}"},
        "unhealthyStreams": [
            {
                "stream": stream.name,
                "reason": f"{stream.state}: {stream.reason}" if stream.reason else stream.state,
                **({"since": since} if (since := believed_time(stream.since, snapshot.now)) else {}),
            }
            for stream in bad[:UNHEALTHY_LIMIT]
        ],
    }


def summarise_symbols(spec: Spec) -> str:
    """The first three symbols and the number of the others."""
    more = len(spec.all_symbols) - 3
    return ", ".join(spec.all_symbols[:3]) + (f" +{more}" if more > 0 else "")
