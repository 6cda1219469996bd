"""The newest known version of every managed object and pod, packed, since there may be tens of thousands.

Watch events, answers to the operator's writes and complete listings feed it in any order. An older version never
replaces a newer one, and the deletion of an object never removes its successor of the same name. Resource versions are
compared as numbers, which Kubernetes guarantees since 1.35 (KEP-5504).

An object in its desired state is settled: only an outline is kept, and a digest that reveals later changes. Each object
is packed with the first object of its kind as dictionary, into a single `bytes`.
"""

import hashlib
import marshal
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from market_operator.observed.ownership import NO_SHARD, controller, is_managed, owned_shard, owner_key
from market_operator.observed.pods import Pod
from market_operator.resource.document import Document
from market_operator.resource.naming import APPLIED_ANNOTATION, MANAGER, RESOURCE_ANNOTATION, SHARD_LABEL, Key
from market_operator.resource.shares import KEPT_BYTES, Shares

Name = tuple[str, str]
"""Kind and name of a managed object; the namespace is the resource's."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed objects and pods of a resource. `settled` objects are in their last desired state.

    `earlier` objects are none of them: they belong to a deleted resource of the same name, and are about to be deleted.
    """

    children: Mapping[Name, Document]
    pods: tuple[Pod, ...]
    settled: frozenset[Name] = frozenset()
    earlier: frozenset[Name] = frozenset()


def name_of(child: Document) -> Name:
    """Kind and name of `child`."""
    return child["kind"], child["metadata"]["name"]


LAST_WRITER = "lastWriter"
"""Field that the cache adds to the metadata of an object that is not settled: who changed it last."""
_MAX_REMOVED_UIDS = 20_000
SMALL = 32 * 1024
"""Bytes of an object that take no share of the memory. A Deployment has 6 kB, a handover document up to 900 kB."""
_WINDOW = 32 * 1024
"""Part of a dictionary that zlib uses."""


class _Child(NamedTuple):
    uid: str
    version: int
    content: bytes
    packed: bytes
    is_settled: bool
    owner: bytes
    """Digest of the UID of the resource that controls it."""
    size: int
    """Bytes that it takes of the share of its namespace, unpacked."""


@dataclass(slots=True)
class _ResourceObjects:
    """The objects of one resource by "Kind/name", and its pods by UID."""

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
        """All objects, or only those of one kind."""
        for place, kept in self.kept.items():
            kind, _, name = place.partition("/")
            if only in ("", kind):
                yield (kind, name), _child(kept)


def _child(kept: bytes) -> _Child:
    return _Child(*marshal.loads(kept))  # noqa: S302 - written by this process


