"""Two rounds: looking at the collectors, and listing everything now and then to find what no event told.

After a re-list the watch brings no DELETED event for what went meanwhile, and a lost event is never sent again: without
the listing, ghosts would live on.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from market_operator.errors import ReportError
from market_operator.observed.pods import Pod
from market_operator.observed.reports import Report
from market_operator.reconcile.reconciler import Reconciler
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import SOON, interval
from market_operator.telemetry.logs import about
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.probe import Reader

logger = logging.getLogger(__name__)
AT_ONCE = 32
_IDLE = 0.5
_DEFAULT_INTERVAL = 30.0
_NOT_OURS = 10.0


@dataclass(slots=True)
class Poller:
    """Reads the collectors that are due, at most AT_ONCE of them at a time."""

    reader: Reader
    intake: Informer
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
        news = self.intake.observations.record_probe(pod, report)
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
