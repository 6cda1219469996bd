"""What the operator knows of the objects that it made: the newest version of each, packed, for there may be thousands.

Fed by watch events, by the answers to our own writes and by complete listings, in any order; an older version never
replaces a newer one, and the end of one object never removes its successor of the same name. Resource versions are
compared as numbers, which Kubernetes promises since 1.35 (KEP-5504) and has always kept.
"""

import marshal
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from market_operator.names import RESOURCE_ANNOTATION, Key
from market_operator.plan import Name, Observed
from market_operator.pods import Pod, owner_key, read_pod
from market_operator.resource import Document

_GONE_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class _Child:
    uid: str
    version: int
    packed: bytes


@dataclass(slots=True)
class _Family:
    children: dict[Name, _Child] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)


class Store:
    """Children and pods by resource."""

    def __init__(self) -> None:
        self._families: dict[Key, _Family] = {}
        self._gone: dict[str, None] = {}

    def put(self, kind: str, document: Document) -> bool:
        """Takes a version of an object in; whether it was newer than what was known."""
        if document["metadata"]["uid"] in self._gone:
            return False
        if kind == "Pod":
            return self._put_pod(read_pod(document))
        meta = document["metadata"]
        children = self._families.setdefault(owner_key(document), _Family()).children
        known, version = children.get((kind, meta["name"])), int(meta["resourceVersion"])
        if known and known.version >= version:
            return False
        children[kind, meta["name"]] = _Child(meta["uid"], version, _pack(kind, document))
        return True

    def _put_pod(self, pod: Pod) -> bool:
        pods = self._families.setdefault(pod.key, _Family()).pods
        known = pods.get(pod.uid)
        if known and known.version >= pod.version:
            return False
        pods[pod.uid] = pod
        return True

    def drop(self, kind: str, document: Document) -> None:
        """Takes in that an object is gone; its UID never comes back."""
        meta, key = document["metadata"], owner_key(document)
        self._gone[meta["uid"]] = None
        while len(self._gone) > _GONE_REMEMBERED:
            del self._gone[next(iter(self._gone))]
        family = self._families.get(key)
        if family is None:
            return
        family.pods.pop(meta["uid"], None)
        child = family.children.get((kind, meta["name"]))
        if child and child.uid == meta["uid"]:
            del family.children[kind, meta["name"]]
        if not family.children and not family.pods:
            del self._families[key]

    def observe(self, key: Key) -> Observed:
        """What is known to exist for a resource."""
        family = self._families.get(key)
        if family is None:
            return Observed({}, ())
        children: Mapping[Name, Document] = {name: _unpack(child.packed) for name, child in family.children.items()}
        return Observed(children, tuple(sorted(family.pods.values(), key=lambda pod: pod.name)))

    def pods(self) -> Iterator[Pod]:
        """All pods."""
        for family in self._families.values():
            yield from family.pods.values()

    def pod(self, key: Key, uid: str) -> Pod | None:
        """One pod, as long as it exists."""
        family = self._families.get(key)
        return family.pods.get(uid) if family else None

    def ghosts(self, kind: str, namespace: str | None, listed: set[str], version: int) -> list[Document]:
        """What is known of a namespace (None: of all) but was not in a complete listing, unless it is newer than that.

        `listed` are the UIDs in the listing, `version` is its resource version.
        """
        return [
            document
            for key, family in self._families.items()
            if namespace in (None, key.namespace)
            for uid, known, document in _members(kind, key, family)
            if uid not in listed and known <= version
        ]


def _members(kind: str, key: Key, family: _Family) -> Iterator[tuple[str, int, Document]]:
    if kind == "Pod":
        for pod in family.pods.values():
            yield pod.uid, pod.version, _stub(key, pod.name, pod.uid)
        return
    for (kind_, name), child in family.children.items():
        if kind_ == kind:
            yield child.uid, child.version, _stub(key, name, child.uid)


def _stub(key: Key, name: str, uid: str) -> Document:
    """Just enough of an object to drop it."""
    annotations = {RESOURCE_ANNOTATION: key.name}
    return {"metadata": {"namespace": key.namespace, "name": name, "uid": uid, "annotations": annotations}}


def _pack(kind: str, document: Document) -> bytes:
    kept = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
    kept["metadata"] = {key: value for key, value in document["metadata"].items() if key != "managedFields"}
    return zlib.compress(marshal.dumps({"kind": kind, **kept}), level=1)


def _unpack(packed: bytes) -> Document:
    document: Document = marshal.loads(zlib.decompress(packed))  # noqa: S302 - written by this very process
    return document
