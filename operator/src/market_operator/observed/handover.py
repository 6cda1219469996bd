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

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from market_operator.observed.pods import Pod
from market_operator.resource.naming import HTTP_PORT, Key
from market_operator.resource.shares import KEPT_BYTES, Shares

CONTRACT = 1
MAX_BYTES = 900_000
"""Longest document. A ConfigMap may have 1 MiB."""
EMPTY = '{"contract":1,"ended":{},"running":{}}'

SHORT_BYTES = 4096
"""Longest document in a namespace whose documents and reports take its share of the memory."""
Streams = dict[str, msgspec.Raw]
"""Where a pod's streams ended, as JSON; null for those without a position. Parsed, it would take 20 times as much."""
_NULL = msgspec.Raw(b"null")


class _RunningPod(msgspec.Struct):
    address: str
    streams: Streams | None


class _Document(msgspec.Struct):
    ended: Streams
    running: dict[str, _RunningPod]
    contract: int = CONTRACT

    def names(self) -> set[str]:
        """The names of its streams."""
        return {*self.ended, *(name for pod in self.running.values() for name in pod.streams or ())}


class _Line(msgspec.Struct):
    time_ns: int = 0
    last: int | None = None
    head: int = 0


class _Position(msgspec.Struct):
    line: _Line


