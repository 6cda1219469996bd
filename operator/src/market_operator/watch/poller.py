"""Probes the collectors that are due."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, field

from market_operator.errors import ReportError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.pods import Pod
from market_operator.observed.registry import Registry
from market_operator.observed.reports import Report
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.slots import Slots
from market_operator.scheduling.status_budget import StatusBudget
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.logs import about
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.probe import Reader

logger = logging.getLogger(__name__)
MAX_CONCURRENT_PROBES = 32
# An event may make a pod due at any moment, so the loop never sleeps for longer.
_LONGEST_SLEEP_S = 0.5
_FOREIGN_INTERVAL_S = 10.0


@dataclass(slots=True)
class Poller:
    """Reads /status of the pods that are due, at most MAX_CONCURRENT_PROBES at a time, in fair shares."""

    reader: Reader
    cache: Cache
    registry: Registry
    collectors: Collectors
    queue: WorkQueue
    poll_schedule: PollSchedule
    status_budget: StatusBudget
    metrics: Metrics
    containment: Containment
    _slots: Slots = field(default_factory=lambda: Slots(MAX_CONCURRENT_PROBES))
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Probes pods until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                key, uid = await self._next()
                self._slots.take(key)
                group.create_task(self._probe_if_served(key, uid))

    async def _next(self) -> tuple[Key, str]:
        while True:
            self._released.clear()
            if found := self.poll_schedule.take(time.time(), self._slots):
                return found
            due = self.poll_schedule.next_due()
            wait = _LONGEST_SLEEP_S if due is None else min(max(due - time.time(), 0.01), _LONGEST_SLEEP_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._released.wait()

    async def _probe_if_served(self, key: Key, uid: str) -> None:
        try:
            pod = self.cache.pod(key, uid)
            if key not in self.registry:
                # Another operator serves it, by its labels. A changed label may hand it over.
                self.poll_schedule.probe_by(key, uid, time.time() + _FOREIGN_INTERVAL_S)
            elif pod and pod.is_running and pod.ip:
                await self._probe(pod)
        except Exception as error:  # an error about one pod must not end the probes of all others
            problem = self.containment.report("Pod", key.namespace, uid, error)
            if pod := self.cache.pod(key, uid):
                self._record_failure(pod, problem, time.time())
        finally:
            self._slots.release(key)
            self._released.set()

    async def _probe(self, pod: Pod) -> None:
        """One probe. Its result is dropped if the pod stopped meanwhile."""
        outcome: Report | ReportError
        try:
            outcome = await self.reader.read(pod)
            if not outcome.epoch.startswith(f"{pod.uid}/"):
                outcome = ReportError(f"another pod answered: {outcome.epoch}")
            elif not self.collectors.has_room(pod, outcome):
                outcome = ReportError("the operator has no memory left for reports of so many streams in a namespace")
        except ReportError as error:
            outcome = error
        current = self.cache.pod(pod.key, pod.uid)
        if current is None or not current.is_running:
            return
        now = time.time()
        if isinstance(outcome, Report):
            self._record_report(current, outcome, now)
        else:
            self._record_failure(current, str(outcome), now)

    def _record_report(self, pod: Pod, report: Report, now: float) -> None:
        self.metrics.probes.labels("read").inc()
        change = self.collectors.record_probe(pod, report)
        if change == "conditions":
            self._queue_flip(pod.key, now)
        elif change == "counters":
            self.queue.add_after(pod.key, self.status_budget.wait(pod.key, now))
        self.poll_schedule.probe_again(
            pod.key, pod.uid, now, report.health == "Healthy" and pod.is_ready and not pod.is_terminating
        )

    def _record_failure(self, pod: Pod, problem: str, now: float) -> None:
        self.metrics.probes.labels("failed").inc()
        if self.collectors.record_failure(pod, problem, now):
            with about(pod.key):
                logger.info("could not probe pod %s: %s", pod.name, problem)
            self._queue_flip(pod.key, now)
        self.poll_schedule.probe_after_failure(pod.key, pod.uid, now)

    def _queue_flip(self, key: Key, now: float) -> None:
        """Queues a resource whose conditions may change, later if they change all the time."""
        if wait := self.status_budget.flip_wait(key, now):
            self.queue.add_after(key, wait)
        else:
            self.queue.add(key)
