"""Keys that take turns by namespace, so that many keys of one namespace do not delay another namespace. Pure."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from market_operator.resource.naming import Key


@dataclass(slots=True)
class Turns:
    """Waiting keys. Namespaces take turns, and within one the first to come is the first to go.

    Operations take constant time, whatever the number of keys and namespaces.
    """

    _since: OrderedDict[Key, float] = field(default_factory=OrderedDict)
    # By namespace: its keys, numbered in their order.
    _namespaces: OrderedDict[str, OrderedDict[Key, int]] = field(default_factory=OrderedDict)

    def add(self, key: Key, since: float) -> None:
        """Adds a key that is not in, as the last of its namespace. A new namespace is the last of all."""
        keys = self._namespaces.setdefault(key.namespace, OrderedDict())
        keys[key] = keys[next(reversed(keys))] + 1 if keys else 0
        self._since[key] = since

    def pop(self, key: Key) -> float:
        """Removes a key; returns since when it waited."""
        keys = self._namespaces[key.namespace]
        del keys[key]
        if not keys:
            del self._namespaces[key.namespace]
        return self._since.pop(key)

    def take(
        self, is_open: Callable[[str], bool] = lambda namespace: True, may_go: Callable[[Key], bool] = lambda key: True
    ) -> tuple[Key, float] | None:
        """Removes the next key that may go, of a namespace that is open; None if there is none.

        Its namespace then has the last turn. Closed namespaces and keys that may not go keep theirs, and cost time.
        """
        for namespace in filter(is_open, self._namespaces):
            if (key := next(filter(may_go, self._namespaces[namespace]), None)) is not None:
                self._namespaces.move_to_end(namespace)
                return key, self.pop(key)
        return None

    def oldest(self) -> tuple[Key, float] | None:
        """The key that was added first, and since when it waits; None if there is none."""
        return next(iter(self._since.items()), None)

    def ahead(self, key: Key) -> int:
        """At most how many keys go before a key, if no namespace comes."""
        keys = self._namespaces[key.namespace]
        in_namespace = keys[key] - keys[next(iter(keys))]
        return min(len(self) - 1, (in_namespace + 1) * len(self._namespaces) - 1)

    def __contains__(self, key: Key) -> bool:
        return key in self._since

    def __len__(self) -> int:
        return len(self._since)
