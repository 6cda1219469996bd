"""Leader election by one Lease (coordination.k8s.io/v1), decided without a clock or a network.

Every write names the version that was read, so one of two simultaneous candidates is refused. Another instance's lease
is judged by when its change was seen, never by the times in it, because clocks may differ. Our own lease counts from
the moment at which its renewal was sent. The others see that renewal later and wait for the whole duration from then
on. So ours has expired before anyone takes over:

    we send a renewal             deadline: we start no write          duration: ours has expired
          |-----------------------------|----------------------------------|
              |---- another candidate sees it change and waits its duration ----|--> takes over

All times (`now`, `sent`) are seconds of one monotonic clock. `stamp` is wall clock time, for people to read.
"""

from dataclasses import dataclass
from math import inf
from typing import Any

from market_operator.errors import LeadershipError

Document = dict[str, Any]
_MOST = 2**31 - 1
"""Largest number in a Lease."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of a lease, in seconds.

    `duration`: an unchanged lease may be taken after this time. `deadline`: a leader that could not renew for this long
    gives up. The rest of the duration is for calls in flight. `retry`: time between two attempts.
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


DEFAULT_TERMS = Terms()


@dataclass(slots=True)
class Candidate:
    """One process that leads or wants to lead. `identity` is unique."""

    identity: str
    name: Document
    """Namespace and name of the Lease, as in its metadata."""
    terms: Terms = DEFAULT_TERMS
    must_look: bool = True
    """Whether to read the Lease before the next claim: this one does not lead, or a call's outcome is unknown."""
    _lease: Document | None = None
    _changed: float = -inf
    _claimed: float | None = None

    @property
    def is_leader(self) -> bool:
        """Whether a claim has succeeded. `time_left` checks whether it still holds."""
        return self._claimed is not None

    @property
    def holder(self) -> str:
        """The last known holder; empty if there is none."""
        return str(self._spec.get("holderIdentity") or "")

    @property
    def _spec(self) -> Document:
        """The spec of the last known Lease; empty if it has none."""
        spec = (self._lease or {}).get("spec")
        return spec if isinstance(spec, dict) else {}

    @property
    def _title(self) -> str:
        return f"lease {self.name['namespace']}/{self.name['name']}"

    def saw(self, lease: Document | None, now: float) -> None:
        """Takes a Lease that was read (None: there is none).

        Raises:
            LeadershipError: another instance took the lease of this one.
        """
        self.must_look = not self.is_leader
        if lease is None:
            # A deleted lease ends no earlier than it would have: its holder does not know of the deletion.
            self._lease = self._lease and {**self._lease, "metadata": self.name}
            return
        if self._lease is None or lease.get("spec") != self._lease.get("spec"):
            self._changed = now
        self._lease = lease
        if self.is_leader and self.holder not in ("", self.identity):
            raise LeadershipError(f"{self._title} was taken by {self.holder}, so this instance ends")

    def claim(self, now: float, stamp: str) -> Document | None:
        """The Lease to write to hold it for another duration; None while another instance holds it."""
        is_ours = self.holder == self.identity
        if self.holder and not is_ours and now < self._changed + self._held_for:
            return None
        changes = 0 if is_ours or self._lease is None else 1
        return self._written(
            holderIdentity=self.identity,
            leaseDurationSeconds=max(1, round(self.terms.duration)),
            acquireTime=self._spec.get("acquireTime", stamp) if is_ours else stamp,
            renewTime=stamp,
            leaseTransitions=self._transitions + changes,
        )

    @property
    def _held_for(self) -> float:
        """Seconds for which another instance may hold the Lease without a change."""
        seconds = self._spec.get("leaseDurationSeconds") or 0
        return seconds if isinstance(seconds, int) and seconds < _MOST else self.terms.duration

    @property
    def _transitions(self) -> int:
        count = self._spec.get("leaseTransitions")
        return count if isinstance(count, int) and 0 < count < _MOST else 0

    def claimed(self, lease: Document, sent: float, now: float) -> None:
        """The claim sent at `sent` has succeeded; `lease` is the answer."""
        self._lease, self._changed, self._claimed, self.must_look = lease, now, sent, False

    def time_left(self, now: float) -> float:
        """Seconds until the lease expires, for a write that starts now.

        Raises:
            LeadershipError: this instance does not lead, or did not renew in time. No write may start.
        """
        if self._claimed is None:
            raise LeadershipError("this instance does not lead")
        age = now - self._claimed
        if age >= self.terms.deadline:
            raise LeadershipError(
                f"{self._title} was not renewed for {age:.1f} s. Another instance may lead now, so this one ends"
            )
        return self.terms.duration - age

    def release(self, stamp: str) -> Document:
        """The Lease to write so that another instance takes over at once. From now on, this one does not lead."""
        self._claimed, self.must_look = None, True
        return self._written(
            holderIdentity="",
            leaseDurationSeconds=1,
            acquireTime=stamp,
            renewTime=stamp,
            leaseTransitions=self._transitions,
        )

    def _written(self, **spec: object) -> Document:
        metadata = (self._lease or {}).get("metadata")
        metadata = metadata if isinstance(metadata, dict) and metadata else self.name
        return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