class Cache:
    """Managed objects and pods by resource. `shares` are those of the memory for objects that are not settled.

    Without room, only the outline of an object is kept. It then counts as changed by others, and is applied again.
    """

    def __init__(self, shares: Shares | None = None) -> None:
        self._shares = shares or Shares(KEPT_BYTES)
        self._by_resource: dict[Key, _ResourceObjects] = {}
        self._samples: dict[str, bytes] = {}
        self._removed: dict[str, int] = {}
        self._pods_listed: dict[str | None, int] = {}

    def put(self, kind: str, document: Document, is_settled: bool = False) -> bool:
        """Stores a version of a managed object; whether it is newer than the known one.

        An object that is no longer the operator's is removed. Objects of others are never stored.

        `is_settled`: it is the answer to the operator's own write, and so in its desired state.
        """
        known, meta = self._known(kind, document), document["metadata"]
        if not self._is_newer(meta["uid"], int(meta["resourceVersion"]), known):
            return False
        key, name, version = owner_key(document), (kind, meta["name"]), int(meta["resourceVersion"])
        if not is_managed(document):
            return self._lose(known, kind, key, meta["name"], meta["uid"], version)
        objects, content = self._by_resource.setdefault(key, _ResourceObjects()), _digest(document)
        was_settled = isinstance(known, _Child) and known.is_settled and known.content == content
        is_settled = is_settled or was_settled
        packed, size = self._pack(kind, _outline(document) if is_settled else _with_writer(document))
        more = size - (known.size if isinstance(known, _Child) else 0)
        if more > 0 and not self._shares.may_take(key.namespace, more):
            packed, size = self._pack(kind, _outline(document))
        owner = _owner_digest(str(controller(meta).get("uid")))
        self._keep(key, objects, name, _Child(meta["uid"], version, content, packed, is_settled, owner, size))
        return True

    def _keep(self, key: Key, objects: _ResourceObjects, name: Name, child: _Child) -> None:
        before = objects.child(name)
        self._shares.release(key.namespace, before.size if before else 0)
        self._shares.take(key.namespace, child.size)
        objects.keep(name, child)

    def is_new(self, kind: str, document: Document) -> bool:
        """Whether a version of an object is newer than the known one. Its metadata is enough.

        One of others is new only if it was the operator's before.
        """
        meta, known = document["metadata"], self._known(kind, document)
        is_ours = known is not None or (_is_owned_pod(document) if kind == "Pod" else is_managed(document))
        return is_ours and self._is_newer(meta["uid"], int(meta["resourceVersion"]), known)

    def _known(self, kind: str, document: Document) -> _Child | Pod | None:
        meta, objects = document["metadata"], self._by_resource.get(owner_key(document))
        if objects is None:
            return None
        return objects.pods.get(meta["uid"]) if kind == "Pod" else objects.child((kind, meta["name"]))

    def _is_newer(self, uid: str, version: int, known: _Child | Pod | None) -> bool:
        return version > self._removed.get(uid, -1) and (known is None or known.version < version)

    def mark_applied(self, key: Key, names: Iterable[Name]) -> None:
        """Marks observed objects as being in their desired state."""
        objects = self._by_resource.get(key, _ResourceObjects())
        for name in names:
            child = objects.child(name)
            if child and not child.is_settled:
                packed, size = self._pack(name[0], _outline(self._unpack(name[0], child.packed)))
                self._keep(key, objects, name, child._replace(packed=packed, is_settled=True, size=size))

    def put_pod(self, pod: Pod) -> bool:
        """Stores a version of a pod; whether it is newer than the known one.

        A pod that no Deployment of the operator controls is removed, or never stored.
        """
        known = self.pod(pod.key, pod.uid)
        if not self._is_newer(pod.uid, pod.version, known):
            return False
        if not pod.is_owned:
            return self._lose(known, "Pod", pod.key, pod.name, pod.uid, pod.version)
        self._by_resource.setdefault(pod.key, _ResourceObjects()).pods[pod.uid] = pod
        return True

    def drop(self, kind: str, document: Document) -> None:
        """Removes an object, unless a newer version of it is known. No version up to this one is accepted again.

        An object whose labels are put back was not deleted, though a watch reported that.
        """
        meta = document["metadata"]
        self._drop(kind, owner_key(document), meta["name"], meta["uid"], int(meta["resourceVersion"]))

    def _lose(self, known: _Child | Pod | None, kind: str, key: Key, name: str, uid: str, version: int) -> bool:
        """Removes an object of another owner; whether it was known as the operator's."""
        if known is not None:
            self._drop(kind, key, name, uid, version)
        return known is not None

    def _drop(self, kind: str, key: Key, name: str, uid: str, version: int) -> None:
        self._removed[uid] = max(version, self._removed.get(uid, version))
        while len(self._removed) > _MAX_REMOVED_UIDS:
            del self._removed[next(iter(self._removed))]
        objects = self._by_resource.get(key)
        if objects is None:
            return
        pod, child = objects.pods.get(uid), objects.child((kind, name))
        if pod and pod.version <= version:
            del objects.pods[uid]
        if child and child.uid == uid and child.version <= version:
            self._shares.release(key.namespace, child.size)
            objects.remove((kind, name))
        if not objects.kept and not objects.pods:
            del self._by_resource[key]

    def observe(self, key: Key, uid: str | None = None) -> Observed:
        """The observed state of the resource with this UID (None: of any resource with this name)."""
        objects = self._by_resource.get(key)
        if objects is None:
            return Observed({}, ())
        owner = None if uid is None else _owner_digest(uid)
        children = {name: child for name, child in objects.children() if owner in (None, child.owner)}
        documents = {name: self._unpack(name[0], child.packed) for name, child in children.items()}
        settled = frozenset(name for name, child in children.items() if child.is_settled)
        earlier = frozenset(name for name, _ in objects.children() if name not in children)
        return Observed(documents, tuple(sorted(objects.pods.values(), key=lambda pod: pod.name)), settled, earlier)

    def pods(self) -> Iterator[Pod]:
        """All pods."""
        for objects in self._by_resource.values():
            yield from objects.pods.values()

    def pod(self, key: Key, uid: str) -> Pod | None:
        """One pod, if it exists."""
        objects = self._by_resource.get(key)
        return objects.pods.get(uid) if objects else None

    def pods_listed(self, namespace: str | None, version: int) -> None:
        """All pods of a namespace (None: of all) were listed at a resource version."""
        self._pods_listed[namespace] = max(version, self._pods_listed.get(namespace, 0))

    def may_exist(self, uid: str, namespace: str, version: int) -> bool:
        """Whether an uncached pod may exist that was known at resource version `version`.

        It may not if it was removed, or if a listing at least as new lacks it.
        """
        newest = max(self._pods_listed.get(namespace, 0), self._pods_listed.get(None, 0))
        return uid not in self._removed and newest < version

    def stale_objects(self, kind: str, namespace: str | None, listed: set[str], version: int) -> list[Document]:
        """Cached objects of a namespace (None: of all) that a complete listing lacks, unless they are newer.

        `listed` are the UIDs in the listing, `version` is its resource version.
        """
        return [
            _stub(key, name, uid, version)
            for key, objects in self._by_resource.items()
            if namespace in (None, key.namespace)
            for uid, known, name in _members(kind, objects)
            if uid not in listed and known <= version
        ]

    def _pack(self, kind: str, document: Document) -> tuple[bytes, int]:
        """The packed object, and the bytes that it takes of a share."""
        metadata = _without(document["metadata"], "managedFields")
        plain = _dumped({**_without(document, "apiVersion"), "kind": kind, "metadata": metadata})
        packer = zlib.compressobj(level=1, zdict=self._samples.setdefault(kind, plain[-_WINDOW:]))
        return packer.compress(plain) + packer.flush(), max(0, len(plain) - SMALL)

    def _unpack(self, kind: str, packed: bytes) -> Document:
        plain = zlib.decompressobj(zdict=self._samples[kind]).decompress(packed)
        document: Document = marshal.loads(plain)  # noqa: S302 - written by this process
        return document


