"""Pages of a listing, read no further than needed to recognise each object."""

import json
import logging
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict, cast

import msgspec
from pydantic_core import from_json

from market_operator.errors import ApiError
from market_operator.resource.document import Document


class _Owner(TypedDict):
    apiVersion: str
    kind: str
    name: str
    uid: str
    controller: NotRequired[bool]


class _Writer(TypedDict):
    manager: NotRequired[str]
    operation: NotRequired[str]


class Metadata(TypedDict):
    """The metadata that identifies an object, its version and its owner."""

    name: str
    namespace: str
    uid: str
    resourceVersion: str
    generation: NotRequired[int]
    deletionTimestamp: NotRequired[str]
    labels: NotRequired[dict[str, str]]
    annotations: NotRequired[dict[str, str]]
    ownerReferences: NotRequired[list[_Owner]]
    managedFields: NotRequired[list[_Writer]]


class _Head(TypedDict):
    metadata: Metadata


class _ListMetadata(msgspec.Struct):
    resourceVersion: str  # noqa: N815 - Kubernetes' name
    token: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None = None  # null in an empty list of metadata


logger = logging.getLogger(__name__)
_LIST, _HEAD = msgspec.json.Decoder(_List), msgspec.json.Decoder(_Head)


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing, of which only the head is parsed: a whole one costs ten times as much.

    `head` is a document with the metadata of Metadata only.
    """

    head: Document
    _text: msgspec.Raw

    def document(self) -> Document:
        """The whole object.

        Raises:
            ApiError: it cannot be parsed.
        """
        return parse("GET", bytes(self._text))


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing, with the resource version of the whole."""

    items: list[Listed]
    version: int


def parse(call: str, answer: bytes) -> Document:
    """The object in an answer of the API server.

    pydantic's parser is three times as fast, but stops at 200 levels. An object may have 10,000.

    Raises:
        ApiError: it cannot be parsed. `call` is in the message.
    """
    try:
        document: Any = from_json(answer)
    except ValueError:
        document = _parse_nested(call, answer)
    if not isinstance(document, dict):
        raise ApiError(0, "Malformed", f"{call}: the answer is no object: {answer[:100]!r}")
    return document


def _parse_nested(call: str, answer: bytes) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise ApiError(0, "Malformed", f"{call}: the answer cannot be parsed: {error}") from error


def read_page(path: str, answer: bytes) -> tuple[Page, str]:
    """A page, and the token of the next one ("" if there is none).

    Raises:
        ApiError: the answer is no list of objects.
    """
    try:
        found = _LIST.decode(answer)
        version = int(found.metadata.resourceVersion)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise ApiError(0, "Malformed", f"GET {path}: the answer is no list of objects: {error}") from error
    items = [Listed(head, item) for item in found.items or () if (head := _head(path, item))]
    return Page(items, version), found.metadata.token


def _head(path: str, item: msgspec.Raw) -> Document | None:
    """The head of an object; None, and a warning, if it cannot be read, so that all others are listed."""
    try:
        return cast(Document, _HEAD.decode(item))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:  # ValueError: it is not UTF-8
        logger.warning("GET %s: an object cannot be read (%s): %.200r", path, error, bytes(item))
        return None
