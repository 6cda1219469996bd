"""What the operator knows of the objects that it made: the newest version of each, packed, for there may be thousands.

Fed by watch events, by the answers to our own writes and by complete listings, in any order; an older version never
replaces a newer one, and the end of one object never removes its successor of the same name. Resource versions are
compared as numbers, which Kubernetes promises since 1.35 (KEP-5504) and has always kept.

An object that was found to be as wanted is settled: of it an outline is kept, and a digest of its content, by which it
is seen whether anybody changed it since.

Objects of a kind differ in little: each is packed by what it has in common with the first that was seen. What is kept
of one is a single run of bytes, since a Python object for each of its parts would take as much again.
"""

import hashlib
import marshal
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from market_operator.observed.pods import Pod, owner_key, read_pod
from market_operator.resource.document import Document
from market_operator.resource.naming import APPLIED_ANNOTATION, RESOURCE_ANNOTATION, SHARD_LABEL, Key

Name = tuple[str, str]
"""Kind and name of a child; the namespace is the resource's."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What exists for a resource; of the `settled` children is known that they are as they were last wanted."""

    children: Mapping[Name, Document]
    pods: tuple[Pod, ...]
    settled: frozenset[Name] = frozenset()


def name_of(child: Document) -> Name:
    """Kind and name of `child`."""
    return child["kind"], child["metadata"]["name"]


_GONE_REMEMBERED = 20_000


class _Child(NamedTuple):
    uid: str
    version: int
    content: bytes
    packed: bytes
    is_settled: bool


@dataclass(slots=True)
class _Family:
    """What there is of one resource: its children by "Kind/name", and its pods by UID."""

    kept: dict[str, bytes] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)

    def child(self, name: Name) -> _Child | None:
        kept = self.kept.get("/".join(name))
        return _child(kept) if kept else None

    def keep(self, name: Name, child: _Child) -> None:
        self.kept["/".join(name)] = marshal.dumps(tuple(child))

    def remove(self, name: Name) -> None:
        del self.kept["/".join(name)]

    def children(self, only: str = "") -> Iterator[tuple[Name, _Child]]:
        """All, or those of `only` one kind."""
        for place, kept in self.kept.items():
            kind, _, name = place.partition("/")
            if only in ("", kind):
                yield (kind, name), _child(kept)


def _child(kept: bytes) -> _Child:
    return _Child(*marshal.loads(kept))  # noqa: S302 - written by this very process


