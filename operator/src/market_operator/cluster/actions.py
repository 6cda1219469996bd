"""The writes that a plan consists of."""

from dataclasses import dataclass

from market_operator.resource.document import Document


@dataclass(frozen=True, slots=True)
class Apply:
    """Write a child by server-side apply.

    `is_new`: we never saw it, so nobody's fields may be taken over: an object of that name that is not ours is a
    conflict, not ours to overwrite.
    """

    manifest: Document
    is_new: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a child, if it still is the object that was observed."""

    kind: str
    name: str
    namespace: str
    uid: str


Action = Apply | Delete
