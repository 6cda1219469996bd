"""Shares of the concurrent probes, so that pods that hang delay only their own namespace. Pure."""

from collections import Counter

from market_operator.resource.naming import Key
from market_operator.resource.shares import Shares

_RESOURCE_PART = 4


class Slots:
    """`count` slots, of which each namespace has a share. A resource gets at most a quarter."""

    def __init__(self, count: int) -> None:
        self._shares = Shares(count)
        self._by_resource: Counter[Key] = Counter()

    @property
    def free(self) -> int:
        """Number of free slots."""
        return self._shares.free

    def is_open(self, namespace: str) -> bool:
        """Whether a namespace may take a slot."""
        return self._shares.may_take(namespace, 1)

    def may_take(self, key: Key) -> bool:
        """Whether a resource may take a slot, if its namespace may."""
        return self._by_resource[key] < self._shares.limit // _RESOURCE_PART

    def take(self, key: Key) -> None:
        """Takes a slot for a resource."""
        self._shares.take(key.namespace, 1)
        self._by_resource[key] += 1

    def release(self, key: Key) -> None:
        """Gives a slot of a resource back."""
        self._shares.release(key.namespace, 1)
        self._by_resource[key] -= 1
        if not self._by_resource[key]:
            # A Counter keeps names whose count is 0.
            del self._by_resource[key]
