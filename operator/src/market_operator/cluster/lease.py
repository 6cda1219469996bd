"""Who leads, decided without a clock or a network: all candidates read and write one Lease (coordination.k8s.io/v1).

Every write of it names the version that was read, so of two candidates that want it at the same time one is refused.
Another's lease is judged by when we saw it change, never by the times in it: clocks of two nodes may differ. Our own
lease counts from the moment in which its renewal was sent. The others saw that renewal later, and wait for the whole
duration from then on, so ours has run out before anyone takes over, however long calls took:

    we send a renewal             deadline: we begin no write          duration: ours has run out
          |-----------------------------|----------------------------------|
              |---- another candidate sees it change and waits its duration ----|--> takes over

All times (`now`, `sent`) are seconds of one monotonic clock; `stamp` is the wall clock's time, for people to read.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

from market_operator.errors import LeadershipError

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of a lease, in seconds.

    `duration`: a lease that was not seen to change for so long may be taken. `deadline`: a leader that could not renew
    for so long gives up; what is left of the duration is for calls on their way. `retry`: between two attempts.
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


DEFAULT_TERMS = Terms()


@dataclass(slots=True)
class Candidate:
    """One process that wants to lead, or leads. `identity` is its own alone."""

    identity: str
    name: Document
    """Namespace and name of the Lease, as in its metadata."""
    terms: Terms = DEFAULT_TERMS
    must_look: bool = True
    """Whether the Lease has to be read before the next claim: we do not lead, or do not know how a call ended."""
    _lease: Document | None = None
    _changed: float = -inf
    _claimed: float | None = None

    @property
    def is_leader(self) -> bool:
        """Whether a claim of ours has succeeded; `time_left` tells whether it still holds."""
        return self._claimed is not None

    @property
    def holder(self) -> str:
        """Whose the lease is, as far as we know; empty when it is nobody's."""
        return str((self._lease or {}).get("spec", {}).get("holderIdentity") or "")

    @property
    def _title(self) -> str:
        return f"lease {self.name['namespace']}/{self.name['name']}"

    def saw(self, lease: Document | None, now: float) -> None:
        """The Lease was read; None: there is none.

        Raises:
            LeadershipError: when we led, and it is another's now.
        """
        self.must_look = not self.is_leader
        if lease is None:
            # One that was deleted ends no earlier than it would have: who holds it has not heard of that yet.
            self._lease = self._lease and {**self._lease, "metadata": self.name}
            return
        if self._lease is None or lease.get("spec") != self._lease.get("spec"):
            self._changed = now
        self._lease = lease
        if self.is_leader and self.holder not in ("", self.identity):
            raise LeadershipError(f"{self._title} is {self.holder}'s now, so this instance ends")

    def claim(self, now: float, stamp: str) -> Document | None:
        """The Lease to write so that it is ours for another duration; None while it is another's."""
        spec = (self._lease or {}).get("spec") or {}
        is_ours = self.holder == self.identity
        if self.holder and not is_ours and now < self._changed + (spec.get("leaseDurationSeconds") or 0):
            return None
        changes = 0 if is_ours or self._lease is None else 1
        return self._written(
            holderIdentity=self.identity,
            leaseDurationSeconds=max(1, round(self.terms.duration)),
            acquireTime=spec.get("acquireTime", stamp) if is_ours else stamp,
            renewTime=stamp,
            leaseTransitions=(spec.get("leaseTransitions") or 0) + changes,
        )

    def claimed(self, lease: Document, sent: float, now: float) -> None:
        """Our claim, which was sent at `sent`, has succeeded; `lease` is the answer."""
        self._lease, self._changed, self._claimed, self.must_look = lease, now, sent, False

    def time_left(self, now: float) -> float:
        """Seconds until our lease has run out, for a write that begins now.

        Raises:
            LeadershipError: when we do not lead, or could not renew in time; then no write may begin.
        """
        if self._claimed is None:
            raise LeadershipError("this instance does not lead")
        age = now - self._claimed
        if age >= self.terms.deadline:
            raise LeadershipError(
                f"{self._title} could not be renewed for {age:.1f} s; another instance may lead now, so this one ends"
            )
        return self.terms.duration - age

    def release(self, stamp: str) -> Document:
        """The Lease to write so that another may take over at once; from now on we do not lead."""
        self._claimed, self.must_look = None, True
        spec = (self._lease or {}).get("spec") or {}
        return self._written(
            holderIdentity="",
            leaseDurationSeconds=1,
            acquireTime=stamp,
            renewTime=stamp,
            leaseTransitions=spec.get("leaseTransitions") or 0,
        )

    def _written(self, **spec: object) -> Document:
        metadata = (self._lease or {}).get("metadata") or self.name
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
