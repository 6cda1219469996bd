"""Pages of a listing, read no further than needed to recognise each object."""

import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any, NotRequired, TypedDict, cast

import msgspec
from pydantic_core import from_json

from market_operator.cluster.nesting import CUT, MAX_LEVELS, shallow
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
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_UNREADABLE = (msgspec.MsgspecError, RecursionError, ValueError)  # ValueError: it is not UTF-8
NESTED = f"values nested more than {MAX_LEVELS} levels are left out"


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
        meta = self.head["metadata"]
        return parse(f"GET {meta['namespace']}/{meta['name']}", bytes(self._text))


@dataclass(frozen=True, slots=True)
class Damaged:
    """An object in a listing that cannot be read, or only in part, with as much of its name as can be read."""

    namespace: str
    name: str
    error: ApiError


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a listing, with the resource version of the whole.

    An object whose head can be read is in `items`, also if it is damaged.
    """

    items: list[Listed]
    version: int
    damaged: list[Damaged] = field(default_factory=list)


def parse(call: str, answer: bytes) -> Document:
    """The object in an answer of the API server, without values that are nested too deeply.

    Raises:
        ApiError: it cannot be parsed. `call` is in the message.
    """
    try:
        document: Any = _parse(call, answer)
    except ValueError as error:
        raise ApiError(0, "Malformed", f"{call}: the answer cannot be parsed: {error}") from error
    if not isinstance(document, dict):
        raise ApiError(0, "Malformed", f"{call}: the answer is no object: {answer[:100]!r}")
    return document


def _parse(call: str, answer: bytes) -> Any:
    try:
        return from_json(answer)
    except ValueError:  # also at 200 levels
        if (rest := shallow(answer)) is answer:
            raise
        logger.warning("%s: %s", call, NESTED)
        return from_json(rest)


def names(text: bytes | msgspec.Raw) -> tuple[str, str]:
    """Namespace and name of an object, or of the object of a watch event; "?" for what cannot be read."""
    meta = dict[str, msgspec.Raw]()
    with contextlib.suppress(KeyError, *_UNREADABLE):
        fields = _FIELDS.decode(shallow(bytes(text)))
        fields = _FIELDS.decode(fields["object"]) if "object" in fields else fields
        meta = _FIELDS.decode(fields["metadata"])
    return _name(meta, "namespace"), _name(meta, "name")


def _name(meta: dict[str, msgspec.Raw], field_name: str) -> str:
    try:
        return msgspec.json.decode(meta[field_name], type=str)
    except (KeyError, *_UNREADABLE):
        return "?"


def read_page(path: str, answer: bytes) -> tuple[Page, str]:
    """A page, and the token of the next one ("" if there is none).

    Raises:
        ApiError: the answer is no list of objects.
    """
    try:
        found = _list(answer)
        version = int(found.metadata.resourceVersion)
    except _UNREADABLE as error:
        raise ApiError(0, "Malformed", f"GET {path}: the answer is no list of objects: {error}") from error
    page = Page([], version)
    for item in found.items or ():
        _add(page, path, item)
    return page, found.metadata.token


def _list(answer: bytes) -> _List:
    """The list. A single object that is nested deeply must not hide the others."""
    try:
        return _LIST.decode(answer)
    except RecursionError:
        return _LIST.decode(shallow(answer))


def _add(page: Page, path: str, item: msgspec.Raw) -> None:
    """Adds an object. One that is damaged must not hide the others."""
    problem = NESTED if CUT in bytes(item) else ""
    try:
        page.items.append(Listed(cast(Document, _HEAD.decode(item)), item))
    except _UNREADABLE as error:
        problem = f"an object cannot be read: {error}"
    if problem:
        page.damaged.append(Damaged(*names(item), ApiError(0, "Malformed", f"GET {path}: {problem}")))
