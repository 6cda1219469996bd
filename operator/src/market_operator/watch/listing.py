"""Lists everything at the start and periodically."""

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from market_operator.cluster.access import scopes
from market_operator.cluster.client import Cluster
from market_operator.cluster.kinds import CHILDREN, PODS, Kind
from market_operator.errors import NO_CRD, ApiError, StartError
from market_operator.resource.naming import Key
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer

logger = logging.getLogger(__name__)
_SECOND_AFTER_S = 10.0


def waits(interval: float) -> Iterator[float]:
    """Seconds before each further listing: soon after the first one, then `interval`.

    No event reports an object that was deleted between the first listing and the start of the watches.
    """
    yield min(interval, _SECOND_AFTER_S)
    yield from itertools.repeat(interval)


@dataclass(slots=True)
class Listing:
    """Lists everything at the start and every `interval` seconds. `is_done` after the first complete listing."""

    cluster: Cluster
    informer: Informer
    metrics: Metrics
    namespaces: tuple[str, ...]
    selector: str
    interval: float
    is_done: bool = False

    async def complete(self) -> None:
        """One complete listing.

        Raises:
            StartError: the CRD is not installed.
            ApiError: a listing failed.
        """
        try:
            await self._everything()
        except ApiError as error:
            if error.is_not_found:
                raise StartError(NO_CRD) from error
            raise
        self.is_done = True

    async def run(self) -> None:
        """Lists everything periodically until cancelled. A failure is logged and retried at the next interval.

        Raises:
            StartError: the CRD is gone. The kubelet restarts the process until the CRD is back.
        """
        for wait in waits(self.interval):
            await asyncio.sleep(wait)
            try:
                await self.complete()
            except ApiError as error:
                logger.warning("could not list everything, retrying in %.0f s: %s", self.interval, error)

    async def _everything(self) -> None:
        for scope in scopes(self.namespaces):
            for kind in (*CHILDREN.values(), PODS):
                await self._objects(kind, scope)
            await self._resources(scope)
        self.metrics.sweeps.inc()

    async def _objects(self, kind: Kind, namespace: str | None) -> None:
        listed, version = set[str](), 0
        async for page in self.cluster.list_managed(kind, namespace):
            version = version or page.version
            for item in page.items:
                listed.add(item.head["metadata"]["uid"])
                if self.informer.cache.is_new(kind.name, item.head):
                    self.informer.child(kind.name, item.document(), time.time())
        for stale in self.informer.cache.stale_objects(kind.name, namespace, listed, version):
            self.informer.child_gone(kind.name, stale)
        if kind is PODS:
            self.informer.cache.pods_listed(namespace, version)

    async def _resources(self, namespace: str | None) -> None:
        known = self.informer.registry.keys(namespace)
        async for page in self.cluster.keys(namespace, self.selector):
            for item in page.items:
                self.informer.resource(item.head)
                known.discard(Key.of(item.head["metadata"]["namespace"], item.head["metadata"]["name"]))
        for key in known:
            self.informer.resource_gone(key)
