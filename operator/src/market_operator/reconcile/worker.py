"""Workers: each takes a key from the queue, reconciles it, and requeues it if needed."""

import logging
import time
from dataclasses import dataclass

from market_operator.errors import ApiError, LeadershipError
from market_operator.observed.registry import Registry
from market_operator.reconcile.reconciler import Reconciler, Requeue
from market_operator.resource.naming import Key
from market_operator.scheduling.work_queue import OVERWRITTEN_DELAY, WorkQueue
from market_operator.telemetry.logs import about
from market_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several workers that share a queue."""

    queue: WorkQueue
    registry: Registry
    reconciler: Reconciler
    metrics: Metrics

    async def run(self) -> None:
        """Reconciles resources until cancelled.

        Raises:
            LeadershipError: another instance may lead now.
        """
        while True:
            key, waited = await self.queue.take()
            self.metrics.latency.observe(waited)
            try:
                with about(key), self.metrics.work_duration.time():
                    await self._work_on(key)
            finally:
                if self.registry.was_overwritten(key):
                    self.queue.add_after(key, OVERWRITTEN_DELAY)
                self.queue.done(key)

    async def _work_on(self, key: Key) -> None:
        try:
            with self.metrics.duration.time():
                requeue = await self._reconcile(key)
            self._finish(key, requeue)
        except LeadershipError:
            raise
        except ApiError as error:
            self._count_failure("failed")
            logger.warning("%s; retrying", error)
            self.queue.retry(key, error.retry_after)
        except Exception:
            # An error in the reconcile of one resource must not stop all others.
            self._count_failure("error")
            logger.exception("unexpected error; retrying")
            self.queue.retry(key)

    async def _reconcile(self, key: Key) -> Requeue:
        """A key that is not registered is gone, or another operator's. It is not even read."""
        if key not in self.registry:
            return self.reconciler.forget(key)
        return await self.reconciler.reconcile(key, time.time())

    def _finish(self, key: Key, requeue: Requeue) -> None:
        if requeue.failed:
            self._count_failure("failed")
            self.queue.retry(key, requeue.retry_after)
        else:
            self.queue.succeeded(key)
            self.metrics.reconciles.labels("done" if requeue.after is None else "again").inc()
        if requeue.after is not None:
            self.queue.add_after(key, requeue.after)

    def _count_failure(self, result: str) -> None:
        self.metrics.errors.inc()
        self.metrics.reconciles.labels(result).inc()
