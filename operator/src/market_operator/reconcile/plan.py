"""What must be written so that the observed becomes the wanted. Pure: () means not one write."""

from typing import Any

from market_operator.cluster.actions import Action, Apply, Delete
from market_operator.manifests.desired_state import DesiredState
from market_operator.observed.cache import Observed, name_of
from market_operator.reconcile.quantities import amount
from market_operator.resource.document import Document
from market_operator.resource.naming import APPLIED_ANNOTATION, SHARD_LABEL

# Objects in lists and watches do not all name their kind; the key under which they are observed does.
_IDENTITY = ("apiVersion", "kind")


def plan(observed: Observed, wanted: DesiredState) -> tuple[Action, ...]:
    """The writes, in order: what is missing or differs is applied, then what is no longer wanted is deleted."""
    names = {name_of(child) for child in wanted.children}
    applies = [
        Apply(child, is_new=name_of(child) not in observed.children)
        for child in wanted.children
        if not _is_as_wanted(observed, child)
    ]
    deletes = [
        Delete(kind, name, child["metadata"]["namespace"], child["metadata"]["uid"])
        for (kind, name), child in observed.children.items()
        if (kind, name) not in names and _can_go(kind, name, child, observed)
    ]
    return (*applies, *deletes)


def _is_as_wanted(observed: Observed, wanted: Document) -> bool:
    name = name_of(wanted)
    known = observed.children.get(name)
    if known is None or _applied(known) != _applied(wanted):
        return False
    fields = {key: value for key, value in wanted.items() if key not in _IDENTITY}
    return name in observed.settled or covers(known, fields)


def _applied(child: Document) -> str:
    return str(child["metadata"].get("annotations", {}).get(APPLIED_ANNOTATION, ""))


def _can_go(kind: str, name: str, child: Document, observed: Observed) -> bool:
    """A ConfigMap stays while a pod mounts it, or while a roll-out may still make one that does."""
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
    """Whether every pod of the Deployment is of its present template."""
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and status.get("updatedReplicas", 0) >= replicas
        and status.get("replicas", 0) == status.get("updatedReplicas", 0)
    )


def covers(observed: Any, wanted: Any) -> bool:
    """Whether `observed` has everything that `wanted` says; what others or the API server added does not count.

    Lists of named items are compared by name; other lists item by item. Two ways to write one amount of CPU or memory
    are equal. So is what the API server leaves out: an empty text or list, or readOnly that is false.
    """
    if isinstance(wanted, dict):
        return isinstance(observed, dict) and all(
            _covers_field(key, observed.get(key, _left_out(key, value)), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(observed, list) and _covers_list(observed, wanted)
    return bool(observed == wanted)


def _left_out(key: str, wanted: Any) -> Any:
    """What the API server means by a field that is not there."""
    if key == "readOnly":
        return False
    return [] if wanted == [] else ""


def _covers_field(key: str, observed: Any, wanted: Any) -> bool:
    if key in ("requests", "limits") and isinstance(wanted, dict) and isinstance(observed, dict):
        return _amounts(wanted) == _amounts(observed)
    if key == "sizeLimit":
        return amount(wanted) == amount(observed)
    return covers(observed, wanted)


def _amounts(quantities: Document) -> dict[str, object]:
    return {name: amount(value) for name, value in quantities.items()}


def _covers_list(observed: list[Any], wanted: list[Any]) -> bool:
    key = _merge_key(wanted)
    if key is None:
        return len(observed) == len(wanted) and all(map(covers, observed, wanted))
    known = {item.get(key): item for item in observed if isinstance(item, dict)}
    return all(item[key] in known and covers(known[item[key]], item) for item in wanted)


def _merge_key(items: list[Any]) -> str | None:
    """The field by which Kubernetes merges lists of this kind, when the items have one and it tells them apart."""
    for key in ("mountPath", "name", "uid"):
        values = [item.get(key) for item in items if isinstance(item, dict)]
        if values and len(values) == len(items) and None not in values and len(set(values)) == len(values):
            return key
    return None