class Cache:
    """Children and pods by resource."""

    def __init__(self) -> None:
        self._families: dict[Key, _Family] = {}
        self._samples: dict[str, bytes] = {}
        self._gone: dict[str, None] = {}
        self._pods_listed: dict[str | None, int] = {}

    def put(self, kind: str, document: Document, is_settled: bool = False) -> bool:
        """Takes a version of an object in; whether it was newer than what was known.

        `is_settled`: it is the answer to our own write, and so as wanted.
        """
        known = self._known(kind, document)
        if not self._is_newer(document, known):
            return False
        if kind == "Pod":
            return self._put_pod(read_pod(document))
        meta = document["metadata"]
        family, name = self._families.setdefault(owner_key(document), _Family()), (kind, meta["name"])
        version, content = int(meta["resourceVersion"]), _digest(document)
        was_settled = isinstance(known, _Child) and known.is_settled and known.content == content
        is_settled = is_settled or was_settled
        packed = self._pack(kind, _outline(document) if is_settled else document)
        family.keep(name, _Child(meta["uid"], version, content, packed, is_settled))
        return True

    def is_news(self, kind: str, document: Document) -> bool:
        """Whether a version of an object, of which the metadata is enough, is newer than what is known of it."""
        return self._is_newer(document, self._known(kind, document))

    def _known(self, kind: str, document: Document) -> _Child | Pod | None:
        meta, family = document["metadata"], self._families.get(owner_key(document))
        if family is None:
            return None
        return family.pods.get(meta["uid"]) if kind == "Pod" else family.child((kind, meta["name"]))

    def _is_newer(self, document: Document, known: _Child | Pod | None) -> bool:
        meta = document["metadata"]
        if meta["uid"] in self._gone:
            return False
        return known is None or known.version < int(meta["resourceVersion"])

    def settle(self, key: Key, names: Iterable[Name]) -> None:
        """Takes in that these children, as they were last observed, are as wanted."""
        family = self._families.get(key, _Family())
        for name in names:
            child = family.child(name)
            if child and not child.is_settled:
                packed = self._pack(name[0], _outline(self._unpack(name[0], child.packed)))
                family.keep(name, child._replace(packed=packed, is_settled=True))

    def _put_pod(self, pod: Pod) -> bool:
        pods = self._families.setdefault(pod.key, _Family()).pods
        if pod.shard < 0:  # somebody took it out of its shard, and so out of our hands
            return pods.pop(pod.uid, None) is not None
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
        child = family.child((kind, meta["name"]))
        if child and child.uid == meta["uid"]:
            family.remove((kind, meta["name"]))
        if not family.kept and not family.pods:
            del self._families[key]

    def observe(self, key: Key) -> Observed:
        """What is known to exist for a resource."""
        family = self._families.get(key)
        if family is None:
            return Observed({}, ())
        children = dict(family.children())
        documents = {name: self._unpack(name[0], child.packed) for name, child in children.items()}
        settled = frozenset(name for name, child in children.items() if child.is_settled)
        return Observed(documents, tuple(sorted(family.pods.values(), key=lambda pod: pod.name)), settled)

    def pods(self) -> Iterator[Pod]:
        """All pods."""
        for family in self._families.values():
            yield from family.pods.values()

    def pod(self, key: Key, uid: str) -> Pod | None:
        """One pod, as long as it exists."""
        family = self._families.get(key)
        return family.pods.get(uid) if family else None

    def pods_listed(self, namespace: str | None, version: int) -> None:
        """All pods of a namespace (None: of all), as they were at a resource version, are known."""
        self._pods_listed[namespace] = max(version, self._pods_listed.get(namespace, 0))

    def may_exist(self, uid: str, namespace: str, version: int) -> bool:
        """Whether a pod may exist that somebody knew when the resource version was `version`.

        Not if it is known to have ended, or was in no listing at least as new: an older one may have been before it.
        """
        newest = max(self._pods_listed.get(namespace, 0), self._pods_listed.get(None, 0))
        return uid not in self._gone and newest < version

    def stale_objects(self, kind: str, namespace: str | None, listed: set[str], version: int) -> list[Document]:
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

    def _pack(self, kind: str, document: Document) -> bytes:
        metadata = _without(document["metadata"], "managedFields")
        plain = _dumped({**_without(document, "apiVersion"), "kind": kind, "metadata": metadata})
        packer = zlib.compressobj(level=1, zdict=self._samples.setdefault(kind, plain))
        return packer.compress(plain) + packer.flush()

    def _unpack(self, kind: str, packed: bytes) -> Document:
        plain = zlib.decompressobj(zdict=self._samples[kind]).decompress(packed)
        document: Document = marshal.loads(plain)  # noqa: S302 - written by this very process
        return document


def _members(kind: str, key: Key, family: _Family) -> Iterator[tuple[str, int, Document]]:
    if kind == "Pod":
        for pod in family.pods.values():
            yield pod.uid, pod.version, _stub(key, pod.name, pod.uid)
        return
    for (_, name), child in family.children(only=kind):
        yield child.uid, child.version, _stub(key, name, child.uid)


def _stub(key: Key, name: str, uid: str) -> Document:
    """Just enough of an object to drop it."""
    annotations = {RESOURCE_ANNOTATION: key.name}
    return {"metadata": {"namespace": key.namespace, "name": name, "uid": uid, "annotations": annotations}}


def _digest(document: Document) -> bytes:
    """Of all that somebody decided about the object, without what the cluster notes in it."""
    content = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "status")}
    content["metadata"] = _without(document["metadata"], "managedFields", "resourceVersion", "generation")
    return hashlib.blake2b(_dumped(content), digest_size=16).digest()


def _dumped(content: Document) -> bytes:
    """Of version 2, because later ones write the same content differently from one time to the next."""
    return marshal.dumps(content, 2)


def _outline(document: Document) -> Document:
    """What of a settled object is still asked for."""
    meta = document["metadata"]
    outline: Document = {
        "metadata": {
            **{
                name: meta[name]
                for name in ("name", "namespace", "uid", "generation", "deletionTimestamp")
                if name in meta
            },
            "labels": _only(meta.get("labels", {}), SHARD_LABEL),
            "annotations": _only(meta.get("annotations", {}), APPLIED_ANNOTATION),
        },
        "spec": _only(document.get("spec", {}), "replicas"),
    }
    return {**outline, "status": document["status"]} if "status" in document else outline


def _only(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: mapping[name]} if name in mapping else {}


def _without(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}
