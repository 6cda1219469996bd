"""A worker with a cluster whose calls end in errors. Whole processes: tests/cluster/test_app.py."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from market_operator.app import App, assemble
from market_operator.errors import ApiError, LeadershipError
from market_operator.resource.naming import Key
from market_operator.settings import Settings

KEY = Key("md", "okx-btc")
RESOURCE = {"metadata": {"name": "okx-btc", "namespace": "md", "uid": "u", "generation": 1}}


class FailingCluster:
    """Every read raises `error`."""

    def __init__(self) -> None:
        self.error: Exception = LeadershipError("the lease has expired")
        self.reads: list[Key] = []

    async def read(self, key: Key) -> None:
        self.reads.append(key)
        raise self.error


@pytest.fixture
async def app() -> AsyncIterator[App]:
    cluster: Any = FailingCluster()
    made = assemble(Settings(), cluster, cluster)
    made.informer.lead(0.0)
    yield made
    made.informer.queue.close()


async def idle(app: App) -> None:
    queue = app.informer.queue
    async with asyncio.timeout(5):
        while queue.depth or queue.longest_work:
            await asyncio.sleep(0)


async def test_unregistered_key_is_not_read(app: App) -> None:
    worker = asyncio.create_task(app.worker.run())
    app.informer.queue.add(KEY)
    await idle(app)
    worker.cancel()
    assert app.cluster.reads == []  # type: ignore[attr-defined]


async def test_lost_leadership_ends_the_worker(app: App) -> None:
    app.informer.resource(RESOURCE)
    with pytest.raises(LeadershipError):
        await app.worker.run()


@pytest.mark.parametrize(
    ("error", "result"), [(ApiError(503, "ServiceUnavailable", "busy"), "failed"), (RuntimeError("a bug"), "error")]
)
async def test_error_of_one_resource_is_counted_and_retried(app: App, error: Exception, result: str) -> None:
    app.cluster.error = error  # type: ignore[attr-defined]
    worker = asyncio.create_task(app.worker.run())
    app.informer.resource(RESOURCE)
    await idle(app)
    assert not worker.done()
    worker.cancel()
    assert app.informer.queue.counts.retries == 1
    assert f'market_operator_reconcile_total{{result="{result}"}} 1.0'.encode() in app.metrics.render()
