"""Writes Events about changed conditions. A failed Event never fails the reconcile."""

import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import Key
from market_operator.scheduling.event_budget import EventBudget
from market_operator.status.events import condition_events, event, warning
from market_operator.telemetry.metrics import Metrics

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class EventRecorder:
    """`instance` names this operator in the Events."""

    cluster: Cluster
    metrics: Metrics
    budget: EventBudget = field(default_factory=EventBudget)
    instance: str = field(default_factory=socket.gethostname)

    async def create_event(self, resource: Resource, conditions: Iterable[Document], now: float) -> None:
        """Writes the Events for changes from the stored conditions to `conditions`."""
        for each in condition_events(resource.status.get("conditions", ()), conditions):
            if self.budget.take(resource.key, now):
                await self._write(event(each, resource, self.instance, now))
            else:
                self._count("left out")

    async def warn(self, resource: Resource, reason: str, note: str, now: float) -> None:
        """Writes a Warning about something that no condition shows."""
        if self.budget.take(resource.key, now):
            await self._write(warning(reason, note, resource, self.instance, now))
        else:
            self._count("left out")

    def forget(self, key: Key) -> None:
        """Forgets a resource."""
        self.budget.forget(key)

    async def _write(self, document: Document) -> None:
        try:
            await self.cluster.create_event(document)
        except ApiError as error:
            if error.is_namespace_gone:  # it accepts no Events any more
                return
            self._count("failed")
            logger.info("could not write an Event: %s", error)
        else:
            self._count("done")

    def _count(self, result: str) -> None:
        self.metrics.writes.labels("create", "Event", result).inc()
