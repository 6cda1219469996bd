"""The handover document of each resource: where every stream ended, and which pods may still deliver it. Pure.

Collectors report the position of each stream that all of their sinks have acknowledged. The document keeps those of
existing pods by UID, and for the streams of pods that are gone the furthest one. It lists each pod as soon as it runs,
so a pod that finds itself in it knows that no older predecessor is left out. Example:

    {"contract": 1,
     "ended": {"BTC-USDT/trade": {"line": {"last": 720641572, "time_ns": 1795914872000000000}}, "ETH-USDT/trade": null},
     "running": {"0b1c": {"address": "10.244.0.9:8080", "streams": {"BTC-USDT/orderbook": {"line": {"head": 42}}}}}}

null means that a pod may have delivered the stream, but nobody knows how far. If it stands for all streams of a pod,
the pod runs and has not reported. A position that is too old is harmless: it only makes the next pod's backfill longer.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from market_operator.observed.pods import Pod
from market_operator.resource.naming import HTTP_PORT, Key

CONTRACT = 1
MAX_BYTES = 900_000
"""Longest document. A ConfigMap may have 1 MiB."""
EMPTY = '{"contract":1,"ended":{},"running":{}}'

Position = dict[str, Any]
Streams = dict[str, Position | None]
"""Where a pod's streams ended; null for those without a position."""


@dataclass(frozen=True, slots=True)
class _Known:
    """The document of a resource as written last. There may be ten thousand."""

    text: str
    running: tuple[tuple[str, int, bool], ...]
    """UIDs of the pods in it, each with its number of positions and whether it is terminating."""
    unreported: frozenset[str] = frozenset()
    """UIDs of those that have not reported."""


@dataclass(slots=True)
class Handovers:
    """The documents by resource."""

    _known: dict[Key, _Known] = field(default_factory=dict)

    def document(
        self,
        key: Key,
        stored: str | None,
        pods: Collection[Pod],
        reported: Mapping[str, str],
        desired: Collection[str],
        is_old: Callable[[], bool],
    ) -> tuple[str, bool]:
        """The document that should be stored now, and whether it is a new one, as at the start of the operator.

        It stays as it is until pods or streams come or go, or a pod is asked to stop, or until it is old. It is empty,
        and need not be stored, until the first pod runs.

        Args:
            stored: the document in the cluster, used after a start of the operator; None if there is none.
            reported: the newest positions of each pod, also of pods that are gone, by UID, as JSON by stream.
            desired: the names of the desired streams.
        """
        known = self._known.get(key) or _known(stored or "")
        alive = {pod.uid: pod for pod in pods if _may_deliver(pod)}
        counts = {uid: count for uid, count, _ in known.running}
        running = _running(alive, reported, counts)
        gone = {uid for uid in reported if uid not in alive} | (known.unreported - alive.keys())
        unreported = frozenset(uid for uid in alive if uid not in reported and not counts.get(uid))
        if not (alive or gone or known.running or known.text) and stored is None:
            return "", False
        is_new = key not in self._known
        if running == known.running and not gone and (is_new or not is_old()):
            self._known[key] = replace(known, unreported=unreported)
            return known.text or EMPTY, is_new
        text = _compose(_read(known.text), alive, reported, gone, known.unreported | unreported, desired)
        self._known[key] = _Known(text, running, unreported)
        return text, True

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self._known.pop(key, None)


def _known(stored: str) -> _Known:
    pods = _read(stored)["running"]
    counts = {uid: sum(map(bool, (pod["streams"] or {}).values())) for uid, pod in pods.items()}
    unreported = frozenset(uid for uid, pod in pods.items() if pod["streams"] is None)
    return _Known(stored, tuple(sorted((uid, count, False) for uid, count in counts.items())), unreported)


def _may_deliver(pod: Pod) -> bool:
    """Whether a pod runs, or has run and is started again."""
    return not pod.is_finished and bool(pod.started_at or (pod.ended and not pod.is_terminating))


def _running(
    alive: Mapping[str, Pod], reported: Mapping[str, str], known: Mapping[str, int]
) -> tuple[tuple[str, int, bool], ...]:
    counts = {uid: _count(reported.get(uid, "")) or known.get(uid, 0) for uid in alive}
    return tuple(sorted((uid, count, alive[uid].is_terminating) for uid, count in counts.items()))


def _count(positions: str) -> int:
    return positions.count('"line"')


def _read(text: str) -> dict[str, Any]:
    """The document, or an empty one if it is damaged: its pods report again."""
    try:
        document = json.loads(text or EMPTY)
        ended, running = dict(document["ended"]), dict(document["running"])
        if all(isinstance(pod["streams"], dict | None) for pod in running.values()):
            return {"ended": ended, "running": running}
    except (ValueError, KeyError, TypeError):
        pass
    return {"ended": {}, "running": {}}


def _compose(
    before: dict[str, Any],
    running: Mapping[str, Pod],
    reported: Mapping[str, str],
    gone: Collection[str],
    unreported: Collection[str],
    desired: Collection[str],
) -> str:
    def streams(uid: str) -> Streams | None:
        if uid in reported:
            positions: Streams = json.loads(reported[uid])
            return positions
        return None if uid in unreported else before["running"].get(uid, {"streams": {}})["streams"]

    ended = {name: position for name, position in before["ended"].items() if name in desired}
    for uid in {uid for uid in before["running"] if uid not in running} | set(gone):
        _end(ended, streams(uid), desired)
    pods = {uid: {"address": _address(pod), "streams": streams(uid)} for uid, pod in running.items()}
    return _bounded(ended, pods, desired)


def _end(ended: Streams, streams: Streams | None, desired: Collection[str]) -> None:
    """Adds where a pod ended. An earlier position is better than an unknown one."""
    for name, position in (dict.fromkeys(desired) if streams is None else streams).items():
        if name in desired and (name not in ended or _is_further(position, ended[name])):
            ended[name] = position


def _is_further(one: Position | None, other: Position | None) -> bool:
    if one is None or other is None:
        return one is not None
    return _order(one) > _order(other)


def _order(position: Position) -> tuple[int, int]:
    """Time first: an exchange may restart its ids."""
    line = position["line"]
    return line.get("time_ns", 0), line.get("last", line.get("head", 0))


def _address(pod: Pod) -> str:
    return f"[{pod.ip}]:{HTTP_PORT}" if ":" in pod.ip else f"{pod.ip}:{HTTP_PORT}"


def _bounded(ended: Streams, pods: dict[str, Any], desired: Collection[str]) -> str:
    """The document. If it is too long, pods count as ended: their successors then report a gap that may be none."""
    text = _dump(ended, pods)
    while len(text) > MAX_BYTES and pods:
        uid = max(pods)
        _end(ended, pods.pop(uid)["streams"], desired)
        text = _dump(ended, pods)
    return text if len(text) <= MAX_BYTES else _dump(dict.fromkeys(sorted(ended)[:4_000]), {})


def _dump(ended: Streams, pods: Mapping[str, Any]) -> str:
    document = {"contract": CONTRACT, "ended": ended, "running": pods}
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
