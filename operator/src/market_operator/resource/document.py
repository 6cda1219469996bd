"""One MarketCollector as the API server returned it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from market_operator.errors import ObjectError
from market_operator.resource.naming import Key, is_paused

Document = dict[str, Any]
"""A JSON object of Kubernetes."""
P = ParamSpec("P")
T = TypeVar("T")


def reads_object(read: Callable[Concatenate[Document, P], T]) -> Callable[Concatenate[Document, P], T]:
    """Decorates a function that reads an object: whatever the object is, the function raises only ObjectError."""

    @wraps(read)
    def total(document: Document, /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return read(document, *args, **kwargs)
        except ObjectError:
            raise
        except Exception as error:
            raise ObjectError(f"it has not the form of its kind: {error!r:.200}") from error

    return total


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


@reads_object
def read_resource(document: Document) -> Resource:
    """The resource in `document`, which the API server has validated.

    Raises:
        ObjectError: the document has another form.
    """
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
