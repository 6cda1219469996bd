"""The diff between observed and desired state, as writes. Pure; () means no write."""

from typing import Any

from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.cache import Observed, name_of
from market_operator.reconcile.quantities import amount
from market_operator.resource.document import Document
from market_operator.resource.naming import APPLIED_ANNOTATION, SHARD_LABEL

# Objects in lists and watches may lack these; the key in the cache has the kind.
_IDENTITY = ("apiVersion", "kind")


def plan(observed: Observed, desired: DesiredState) -> tuple[Action, ...]:
    """The writes in order: apply missing and changed objects, then delete those no longer desired."""
    names = {name_of(child) for child in desired.children}
    applies = [
        Apply(child, is_new=name_of(child) not in observed.children)
        for child in desired.children
        if not _is_in_sync(observed, child)
    ]
    deletes = [
        Delete(kind, name, child["metadata"]["namespace"], child["metadata"]["uid"])
        for (kind, name), child in observed.children.items()
        if (kind, name) not in names and _can_go(kind, name, child, observed)
    ]
    return (*applies, *deletes)


def _is_in_sync(observed: Observed, desired: Document) -> bool:
    name = name_of(desired)
    known = observed.children.get(name)
    if known is None or _applied(known) != _applied(desired):
        return False
    fields = {key: value for key, value in desired.items() if key not in _IDENTITY}
    return name in observed.settled or covers(known, fields)


def _applied(child: Document) -> str:
    return str(child["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION, ""))


def _can_go(kind: str, name: str, child: Document, observed: Observed) -> bool:
    """A ConfigMap stays while a pod mounts it, or while a rollout may create such a pod."""
    if "deletionTimestamp" in child["metadata"]:
        return False
    if kind != "ConfigMap":
        return True
    shard = child["metadata"].get("labels", {}).get(SHARD_LABEL)
    deployments = [
        other
        for (kind_, _), other in observed.children.items()
        if kind_ == "Deployment" and other["metadata"].get("labels", {}).get(SHARD_LABEL) == shard
    ]
    return all(map(is_rolled_out, deployments)) and not any(name in pod.configmaps for pod in observed.pods)


def is_rolled_out(deployment: Document) -> bool:
    """Whether every pod of the Deployment has its current template."""
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= replicas
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )


def covers(observed: Any, desired: Any) -> bool:
    """Whether `observed` has every field of `desired`. Fields that others or the API server added do not count.

    Lists of named items are compared by name, other lists item by item. Equal quantities are equal however written. So
    are fields that the API server omits: an empty string or list, and readOnly false.
    """
    if isinstance(desired, dict):
        return isinstance(observed, dict) and all(
            _covers_field(key, observed.get(key, _omitted_value(key, value)), value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(observed, list) and _covers_list(observed, desired)
    return bool(observed == desired)


def _omitted_value(key: str, desired: Any) -> Any:
    """The value that an omitted field stands for."""
    if key == "readOnly":
        return False
    return [] if desired == [] else ""


def _covers_field(key: str, observed: Any, desired: Any) -> bool:
    if key in ("requests", "limits") and isinstance(desired, dict) and isinstance(observed, dict):
        return _amounts(desired) == _amounts(observed)
    if key == "sizeLimit":
        return amount(desired) == amount(observed)
    return covers(observed, desired)


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
