"""The custom resources that this operator serves."""

from collections.abc import Iterator
from typing import NamedTuple

from market_operator.resource.document import Document
from market_operator.resource.naming import Key, is_paused


class _Known(NamedTuple):
    uid: str
    generation: int
    is_terminating: bool
    is_paused: bool
    version: int = 0


class Registry:
    """The known resources, by key, with what a reconcile depends on, and the version that the last one left behind."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}
        self._unclear: dict[Key, int] = {}

    def update(self, document: Document) -> bool:
        """Notes a resource; whether it is new or changed. A change of only its status does not count here."""
        meta = document["metadata"]
        key = Key.of(meta["namespace"], meta["name"])
        known = _Known(meta["uid"], meta.get("generation", 0), "deletionTimestamp" in meta, is_paused(document))
        before = self._known.get(key)
        if before and before._replace(version=0) == known:
            return False
        self._known[key] = known
        return True

    def left(self, key: Key, version: str) -> bool:
        """A reconcile has read or written this version of a resource; whether it is newer than the last one."""
        known = self._known.get(key)
        if known is None:
            return False
        self._known[key] = known._replace(version=int(version))
        return int(version) > known.version > 0

    def is_overwritten(self, document: Document, is_in_work: bool) -> bool:
        """Whether another writer changed a resource after its last reconcile, such as its status.

        While a worker has it (`is_in_work`), the version may be the answer that the worker waits for.
        `was_overwritten` knows afterwards.
        """
        meta = document["metadata"]
        key, version = Key.of(meta["namespace"], meta["name"]), int(meta.get("resourceVersion", 0))
        if is_in_work:
            self._unclear[key] = version
            return False
        return version > self._known[key].version > 0

    def was_overwritten(self, key: Key) -> bool:
        """Whether another writer changed a resource during its last reconcile."""
        version = self._unclear.pop(key, 0)
        return key in self._known and version > self._known[key].version > 0

    def remove(self, key: Key) -> bool:
        """Forgets a resource; whether it was known."""
        self._unclear.pop(key, None)
        return self._known.pop(key, None) is not None

    def keys(self, namespace: str | None = None) -> set[Key]:
        """The known resources of a namespace (None: of all)."""
        return {key for key in self._known if namespace in (None, key.namespace)}

    def __contains__(self, key: Key) -> bool:
        return key in self._known

    def __iter__(self) -> Iterator[Key]:
        return iter(self._known)
