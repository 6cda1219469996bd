"""Metadata that makes an object the operator's own."""

from typing import Any

APPLIED = {"manager": "market-operator", "operation": "Apply"}


def owned(resource: str = "okx-btc") -> dict[str, Any]:
    """Owner reference and field manager of a managed object of `resource`."""
    owner = {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "name": resource,
        "uid": "uid-1",
        "controller": True,
    }
    return {"ownerReferences": [owner], "managedFields": [APPLIED]}


def made_by_replicaset(name: str) -> dict[str, Any]:
    """Owner reference of a pod of the ReplicaSet `name`."""
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": "r", "controller": True}
    return {"ownerReferences": [owner]}
