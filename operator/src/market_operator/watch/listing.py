"""Lists everything at the start and periodically."""

import asyncio
import logging
import time
from dataclasses import dataclass, field

from market_operator.cluster.access import scopes
from market_operator.cluster.client import Cluster
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, PODS, Kind
from market_operator.cluster.pages import Page
from market_operator.errors import NO_CRD, ApiError, StartError
from market_operator.resource.naming import Key
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer

logger = logging.getLogger(__name__)
_RETRY_AFTER_S = 10.0
"""Time between two attempts to read a namespace that is not served."""


@dataclass(slots=True)
class Listing:
    """Lists everything at the start and every `interval` seconds. `is_done` after the first complete listing.

    `unserved` has the error of each namespace (None: of all) that the API server refuses to list. All others go on.
    """

    cluster: Cluster
    informer: Informer
    metrics: Metrics
    namespaces: tuple[str, ...]
    selector: str
    interval: float
    is_done: bool = False
    unserved: dict[str | None, ApiError] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _first: dict[tuple[Kind, str | None], int] = field(default_factory=dict)
    """Versions of the first complete listing, by kind and namespace, until the watches start from them."""

    @property
    def serves_nothing(self) -> bool:
        """Whether no namespace can be read."""
        return len(self.unserved) == len(scopes(self.namespaces))

    async def complete(self) -> None:
        """The first complete listing.

        Raises:
            StartError: the CRD is not installed.
            ApiError: a listing failed, other than by a missing right in a namespace of its own.
        """
        await self._list_all(is_first=True)
        self.is_done = True

    async def run(self) -> None:
        """Lists everything periodically until cancelled. A failure is logged and retried at the next interval.

        Raises:
            StartError: the CRD is gone. The kubelet restarts the process until the CRD is back.
        """
        while True:
            await self._wait(self.interval)
            await self._list_all()

    async def _list_all(self, *, is_first: bool = False) -> None:
        for scope in scopes(self.namespaces):
            await self._list(scope, is_first=is_first)
        self.metrics.sweeps.inc()

    async def _wait(self, seconds: float) -> None:
        """Sleeps. Meanwhile, it tries to read the namespaces that are not served."""
        for _ in range(int(seconds // _RETRY_AFTER_S)):
            await asyncio.sleep(_RETRY_AFTER_S)
            for scope in [*self.unserved]:
                await self._list(scope)
        await asyncio.sleep(seconds % _RETRY_AFTER_S)

    async def _list(self, scope: str | None, *, is_first: bool = False) -> None:
        """Lists one namespace. Its failure does not concern the others."""
        try:
            await self._everything(scope)
        except ApiError as error:
            if error.is_not_found:
                raise StartError(NO_CRD) from error
            if is_first and not (scope and error.is_forbidden):
                raise
            self._failed(scope, error)
        else:
            self._succeeded(scope)

    def _failed(self, scope: str | None, error: ApiError) -> None:
        if not error.is_forbidden:
            logger.warning("could not list %s, retrying in %.0f s: %s", _title(scope), self.interval, error)
            return
        if scope not in self.unserved:
            logger.warning("%s cannot be served, retrying every %.0f s: %s", _title(scope), _RETRY_AFTER_S, error)
        self.unserved[scope] = error
        self.metrics.record_namespace(scope, is_served=False)

    def _succeeded(self, scope: str | None) -> None:
        if self.unserved.pop(scope, None):
            logger.info("%s can be served again", _title(scope))
            self.informer.requeue(scope)
        self.metrics.record_namespace(scope, is_served=True)

    async def _everything(self, scope: str | None) -> None:
        for kind in (*CHILDREN.values(), PODS, COLLECTORS):
            version = await self.kind(kind, scope)
            if not self.is_done:
                self._first[kind, scope] = version

    async def watch_from(self, kind: Kind, namespace: str | None) -> int:
        """The resource version from which a kind is watched in a namespace (None: in all).

        Nothing is listed at the start, because the first complete listing has just read everything.

        Raises:
            ApiError: the listing failed.
        """
        return self._first.pop((kind, namespace), 0) or await self.kind(kind, namespace)

    async def kind(self, kind: Kind, namespace: str | None) -> int:
        """Lists one kind in a namespace (None: in all), and returns the resource version of the listing.

        One listing is read at a time, because tenants may fill its pages.

        Raises:
            ApiError: the listing failed.
        """
        async with self._lock:
            return await (self._resources(namespace) if kind is COLLECTORS else self._objects(kind, namespace))

    async def _objects(self, kind: Kind, namespace: str | None) -> int:
        listed, version = set[str](), 0
        async for page in self.cluster.list_managed(kind, namespace):
            version = version or page.version
            self._report_damaged(kind, page)
            for item in page.items:
                meta = item.head["metadata"]
                listed.add(meta["uid"])
                with self.informer.containment.of(kind.name, meta["namespace"], meta["name"]):
                    if self.informer.cache.is_new(kind.name, item.head):
                        self.informer.child(kind.name, item.document(), time.time())
        for stale in self.informer.cache.stale_objects(kind.name, namespace, listed, version):
            meta = stale["metadata"]
            with self.informer.containment.of(kind.name, meta["namespace"], meta["name"]):
                self.informer.child_gone(kind.name, stale)
        if kind is PODS:
            self.informer.cache.pods_listed(namespace, version)
        return version

    async def _resources(self, namespace: str | None) -> int:
        known, version = self.informer.registry.keys(namespace), 0
        async for page in self.cluster.keys(namespace, self.selector):
            version = version or page.version
            self._report_damaged(COLLECTORS, page)
            for item in page.items:
                meta = item.head["metadata"]
                known.discard(Key.of(meta["namespace"], meta["name"]))
                with self.informer.containment.of(COLLECTORS.name, meta["namespace"], meta["name"]):
                    self.informer.resource(item.head)
        for key in known:
            self.informer.resource_gone(key)
        return version

    def _report_damaged(self, kind: Kind, page: Page) -> None:
        for item in page.damaged:
            self.informer.containment.report(kind.name, item.namespace, item.name, item.error)


def _title(scope: str | None) -> str:
    return f"namespace {scope}" if scope else "all namespaces"
