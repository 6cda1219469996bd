"""The writes that a plan consists of."""

from dataclasses import dataclass

from market_operator.resource.document import Document


@dataclass(frozen=True, slots=True)
class Apply:
    """Write a managed object by server-side apply.

    `is_new`: it is not in the cache, so it is applied without force. A foreign object of that name is then a conflict.
    """

    manifest: Document
    is_new: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a managed object, if it is still the observed one."""

    kind: str
    name: str
    namespace: str
    uid: str


Action = Apply | Delete
