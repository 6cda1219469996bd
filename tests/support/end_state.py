"""The end state of a resource and its managed objects, without values that differ in each run.

A test can compare the results of two ways to the same state, even for resources with different names.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

Document = dict[str, Any]
_EACH_TIME = {
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "lastTransitionTime",
    "lastUpdateTime",
    "lastProbeTime",
}
# Hashes of content with the resource's name, uids, suffixes of pods and replica sets, and then times.
_HASH = re.compile(r"\b[0-9a-f]{6,}\b")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")


def end_state(name: str, resource: Document, children: Iterable[Document], pods: Iterable[Document]) -> Document:
    """The state of the resource `name`. Pods count only by shard and readiness, as their owners have the templates."""
    state = {
        "resource": {**resource, "status": _status(resource.get("status", {}))},
        "children": sorted((_masked(_child(each), name) for each in children if not is_handover(each)), key=json.dumps),
        "pods": dict(Counter(map(_pod, pods))),
    }
    found: Document = _masked(state, name)
    return found


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """The differences between two states, as "path: this instead of that"."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
        return [line for key in keys for line in differences(one.get(key), other.get(key), f"{where}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [line for number, (a, b) in pairs for line in differences(a, b, f"{where}/{number}")]
    return [] if one == other else [f"{where}: {json.dumps(one)[:300]} instead of {json.dumps(other)[:300]}"]


def _child(child: Document) -> Document:
    """A managed object without its version numbers, because two changes can result in one or two writes."""
    annotations = child["metadata"].get("annotations", {})
    kept = {key: value for key, value in annotations.items() if key != "deployment.kubernetes.io/revision"}
    metadata = {**child["metadata"], "annotations": kept, "generation": 1}
    status = {key: value for key, value in child.get("status", {}).items() if key != "observedGeneration"}
    return {**child, "metadata": metadata, "status": status}


def is_handover(child: Document) -> bool:
    """Whether an object is a handover document. Its content depends on the pods that ran before."""
    name: str = child["metadata"]["name"]
    return name.endswith("-handover")


def _status(status: Document) -> Document:
    """The status with the sums of all shards. Their parts depend on when the operator missed the previous pod."""
    shards = [_sum(shard) for shard in status.get("shardStatuses", ())]
    return {**status, "shardStatuses": shards}


def _sum(shard: Document) -> Document:
    total: Counter[str] = Counter(shard.get("base", {}))
    for epoch in shard.get("epochs", ()):
        total.update({name: count for name, count in epoch.items() if isinstance(count, int)})
    return {"shard": shard["shard"], "counted": {name: count for name, count in sorted(total.items()) if count}}


def _pod(pod: Document) -> str:
    conditions = {each["type"]: each["status"] for each in pod.get("status", {}).get("conditions", ())}
    going = ", going" if "deletionTimestamp" in pod["metadata"] else ""
    shard = pod["metadata"]["labels"]["marketcollector.dev/shard"]
    return f"shard {shard}, Ready {conditions.get('Ready', 'Unknown')}{going}"


def _masked(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {_masked(key, name): _masked(each, name) for key, each in value.items() if key not in _EACH_TIME}
    if isinstance(value, list):
        return [_masked(each, name) for each in value]
    if isinstance(value, str):
        return _TIME.sub("TIME", _HASH.sub("HASH", value.replace(name, "NAME")))
    return value