def _is_owned_pod(document: Document) -> bool:
    return owned_shard(document, owner_key(document)) != NO_SHARD


def _members(kind: str, objects: _ResourceObjects) -> Iterator[tuple[str, int, str]]:
    if kind == "Pod":
        for pod in objects.pods.values():
            yield pod.uid, pod.version, pod.name
        return
    for (_, name), child in objects.children(only=kind):
        yield child.uid, child.version, name


def _stub(key: Key, name: str, uid: str, version: int) -> Document:
    """Enough of an object to drop it."""
    meta = {"namespace": key.namespace, "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**meta, "annotations": {RESOURCE_ANNOTATION: key.name}}}


def _owner_digest(uid: str) -> bytes:
    return hashlib.blake2b(uid.encode(), digest_size=8).digest()


def _digest(document: Document) -> bytes:
    """Digest of an object's content, without status and bookkeeping fields."""
    content = {key: value for key, value in document.items() if key not in ("apiVersion", "kind", "status")}
    content["metadata"] = _without(document["metadata"], "managedFields", "resourceVersion", "generation")
    return hashlib.blake2b(_dumped(content), digest_size=16).digest()


def _dumped(content: Document) -> bytes:
    """Marshal version 2, because later versions may encode equal content differently."""
    return marshal.dumps(content, 2)


def _outline(document: Document) -> Document:
    """The parts of a settled object that a reconcile reads."""
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


def _with_writer(document: Document) -> Document:
    """`document` with its last writer, by its managed fields. Controllers that only report a status do not count."""
    entries = [entry for entry in document["metadata"].get("managedFields", ()) if _is_writer(entry)]
    newest: Mapping[str, Any] = max(
        entries, key=lambda entry: (entry.get("time", ""), entry.get("manager") != MANAGER), default={}
    )
    return {**document, "metadata": {**document["metadata"], LAST_WRITER: newest.get("manager", "")}}


def _is_writer(entry: Mapping[str, Any]) -> bool:
    is_controller = entry.get("manager") == "kube-controller-manager"
    return entry.get("subresource") == "scale" or not (is_controller or entry.get("subresource"))


def _only(mapping: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {name: mapping[name]} if name in mapping else {}


def _without(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in mapping.items() if name not in names}
