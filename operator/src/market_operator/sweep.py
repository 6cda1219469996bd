"""Two rounds: looking at the collectors, and listing everything now and then to find what no event told.

After a re-list the watch brings no DELETED event for what went meanwhile, and a lost event is never sent again: without
the listing, ghosts would live on.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from market_operator.cluster import Cluster, scopes
from market_operator.errors import NO_DEFINITION, ApiError, ReportError, StartError
from market_operator.health import Reader
from market_operator.intake import Intake
from market_operator.kinds import CHILDREN, PODS, Kind
from market_operator.logs import about
from market_operator.metrics import Metrics
from market_operator.names import Key
from market_operator.pods import Pod
from market_operator.reconcile import Reconciler
from market_operator.reports import Report
from market_operator.rounds import SOON, interval

logger = logging.getLogger(__name__)
AT_ONCE = 32
_IDLE = 0.5
_AFTER_THE_START = 10.0
_DEFAULT_INTERVAL = 30.0
_NOT_OURS = 10.0


def waits(interval: float) -> Iterator[float]:
    """Seconds before each further listing: soon after the first one, then `interval`.

    What went between the first listing and the beginning of the watches is told by no event.
    """
    yield min(interval, _AFTER_THE_START)
    yield from itertools.repeat(interval)


@dataclass(slots=True)
class HealthSweep:
    """Reads the collectors that are due, at most AT_ONCE of them at a time."""

    reader: Reader
    intake: Intake
    reconciler: Reconciler
    metrics: Metrics
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def run(self) -> None:
        """Looks at pods until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._slots.acquire()
                key, uid = await self._next()
                group.create_task(self._look(key, uid))

    async def _next(self) -> tuple[Key, str]:
        rounds = self.intake.rounds
        while True:
            if found := rounds.take(time.time()):
                return found
            due = rounds.next_due()
            # A pod may become due at any moment by an event, so the wait is short.
            await asyncio.sleep(_IDLE if due is None else min(max(due - time.time(), 0.01), _IDLE))

    async def _look(self, key: Key, uid: str) -> None:
        try:
            pod = self.intake.store.pod(key, uid)
            if key not in self.intake.seen:
                # Another operator serves it, by its label; it may become ours.
                self.intake.rounds.look_by(key, uid, time.time() + _NOT_OURS)
            elif pod and pod.is_running and pod.ip:
                await self._look_at(pod)
        finally:
            self._slots.release()

    async def _look_at(self, pod: Pod) -> None:
        """One look. The pod may be gone or stopped when the answer comes; then the answer is not about now."""
        outcome: Report | ReportError
        try:
            outcome = await self.reader.read(pod)
        except ReportError as error:
            outcome = error
        present = self.intake.store.pod(pod.key, pod.uid)
        if present is None or not present.is_running:
            return
        if isinstance(outcome, Report):
            self._told(present, outcome)
        else:
            self._failed(present, str(outcome))

    def _told(self, pod: Pod, report: Report) -> None:
        self.metrics.looks.labels("read").inc()
        now = time.time()
        news = self.intake.observations.looked(pod, report)
        if news == "picture":
            self.intake.queue.add(pod.key)
        elif news == "counters":
            self.intake.queue.add_after(pod.key, self.reconciler.pace.wait(pod.key, now))
        wished = self.reconciler.intervals.get(pod.key, _DEFAULT_INTERVAL)
        self.intake.rounds.look_by(pod.key, pod.uid, now + interval(pod, report, wished, len(self.intake.rounds)))

    def _failed(self, pod: Pod, problem: str) -> None:
        self.metrics.looks.labels("failed").inc()
        now = time.time()
        if self.intake.observations.failed(pod, problem, now):
            with about(pod.key):
                logger.info("could not look at pod %s: %s", pod.name, problem)
            self.intake.queue.add(pod.key)
        self.intake.rounds.look_by(pod.key, pod.uid, now + SOON)


@dataclass(slots=True)
class Listing:
    """Lists everything at the start and every `interval` seconds; `is_done` once the first listing is complete."""

    cluster: Cluster
    intake: Intake
    metrics: Metrics
    namespaces: tuple[str, ...]
    selector: str
    interval: float
    is_done: bool = False

    async def first(self) -> None:
        """The first listing.

        Raises:
            StartError: when the definition is not installed.
            ApiError: when something could not be listed.
        """
        try:
            await self._everything()
        except ApiError as error:
            if error.is_gone:
                raise StartError(NO_DEFINITION) from error
            raise
        self.is_done = True

    async def run(self) -> None:
        """Lists everything now and then until cancelled; a failure is told and tried again in time."""
        for wait in waits(self.interval):
            await asyncio.sleep(wait)
            try:
                await self._everything()
            except ApiError as error:
                logger.warning("could not list everything, next try in %.0f s: %s", self.interval, error)

    async def _everything(self) -> None:
        for scope in scopes(self.namespaces):
            for kind in (*CHILDREN.values(), PODS):
                await self._objects(kind, scope)
            await self._resources(scope)
        self.metrics.sweeps.inc()

    async def _objects(self, kind: Kind, namespace: str | None) -> None:
        listed, version = set[str](), 0
        async for page in self.cluster.ours(kind, namespace):
            version = version or page.version
            for item in page.items:
                listed.add(item.head["metadata"]["uid"])
                if self.intake.store.is_news(kind.name, item.head):
                    self.intake.child(kind.name, item.document(), time.time())
        for ghost in self.intake.store.ghosts(kind.name, namespace, listed, version):
            self.intake.child_gone(kind.name, ghost)
        if kind is PODS:
            self.intake.store.pods_listed(namespace, version)

    async def _resources(self, namespace: str | None) -> None:
        known = {key for key in self.intake.seen if namespace in (None, key.namespace)}
        async for page in self.cluster.keys(namespace, self.selector):
            for item in page.items:
                self.intake.resource(item.head)
                known.discard(Key.of(item.head["metadata"]["namespace"], item.head["metadata"]["name"]))
        for key in known:
            self.intake.resource_gone(key)
