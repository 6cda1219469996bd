"""Handover documents are refreshed at a pace that 10,000 resources can share, and at once when a pod comes or goes."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from market_operator.app import App, assemble
from market_operator.cluster.actions import Action, Apply
from market_operator.manifests.handover import is_handover
from market_operator.observed.ownership import controller
from market_operator.observed.pods import Pod
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import Key
from market_operator.settings import Settings
from owned import APPLIED

START = 1_795_000_000.0
NAMES = ("okx-a", "okx-b", "okx-c")
Refresh = Callable[..., Awaitable[list[str]]]


class Cluster:
    """A cluster with any resource, and a record of the handover documents that are written."""

    def __init__(self) -> None:
        self.written: list[str] = []
        """Names of the resources whose documents were written, in order."""

    def metadata(self, key: Key) -> Document:
        return {"name": key.name, "namespace": key.namespace, "uid": "uid-1", "generation": 1, "resourceVersion": "7"}

    async def read(self, key: Key) -> Document:
        spec = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
        return {"metadata": self.metadata(key), "spec": spec}

    async def run(self, action: Action) -> Document:
        assert isinstance(action, Apply)
        meta = action.manifest["metadata"]
        if is_handover(action.manifest):
            self.written.append(controller(meta)["name"])
        stored = {"uid": meta["name"], "resourceVersion": str(10 + len(self.written)), "managedFields": [APPLIED]}
        return {**action.manifest, "metadata": {**meta, **stored}}

    async def write_status(self, resource: Resource, _: Document) -> Document:
        return {"metadata": self.metadata(resource.key)}

    async def create_event(self, _: Document) -> None:
        """Nothing."""


@pytest.fixture
async def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
async def app(cluster: Cluster) -> AsyncIterator[App]:
    given: Any = cluster
    made = assemble(Settings(), given, given)
    yield made
    made.informer.queue.close()


@pytest.fixture
def start(app: App, pod: Callable[..., Pod]) -> Callable[[str, str], None]:
    """Starts a pod of a resource, by its name and the pod's UID."""

    def starts(name: str, uid: str) -> None:
        app.informer.cache.put_pod(replace(pod(uid), key=Key("md", name)))

    return starts


@pytest.fixture
async def refresh(cluster: Cluster, app: App, start: Callable[[str, str], None]) -> Refresh:
    """Reconciles resources whose pods' positions have advanced; returns those whose documents are written.

    At the start, the documents of all resources are written.
    """

    async def refreshes(second: float, *names: str) -> list[str]:
        before = len(cluster.written)
        for name in names:
            key, position = Key("md", name), {"line": {"last": int(second), "time_ns": 1}}
            app.informer.collectors.positions[key] = {name: json.dumps({"BTC-USDT/trade": position})}
            await app.reconciler.reconcile(key, START + second)
        return cluster.written[before:]

    for name in NAMES:
        start(name, name)
    assert await refreshes(0, *NAMES) == [*NAMES]
    return refreshes


async def test_handover_document_is_refreshed_every_5_minutes(refresh: Refresh) -> None:
    written = [second for second in range(10, 1200, 10) if await refresh(second, "okx-a")]
    assert written == [300, 600, 900]


async def test_one_handover_document_a_second_is_refreshed(refresh: Refresh) -> None:
    seconds = (300 + number / 2 for number in range(6))
    written = [await refresh(second, *NAMES) for second in seconds]
    assert written == [["okx-a"], [], ["okx-b"], [], ["okx-c"], []]


async def test_handover_document_of_a_new_pod_waits_for_no_pace(
    refresh: Refresh, start: Callable[[str, str], None]
) -> None:
    for name in NAMES:
        start(name, f"{name}-new")
    assert await refresh(1, *NAMES) == [*NAMES]
    assert await refresh(300, *NAMES) == [], "these writes count"
