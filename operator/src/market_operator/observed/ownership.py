"""Tells the operator's own objects from others. Labels prove nothing, because people and tools copy them. Pure."""

from collections.abc import Mapping
from typing import Any

from market_operator.resource.document import Document, reads_object
from market_operator.resource.naming import (
    COLLECTOR_LABEL,
    MANAGER,
    POD_HASH_LABEL,
    RESOURCE_ANNOTATION,
    SHARD_LABEL,
    Key,
    child_name,
)
from market_spec.api import GROUP, KIND
from market_spec.collection import MAX_SHARDS

NO_SHARD = -1
_SHARDS = frozenset(map(str, range(MAX_SHARDS)))
"""The shards that a resource may have. The API server refuses a status with others."""


@reads_object
def owner_key(document: Document) -> Key:
    """Key of the resource that an object belongs to, or claims to belong to.

    A managed object has it in its controller reference. Of a pod, the annotation counts, since labels are short.

    Raises:
        ObjectError: the object has no valid metadata.
    """
    meta = document["metadata"]
    owner = controller(meta)
    name = owner["name"] if _is_of(owner, KIND, GROUP) else meta.get("annotations", {}).get(RESOURCE_ANNOTATION)
    return Key.of(meta["namespace"], name or meta.get("labels", {}).get(COLLECTOR_LABEL, ""))


@reads_object
def is_managed(document: Document) -> bool:
    """Whether the operator made an object: a resource controls it, and the operator's field manager applied it.

    A copy of a managed object may keep the reference, but not the manager. Which resource of that name it is, only the
    reference's UID tells: see `Cache.observe`.

    Raises:
        ObjectError: the object has no valid metadata.
    """
    meta = document["metadata"]
    return _is_of(controller(meta), KIND, GROUP) and any(map(_is_our_apply, meta.get("managedFields", ())))


@reads_object
def owned_shard(pod: Document, key: Key) -> int:
    """Number of the shard whose Deployment made a pod, through its ReplicaSet; NO_SHARD for any other pod.

    The Deployment controller names a ReplicaSet after the Deployment and the hash of its template. It puts that hash
    on the pods, too. So ReplicaSets need not be watched.

    The UID in the reference is not checked. Who may create pods may write any reference, and only a right to read
    ReplicaSets, which the operator does not have, would reveal that. But Kubernetes acts on a forged pod. The
    ReplicaSet takes a pod with its UID as its own, and the garbage collector deletes a pod with another UID within
    seconds. Until then, it may affect the status of a resource in its own namespace.

    Raises:
        ObjectError: the pod has no valid metadata.
    """
    meta = pod["metadata"]
    labels, owner = meta.get("labels", {}), controller(meta)
    shard = labels.get(SHARD_LABEL, "")
    if shard not in _SHARDS or not _is_of(owner, "ReplicaSet", "apps"):
        return NO_SHARD
    name = f"{child_name(key.name, int(shard))}-{labels.get(POD_HASH_LABEL, '')}"
    return int(shard) if owner["name"] == name else NO_SHARD


def controller(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """The owner reference that controls an object; empty if there is none."""
    return next((owner for owner in meta.get("ownerReferences", ()) if owner.get("controller")), {})


def _is_of(owner: Mapping[str, Any], kind: str, group: str) -> bool:
    """Whether an owner reference names an object of this kind. Another API group may have a kind of the same name."""
    return owner.get("kind") == kind and str(owner.get("apiVersion", "")).startswith(f"{group}/")


def _is_our_apply(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == "Apply"
