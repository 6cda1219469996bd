"""Calls and watch events between a client and the API server, with the types of functions that match them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
_WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Call:
    """One request. `kind` is the plural, with the subresource if there is one ("marketcollectors/status").

    `time` is in seconds of the monotonic clock; `namespace` and `name` are empty where the path names none.
    """

    method: str
    path: str
    query: str
    kind: str
    namespace: str
    name: str
    body: bytes
    time: float

    @property
    def is_write(self) -> bool:
        """Whether it can change an object."""
        return self.method in _WRITES

    @property
    def is_watch(self) -> bool:
        """Whether the answer is a stream of events."""
        return "watch=true" in self.query.lower() or "watch=1" in self.query

    @property
    def is_list(self) -> bool:
        """Whether it lists the objects of a kind."""
        return self.method == "GET" and not self.name and not self.is_watch

    @property
    def document(self) -> Document:
        """The body."""
        found: Document = json.loads(self.body)
        return found

    def is_of(self, resource: str) -> bool:
        """Whether it is about a resource or a child that is named after it."""
        return _is_of(self.name, resource)

    def __str__(self) -> str:
        return f"{self.method} {self.kind} {self.name}".rstrip()


@dataclass(frozen=True)
class Event:
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR of an object of `kind` (the plural)."""

    kind: str
    type: str
    document: Document

    @property
    def name(self) -> str:
        """The object's name; bookmarks have none."""
        return str(self.document.get("metadata", {}).get("name", ""))

    def is_of(self, resource: str) -> bool:
        """Whether it is about a resource or a child that is named after it."""
        return _is_of(self.name, resource)

    @property
    def line(self) -> bytes:
        """The event in the API server's format."""
        return json.dumps({"type": self.type, "object": self.document}).encode() + b"\n"


CallMatch = Callable[[Call], bool]
EventMatch = Callable[[Event], bool]


def _is_of(name: str, resource: str) -> bool:
    return name == resource or name.startswith(f"{resource}-")


def read_call(method: str, path: str, query: str, body: bytes, time: float) -> Call:
    """Parse a request by the parts of the API server's paths."""
    parts = path.strip("/").split("/")[3 if path.startswith("/apis/") else 2 :]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    kind, name, *below = [*parts, "", ""][: max(len(parts), 2)]
    return Call(method, path, query, "/".join((kind, *below)), namespace, name, body, time)


def read_event(kind: str, line: bytes) -> Event:
    """Parse a line of a watch of `kind`."""
    found = json.loads(line)
    return Event(kind, found["type"], found["object"])


def refusal(status: int, reason: str) -> Document:
    """The API server's error document."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"{reason} (from the test's proxy)",
        "reason": reason,
        "code": status,
    }
