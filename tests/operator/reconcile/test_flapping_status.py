"""A status that changes all the time: its writes become rare after a burst, and the last state is still written."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from market_operator.app import App, assemble
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import Key
from market_operator.scheduling.status_budget import FLIP_INTERVAL_S, FLIPS_BURST
from market_operator.settings import Settings

KEY = Key("md", "okx-btc")
START = 1_795_000_000.0


class Flapping:
    """A cluster with one resource, whose stored health is never the observed one."""

    def __init__(self) -> None:
        self.generation = 1
        self.status: Document = {}
        self.writes = 0

    @property
    def metadata(self) -> Document:
        return {
            "name": "okx-btc",
            "namespace": "md",
            "uid": "uid-1",
            "generation": self.generation,
            "resourceVersion": "7",
        }

    async def read(self, _: Key) -> Document:
        spec = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
        return {"metadata": self.metadata, "spec": spec, "status": {**self.status, "health": "Healthy"}}

    async def run(self, _: object) -> None:
        """Writes nothing."""

    async def write_status(self, _: Resource, patch: Document) -> Document:
        self.writes += 1
        self.status = {**self.status, **patch}
        return {"metadata": self.metadata}

    async def create_event(self, _: Document) -> None:
        """Stores nothing."""


@pytest.fixture
async def cluster() -> Flapping:
    return Flapping()


@pytest.fixture
async def app(cluster: Flapping) -> AsyncIterator[App]:
    given: Any = cluster
    made = assemble(Settings(), given, given)
    yield made
    made.informer.queue.close()


async def flap(app: App, seconds: int) -> float:
    """Reconciles once a second; returns the last requeue's delay."""
    for second in range(seconds):
        requeue = await app.reconciler.reconcile(KEY, START + second)
    return requeue.after or 0.0


async def test_flapping_status_is_written_rarely_after_a_burst(cluster: Flapping, app: App) -> None:
    wait = await flap(app, 120)
    assert FLIPS_BURST <= cluster.writes <= FLIPS_BURST + 120 / FLIP_INTERVAL_S
    assert 0 < wait <= FLIP_INTERVAL_S + 0.1
    before = cluster.writes
    await app.reconciler.reconcile(KEY, START + 119 + wait)
    assert cluster.writes == before + 1, "the state at the end of the wait"


async def test_changed_spec_of_a_flapping_resource_is_written_at_once(cluster: Flapping, app: App) -> None:
    await flap(app, 60)
    before, cluster.generation = cluster.writes, 2
    await app.reconciler.reconcile(KEY, START + 60.01)
    assert cluster.writes == before + 1
