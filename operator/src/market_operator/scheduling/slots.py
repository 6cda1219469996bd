"""Shares of the concurrent probes, so that pods that hang delay only their own namespace. Pure."""

from collections import Counter
from dataclasses import dataclass, field

from market_operator.resource.naming import Key

_RESOURCE_PART = 4


@dataclass(slots=True)
class Slots:
    """`count` slots. A namespace takes another one only while it has fewer than are free.

    One thus gets half of them, two get a third each, and in the long run a further namespace finds a free slot. A
    resource gets at most a quarter.
    """

    count: int
    _by_namespace: Counter[str] = field(default_factory=Counter)
    _by_resource: Counter[Key] = field(default_factory=Counter)

    @property
    def free(self) -> int:
        """Number of free slots."""
        return self.count - self._by_namespace.total()

    def is_open(self, namespace: str) -> bool:
        """Whether a namespace may take a slot."""
        return self._by_namespace[namespace] < self.free

    def may_take(self, key: Key) -> bool:
        """Whether a resource may take a slot, if its namespace may."""
        return self._by_resource[key] < self.count // _RESOURCE_PART

    def take(self, key: Key) -> None:
        """Takes a slot for a resource."""
        self._by_namespace[key.namespace] += 1
        self._by_resource[key] += 1

    def release(self, key: Key) -> None:
        """Gives a slot of a resource back."""
        self._by_namespace[key.namespace] -= 1
        self._by_resource[key] -= 1
        # A Counter keeps names whose count is 0.
        self._by_namespace, self._by_resource = +self._by_namespace, +self._by_resource
