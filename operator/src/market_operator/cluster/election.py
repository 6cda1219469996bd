"""Wins, renews and releases the Lease at the API server, by the rules in lease.py."""

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
# A clock that also runs while the machine is suspended, if the system has one.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds of a monotonic clock that also runs during suspension."""
    return time.clock_gettime(_CLOCK)


def identity() -> str:
    """A unique name of this process: the host name (in a pod, the pod's) and a random part."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(slots=True)
class Election:
    """This instance's part in the election. `cluster` has its own connections, so that no other call delays it."""

    cluster: Cluster
    key: Key
    candidate: Candidate
    clock: Callable[[], float] = clock
    _last_message: str = field(default="", init=False)

    async def win(self) -> None:
        """Returns when this instance leads; retries without limit."""
        while True:
            await self._attempt()
            if self.candidate.is_leader:
                logger.info("%s leads: lease %s", self.candidate.identity, self.key)
                return
            # Jitter, so that two standbys do not collide at every attempt.
            await asyncio.sleep(self._terms.retry * (1 + random.random() / 5))  # noqa: S311

    async def hold(self) -> None:
        """Renews the lease until cancelled.

        Raises:
            LeadershipError: the lease was not renewed in time, or another instance leads.
        """
        while True:
            await asyncio.sleep(self._terms.retry)
            self.fence()
            await self._attempt()
            self.fence()

    def fence(self) -> float:
        """Seconds that a write may take if it starts now.

        Raises:
            LeadershipError: no write may start.
        """
        return self.candidate.time_left(self.clock())

    async def resign(self) -> None:
        """Releases the lease, so that another instance takes over at once. Call it after the last write."""
        try:
            self.fence()
            await self.cluster.write_lease(self.candidate.release(_stamp()), self._terms.deadline / 2)
            logger.info("lease %s released", self.key)
        except LeadershipError:
            return
        except ApiError as error:
            logger.warning("could not release lease %s, so it expires: %s", self.key, error)

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
            self._log_once(logging.WARNING, f"could not get lease {self.key}, retrying: {error}")

    async def _claim(self) -> None:
        sent = self.clock()
        lease = self.candidate.claim(sent, _stamp())
        if lease is None:
            self._log_once(logging.INFO, f"standing by: {self.candidate.holder} has lease {self.key}")
            return
        self.candidate.claimed(await self.cluster.write_lease(lease, self._longest()), sent, self.clock())
        self._last_message = ""

    def _longest(self) -> float:
        """Seconds that a call may take, so that a second one fits before the deadline."""
        half = self._terms.deadline / 2
        if not self.candidate.is_leader:
            return half
        return min(half, self.fence() - (self._terms.duration - self._terms.deadline))

    def _log_once(self, level: int, text: str) -> None:
        """Logs a message unless it repeats the last one."""
        if text != self._last_message:
            logger.log(level, "%s", text)
        self._last_message = text


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
