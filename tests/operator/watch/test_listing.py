"""Complete listings, from an API server that lists what a test sets."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from market_operator.cluster.client import Cluster
from market_operator.cluster.kinds import CONFIGMAPS
from market_operator.cluster.pages import Listed
from market_operator.errors import ApiError, StartError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.registry import Registry
from market_operator.resource.document import Document
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.http import serve
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.listing import Listing, waits

KEY = Key("md", "okx-btc")


class Server:
    """Answers by the last part of the path, with an empty list by default."""

    def __init__(self) -> None:
        self.address, self.version = "", 1
        self.objects: dict[str, list[Any]] = {}
        self.answers: dict[str, Any] = {}
        self.statuses: dict[str, int] = {}

    async def answer(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        page = {"metadata": {"resourceVersion": str(self.version)}, "items": self.objects.get(name)}
        return web.json_response(self.answers.get(name, page), status=self.statuses.get(name, 200))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server, app = Server(), web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = await serve(app, "127.0.0.1", 0)
    server.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    cluster = Cluster(Configuration(host=server.address), None)
    yield cluster
    await cluster.close()


@pytest.fixture
def listing(cluster: Cluster) -> Listing:
    informer = Informer(Cache(), Registry(), Collectors(), WorkQueue(lambda: 0.0), PollSchedule(), is_leading=True)
    return Listing(cluster, informer, Metrics(), ("md",), "", 300)


def config(version: int, x: str) -> dict[str, Any]:
    annotations = {"marketcollector.dev/resource": "okx-btc"}
    meta = {"name": "a", "namespace": "md", "uid": "u", "resourceVersion": str(version), "annotations": annotations}
    return {"metadata": {**meta, "managedFields": [{"manager": "m"}]}, "data": {"x": x}}


async def test_listing_reads_only_objects_that_are_newer_than_the_cache(
    server: Server, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole: list[Listed] = []
    document = Listed.document

    def counted(listed: Listed) -> Document:
        whole.append(listed)
        return document(listed)

    monkeypatch.setattr(Listed, "document", counted)
    server.objects["configmaps"], server.version = [config(5, "old")], 5
    await listing.complete()
    assert (len(whole), listing.informer.queue.depth) == (1, 1)
    await listing.informer.queue.take()
    listing.informer.queue.done(KEY)
    await listing.complete()
    assert (len(whole), listing.informer.queue.depth) == (1, 0), "nothing is new"
    server.objects["configmaps"], server.version = [config(6, "new")], 6
    await listing.complete()
    assert (len(whole), listing.informer.queue.depth) == (2, 1)
    assert listing.informer.cache.observe(KEY).children["ConfigMap", "a"]["data"] == {"x": "new"}
    server.objects["configmaps"], server.version = [], 7
    await listing.complete()
    assert not listing.informer.cache.observe(KEY).children


@pytest.mark.parametrize("status", [404, 503])
async def test_periodic_listing_ends_only_without_the_crd(server: Server, listing: Listing, status: int) -> None:
    listing.interval, server.statuses["marketcollectors"] = 0.01, status
    running = asyncio.create_task(listing.run())
    done, _ = await asyncio.wait([running], timeout=0.5)
    if status == 404:
        with pytest.raises(StartError, match="the MarketCollector CRD is not installed"):
            await running
    else:
        assert not done
        running.cancel()


@pytest.mark.parametrize("answer", [{}, {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {}}]}, "text"])
async def test_answer_without_a_list_is_refused(server: Server, cluster: Cluster, answer: Any) -> None:
    server.answers["configmaps"] = answer
    with pytest.raises(ApiError, match="configmaps: the answer is no list of objects"):
        _ = [page async for page in cluster.list_managed(CONFIGMAPS, "md")]


@pytest.mark.parametrize(("interval", "expected"), [(300.0, [10.0, 300.0, 300.0]), (2.0, [2.0, 2.0, 2.0])])
def test_second_listing_follows_soon_after_the_first(interval: float, expected: list[float]) -> None:
    assert list(itertools.islice(waits(interval), 3)) == expected
