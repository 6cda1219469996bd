"""The Lease at the API server: wins it, renews it, gives it back, and tells how long a write may take (leader.py)."""

import asyncio
import logging
import random
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from market_operator.cluster.client import Cluster
from market_operator.cluster.lease import Candidate, Terms
from market_operator.errors import ApiError, LeadershipError
from market_operator.resource.naming import Key

logger = logging.getLogger(__name__)
# Where the system has such a clock, one that goes on while the machine is suspended, as those of the others do.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds of a clock that is never set and never stands still."""
    return time.clock_gettime(_CLOCK)


def identity() -> str:
    """A name that no other process has or had: the pod's, which is its host's, and a random part."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(slots=True)
class Election:
    """Our part in the election. `cluster` has connections of its own, so that no call here waits for another."""

    cluster: Cluster
    key: Key
    candidate: Candidate
    clock: Callable[[], float] = clock
    _told: str = field(default="", init=False)

    async def win(self) -> None:
        """Returns when we lead; tries for ever."""
        while True:
            await self._attempt()
            if self.candidate.is_leader:
                logger.info("%s leads: lease %s", self.candidate.identity, self.key)
                return
            # Jitter, so that two that stand by do not meet at every attempt.
            await asyncio.sleep(self._terms.retry * (1 + random.random() / 5))  # noqa: S311

    async def hold(self) -> None:
        """Renews the lease until cancelled.

        Raises:
            LeadershipError: when it could not be renewed in time, or another leads.
        """
        while True:
            await asyncio.sleep(self._terms.retry)
            self.fence()
            await self._attempt()
            self.fence()

    def fence(self) -> float:
        """Seconds that a write which begins now may take.

        Raises:
            LeadershipError: when no write may begin.
        """
        return self.candidate.time_left(self.clock())

    async def resign(self) -> None:
        """Gives the lease back if it is ours, so that another takes over at once. Call it after the last write."""
        try:
            self.fence()
            await self.cluster.write_lease(self.candidate.release(_stamp()), self._terms.deadline / 2)
            logger.info("lease %s given back", self.key)
        except LeadershipError:
            return
        except ApiError as error:
            logger.warning("could not give lease %s back, it runs out by itself: %s", self.key, error)

    @property
    def _terms(self) -> Terms:
        return self.candidate.terms

    async def _attempt(self) -> None:
        try:
            if self.candidate.must_look:
                self.candidate.saw(await self.cluster.read_lease(self.key, self._longest()), self.clock())
            await self._claim()
        except ApiError as error:
            self.candidate.must_look = True
            self._tell(logging.WARNING, f"lease {self.key} could not be had, it is tried again: {error}")

    async def _claim(self) -> None:
        sent = self.clock()
        lease = self.candidate.claim(sent, _stamp())
        if lease is None:
            self._tell(logging.INFO, f"standing by: lease {self.key} is {self.candidate.holder}'s")
            return
        self.candidate.claimed(await self.cluster.write_lease(lease, self._longest()), sent, self.clock())
        self._told = ""

    def _longest(self) -> float:
        """Seconds that a call may take: a second one must fit before the deadline, and none may end after it."""
        half = self._terms.deadline / 2
        if not self.candidate.is_leader:
            return half
        return min(half, self.fence() - (self._terms.duration - self._terms.deadline))

    def _tell(self, level: int, text: str) -> None:
        """Logs what is new; the same thing is not told at every attempt."""
        if text != self._told:
            logger.log(level, "%s", text)
        self._told = text


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
