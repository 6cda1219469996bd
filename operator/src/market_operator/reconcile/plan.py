"""The diff between observed and desired state, as writes. Pure; () means no write."""

from collections.abc import Collection
from typing import Any

from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.cache import Observed, name_of
from market_operator.resource.document import Document
from market_operator.resource.naming import APPLIED_ANNOTATION, SHARD_LABEL
from market_operator.resource.quantities import amount

# Objects in lists and watches may lack these; the key in the cache has the kind.
IDENTITY = ("apiVersion", "kind")
_ATOMIC = ("selector", "podSelector", "namespaceSelector", "labelSelector", "ingress", "egress")
"""Fields that have one writer as a whole. A label that another writer adds to a selector selects other pods."""
_MAPS = ("matchLabels", "nodeSelector", "requests", "limits")
"""Fields that the API server omits if they are empty. An empty object, such as emptyDir, is not omitted."""


def plan(observed: Observed, desired: DesiredState, held: Collection[int] = ()) -> tuple[Action, ...]:
    """The writes in order: apply missing and changed objects, then delete those no longer desired.

    Objects of an earlier resource are left to the garbage collector. Of a shard in `held`, the Deployment stays as it
    is, and nothing is deleted.
    """
    names = {name_of(child) for child in desired.children}
    applies = [
        Apply(child, is_new=name_of(child) not in observed.children)
        for child in desired.children
        if name_of(child) not in observed.earlier
        and not (is_in_sync(observed, child) or (name_of(child) in observed.children and _is_held(child, held)))
    ]
    deletes = [
        Delete(kind, name, child["metadata"]["namespace"], child["metadata"]["uid"])
        for (kind, name), child in observed.children.items()
        if (kind, name) not in names and _can_go(kind, name, child, observed) and shard_of(child) not in held
    ]
    return (*applies, *deletes)


def _is_held(child: Document, held: Collection[int]) -> bool:
    return child["kind"] == "Deployment" and shard_of(child) in held


def shard_of(child: Document) -> int | None:
    """The shard of a managed object; None if it belongs to the whole resource."""
    text = child["metadata"].get("labels", {}).get(SHARD_LABEL, "")
    return int(text) if text.isdigit() else None


def deployments(observed: Observed) -> dict[int, Document]:
    """The observed Deployment of each shard."""
    return {shard: child for child in _all_deployments(observed) if (shard := shard_of(child)) is not None}


def _all_deployments(observed: Observed) -> list[Document]:
    return [child for (kind, _), child in observed.children.items() if kind == "Deployment"]


def is_in_sync(observed: Observed, desired: Document) -> bool:
    name = name_of(desired)
    known = observed.children.get(name)
    if known is None or applied(known) != applied(desired):
        return False
    fields = {key: value for key, value in desired.items() if key not in IDENTITY}
    return name in observed.settled or covers(known, fields)


def applied(child: Document) -> str:
    """Hash of the desired state that was applied last."""
    return str(child["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION, ""))


def _can_go(kind: str, name: str, child: Document, observed: Observed) -> bool:
    """A ConfigMap stays while a pod mounts it, or while a rollout may create such a pod."""
    if "deletionTimestamp" in child["metadata"]:
        return False
    if kind != "ConfigMap":
        return True
    shard = child["metadata"].get("labels", {}).get(SHARD_LABEL)
    deployments = [
        other for other in _all_deployments(observed) if other["metadata"].get("labels", {}).get(SHARD_LABEL) == shard
    ]
    return all(map(is_rolled_out, deployments)) and not any(name in pod.configmaps for pod in observed.pods)


def is_all_rolled_out(observed: Observed, desired: DesiredState) -> bool:
    """Whether every Deployment is as desired, and no pod of an earlier template can start any more."""
    required = [child for child in desired.children if child["kind"] == "Deployment"]
    found = _all_deployments(observed)
    return (
        len(found) == len(required)
        and all(is_in_sync(observed, child) for child in required)
        and all(map(is_rolled_out, found))
    )


def is_rolled_out(deployment: Document) -> bool:
    """Whether every pod of the Deployment has its current template."""
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= replicas
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )


def covers(observed: Any, desired: Any) -> bool:
    """Whether `observed` has every field of `desired`.

    Fields that others or the API server added do not count, except inside a field that has one writer as a whole.

    Lists of named items are compared by name, other lists item by item. Equal quantities are equal however written. So
    are fields that the API server omits or fills in: an empty string, list or map, readOnly or paused false, and the
    protocol TCP.
    """
    if isinstance(desired, dict):
        return isinstance(observed, dict) and all(
            covers_field(key, observed.get(key, omitted_value(key, value)), value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(observed, list) and _covers_list(observed, desired)
    return bool(observed == desired)


def omitted_value(key: str, desired: Any) -> Any:
    """The value that an omitted field stands for."""
    if key in ("readOnly", "paused"):
        return False
    if key == "protocol":
        return "TCP"
    if key in _MAPS and desired == {}:
        return {}
    return [] if desired == [] else ""


def covers_field(key: str, observed: Any, desired: Any) -> bool:
    """`covers` for the value of a field."""
    if key in ("requests", "limits") and isinstance(desired, dict) and isinstance(observed, dict):
        return _amounts(desired) == _amounts(observed)
    if key == "sizeLimit":
        return amount(desired) == amount(observed)
    return covers(observed, desired) and (key not in _ATOMIC or covers(desired, observed))


def _amounts(quantities: Document) -> dict[str, object]:
    return {name: amount(value) for name, value in quantities.items()}


def _covers_list(observed: list[Any], desired: list[Any]) -> bool:
    key = _merge_key(desired)
    if key is None:
        return len(observed) == len(desired) and all(map(covers, observed, desired))
    known = {item.get(key): item for item in observed if isinstance(item, dict)}
    return all(item[key] in known and covers(known[item[key]], item) for item in desired)


def _merge_key(items: list[Any]) -> str | None:
    """The field by which Kubernetes merges lists of this kind, if it is unique among the items."""
    for key in ("mountPath", "name", "uid"):
        values = [item.get(key) for item in items if isinstance(item, dict)]
        if values and len(values) == len(items) and None not in values and len(set(values)) == len(values):
            return key
    return None
