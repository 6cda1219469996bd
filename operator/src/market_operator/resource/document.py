"""One MarketCollector as the API server returned it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from market_operator.resource.naming import Key, is_paused

Document = dict[str, Any]
"""A JSON object of Kubernetes."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The parts of a resource that the operator uses; spec and status are as stored."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    is_deleting: bool
    is_paused: bool
    labels: Mapping[str, str]
    spec: Document
    status: Document


def read_resource(document: Document) -> Resource:
    """The resource in `document`, which the API server has validated."""
    meta = document["metadata"]
    return Resource(
        key=Key.of(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        resource_version=meta["resourceVersion"],
        is_deleting="deletionTimestamp" in meta,
        is_paused=is_paused(document),
        labels=meta.get("labels", {}),
        spec=document.get("spec", {}),
        status=document.get("status", {}),
    )
