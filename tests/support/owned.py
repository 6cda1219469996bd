"""Metadata that makes an object the operator's own."""

from typing import Any

APPLIED = {"manager": "market-operator", "operation": "Apply"}


def owned(resource: str = "okx-btc") -> dict[str, Any]:
    """Owner reference and field manager of a managed object of `resource`."""
    owner = {"kind": "MarketCollector", "name": resource, "uid": "uid-1", "controller": True}
    return {"ownerReferences": [owner], "managedFields": [APPLIED]}


def made_by_replicaset(name: str) -> dict[str, Any]:
    """Owner reference of a pod of the ReplicaSet `name`."""
    return {"ownerReferences": [{"kind": "ReplicaSet", "name": name, "controller": True}]}