_DOCUMENT, _STREAMS = msgspec.json.Decoder(_Document), msgspec.json.Decoder(Streams)
_POSITION = msgspec.json.Decoder(_Position | None)
_DAMAGED = (msgspec.MsgspecError, UnicodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class _Known:
    """The document of a resource as written last. There may be ten thousand."""

    text: str
    running: tuple[tuple[str, int, bool], ...]
    """UIDs of the pods in it, each with its number of positions and whether it is terminating."""
    unreported: frozenset[str] = frozenset()
    """UIDs of those that have not reported."""
    has_others: bool = False
    """Whether it has streams that are not desired any more."""


@dataclass(slots=True)
class Handovers:
    """The documents by resource. `shares` are those of the memory for them."""

    shares: Shares = field(default_factory=lambda: Shares(KEPT_BYTES))
    _known: dict[Key, _Known] = field(default_factory=dict)

    def document(
        self,
        key: Key,
        stored: str | None,
        pods: Collection[Pod],
        reported: Mapping[str, str],
        desired: Collection[str],
        is_old: Callable[[], bool],
        is_rolled_out: Callable[[], bool],
    ) -> tuple[str, bool]:
        """The document that should be stored now, and whether it is a new one, as at the start of the operator.

        It stays as it is until pods or streams come or go, or a pod is asked to stop, or until it is old. It is empty,
        and need not be stored, until the first pod runs.

        Args:
            stored: the document in the cluster, used after a start of the operator; None if there is none.
            reported: the newest positions of each pod, also of pods that are gone, by UID, as JSON by stream.
            desired: the names of the desired streams.
            is_rolled_out: whether no pod of an earlier template can start any more. Until then, streams that are not
                desired any more stay, because such a pod would take them for new ones.
        """
        known = self._known.get(key) or _known(stored or "", desired)
        alive = {pod.uid: pod for pod in pods if _may_deliver(pod)}
        counts = {uid: count for uid, count, _ in known.running}
        running = _running(alive, reported, counts)
        gone = {uid for uid in reported if uid not in alive} | (known.unreported - alive.keys())
        unreported = frozenset(uid for uid in alive if uid not in reported and not counts.get(uid))
        if not (alive or gone or known.running or known.text) and stored is None:
            return "", False
        is_new = key not in self._known
        is_changed = running != known.running or gone or (known.has_others and is_rolled_out())
        if not is_changed and (is_new or not is_old()):
            self._keep(key, replace(known, unreported=unreported))
            return known.text or EMPTY, is_new
        before = _read(known.text)
        kept = set(desired) | (set() if is_rolled_out() else before.names())
        document = _compose(before, alive, reported, gone, known.unreported | unreported, kept)
        text = _bounded(document, kept, MAX_BYTES)
        if not self._has_room(key, text):
            text = _bounded(document, kept, SHORT_BYTES)
        self._keep(key, _Known(text, running, unreported, not document.names() <= set(desired)))
        return text, True

    def _has_room(self, key: Key, text: str) -> bool:
        more = _size(text) - self._size(key)
        return more <= 0 or self.shares.may_take(key.namespace, more)

    def _keep(self, key: Key, known: _Known) -> None:
        self.shares.release(key.namespace, self._size(key))
        self.shares.take(key.namespace, _size(known.text))
        self._known[key] = known

    def _size(self, key: Key) -> int:
        known = self._known.get(key)
        return _size(known.text) if known else 0

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self.shares.release(key.namespace, self._size(key))
        self._known.pop(key, None)


def _size(text: str) -> int:
    return max(0, len(text) - SHORT_BYTES)


def _known(stored: str, desired: Collection[str]) -> _Known:
    document = _read(stored)
    pods = document.running
    counts = {uid: sum(each != _NULL for each in (pod.streams or {}).values()) for uid, pod in pods.items()}
    unreported = frozenset(uid for uid, pod in pods.items() if pod.streams is None)
    running = tuple(sorted((uid, count, False) for uid, count in counts.items()))
    return _Known(stored, running, unreported, not document.names() <= set(desired))


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


def _read(text: str) -> _Document:
    """The document, or an empty one if it is damaged: its pods report again."""
    try:
        return _DOCUMENT.decode(text or EMPTY)
    except _DAMAGED:
        return _Document({}, {})


def _compose(
    before: _Document,
    running: Mapping[str, Pod],
    reported: Mapping[str, str],
    gone: Collection[str],
    unreported: Collection[str],
    desired: Collection[str],
) -> _Document:
    def streams(uid: str) -> Streams | None:
        if uid in reported:
            return _read_streams(reported[uid], desired)
        return None if uid in unreported else before.running.get(uid, _RunningPod("", {})).streams

    ended = {name: position for name, position in before.ended.items() if name in desired}
    for uid in {uid for uid in before.running if uid not in running} | set(gone):
        _end(ended, streams(uid), desired)
    return _Document(ended, {uid: _RunningPod(_address(pod), streams(uid)) for uid, pod in running.items()})


def _read_streams(positions: str, desired: Collection[str]) -> Streams | None:
    """The positions of desired streams. A pod may report any number of others."""
    try:
        return {name: position for name, position in _STREAMS.decode(positions).items() if name in desired}
    except _DAMAGED:
        return None


def _end(ended: Streams, streams: Streams | None, desired: Collection[str]) -> None:
    """Adds where a pod ended. An earlier position is better than an unknown one."""
    for name, position in (dict.fromkeys(desired, _NULL) if streams is None else streams).items():
        if name in desired and (name not in ended or _order(position) > _order(ended[name])):
            ended[name] = position


def _order(position: msgspec.Raw) -> tuple[bool, int, int]:
    """A position is further than none. Then time comes first: an exchange may restart its ids."""
    try:
        found = _POSITION.decode(position)
    except _DAMAGED:
        found = None
    if found is None:
        return False, 0, 0
    return True, found.line.time_ns, found.line.head if found.line.last is None else found.line.last


def _address(pod: Pod) -> str:
    return f"[{pod.ip}]:{HTTP_PORT}" if ":" in pod.ip else f"{pod.ip}:{HTTP_PORT}"


def _bounded(document: _Document, desired: Collection[str], limit: int) -> str:
    """The document. If it is too long, pods count as ended: their successors then report a gap that may be none."""
    ended, pods = dict(document.ended), dict(document.running)
    sizes = {uid: len(_dump({}, {uid: pod})) for uid, pod in pods.items()}
    size = len(_dump(ended, {}))
    while pods and size + sum(sizes.values()) > limit:
        uid = max(pods)
        del sizes[uid]
        _end(ended, pods.pop(uid).streams, desired)
        # Once it is too long without any pod, it need not be measured again.
        size = len(_dump(ended, {})) if size <= limit else size
    text = _dump(ended, pods) if size <= limit else ""
    return text or _dump(dict.fromkeys(sorted(ended)[:4_000], _NULL), {})


def _dump(ended: Streams, pods: dict[str, _RunningPod]) -> str:
    return msgspec.json.encode(_Document(ended, pods), order="deterministic").decode()
