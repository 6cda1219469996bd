"""Shares of what the operator has a limited amount of, so that one namespace cannot use it up. Pure."""

from collections import Counter
from dataclasses import dataclass, field

KEPT_BYTES = 48 * 1024 * 1024
"""Memory for reports, handover documents and objects, as far as they are not small.

A report of 8,000 streams takes 0.9 MB, one of 50 streams nothing.
"""


@dataclass(slots=True)
class Shares:
    """`limit` bytes or slots. A namespace takes more only while it then has no more than were free before.

    One thus gets half of them, two get a third each, and in the long run a further namespace finds some.
    """

    limit: int
    _by_namespace: Counter[str] = field(default_factory=Counter)

    @property
    def free(self) -> int:
        """The rest that no namespace has taken."""
        return self.limit - self._by_namespace.total()

    def may_take(self, namespace: str, size: int) -> bool:
        """Whether a namespace may take that many."""
        return self._by_namespace[namespace] + size <= self.free

    def take(self, namespace: str, size: int) -> None:
        """Takes that many for a namespace."""
        self._by_namespace[namespace] += size

    def release(self, namespace: str, size: int) -> None:
        """Gives that many of a namespace back."""
        self._by_namespace[namespace] -= size
        if not self._by_namespace[namespace]:
            # A Counter keeps names whose count is 0.
            del self._by_namespace[namespace]
