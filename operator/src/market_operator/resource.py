"""One MarketCollector as the API server returned it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from market_operator.errors import SpecError
from market_operator.models import Spec
from market_operator.names import Key

Document = dict[str, Any]
"""A JSON object of Kubernetes."""


@dataclass(frozen=True, slots=True)
class Resource:
    """The parts of a resource that decisions need; spec and status are as stored."""

    key: Key
    uid: str
    generation: int
    resource_version: str
    is_deleting: bool
    labels: Mapping[str, str]
    spec: Document
    status: Document


def read_resource(document: Document) -> Resource:
    """The resource in `document`, which the API server's schema has already vouched for."""
    meta = document["metadata"]
    return Resource(
        key=Key.of(meta["namespace"], meta["name"]),
        uid=meta["uid"],
        generation=meta.get("generation", 0),
        resource_version=meta["resourceVersion"],
        is_deleting="deletionTimestamp" in meta,
        labels=meta.get("labels", {}),
        spec=document.get("spec", {}),
        status=document.get("status", {}),
    )


def read_spec(resource: Resource) -> Spec:
    """The spec with all defaults.

    Raises:
        SpecError: when it breaks a rule, as an object may that was stored before the rule existed.
    """
    try:
        return Spec.model_validate(resource.spec)
    except ValidationError as error:
        raise SpecError("; ".join(_sentence(found) for found in error.errors()[:5])) from error


def _sentence(found: Any) -> str:
    path = ".".join(["spec", *map(str, found["loc"])])
    return f"{path}: {found['msg'].removeprefix('Value error, ')}"
