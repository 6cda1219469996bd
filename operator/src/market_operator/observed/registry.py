"""The custom resources that this operator serves."""

from collections.abc import Iterator
from typing import NamedTuple

from market_operator.resource.document import Document
from market_operator.resource.naming import Key


class _Known(NamedTuple):
    uid: str
    generation: int
    is_terminating: bool


class Registry:
    """The known resources, by key, with what a reconcile depends on."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def update(self, document: Document) -> bool:
        """Notes a resource; whether it is new or changed. A change of only its status does not count."""
        meta = document["metadata"]
        key = Key.of(meta["namespace"], meta["name"])
        known = _Known(meta["uid"], meta.get("generation", 0), "deletionTimestamp" in meta)
        if self._known.get(key) == known:
            return False
        self._known[key] = known
        return True

    def remove(self, key: Key) -> bool:
        """Forgets a resource; whether it was known."""
        return self._known.pop(key, None) is not None

    def keys(self, namespace: str | None = None) -> set[Key]:
        """The known resources of a namespace (None: of all)."""
        return {key for key in self._known if namespace in (None, key.namespace)}

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def __iter__(self) -> Iterator[Key]:
        return iter(self._known)
