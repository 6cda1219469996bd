"""Pages of a listing, read no further than needed to recognise each object."""

from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

import msgspec
from pydantic_core import from_json

from market_operator.errors import ApiError
from market_operator.resource.document import Document


class _Metadata(TypedDict):
    """The metadata that identifies an object, its version and its owner."""

    name: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: NotRequired[int]
    deletionTimestamp: NotRequired[str]
    labels: NotRequired[dict[str, str]]
    annotations: NotRequired[dict[str, str]]


class _Head(TypedDict):
    metadata: _Metadata


class _ListMetadata(msgspec.Struct):
    resourceVersion: str  # noqa: N815 - Kubernetes' name
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None  # null in an empty list of metadata


_LIST, _HEAD = msgspec.json.Decoder(_List), msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing, of which only the head is parsed: a whole one costs ten times as much.

    `head` is a document with the metadata of _Metadata only.
    """

    head: Document
    _text: msgspec.Raw

    def document(self) -> Document:
        """The whole object."""
        document: Document = from_json(bytes(self._text))
        return document


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing, with the resource version of the whole."""

    items: list[Listed]
    version: int


def read_page(path: str, answer: bytes) -> tuple[Page, str]:
    """A page, and the token of the next one ("" if there is none)."""
    try:
        found = _LIST.decode(answer)
        items = [Listed(cast(Document, _HEAD.decode(item)), item) for item in found.items or ()]
    except msgspec.MsgspecError as error:
        raise ApiError(0, "Malformed", f"GET {path}: the answer is no list of objects: {error}") from error
    return Page(items, int(found.metadata.resourceVersion)), found.metadata.token
