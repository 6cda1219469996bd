"""Complete listings, from an API server that lists what a test sets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from market_operator.cluster.client import Cluster
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, CONFIGMAPS, PODS, Kind
from market_operator.cluster.pages import Listed
from market_operator.errors import ApiError, StartError
from market_operator.observed.cache import Cache
from market_operator.observed.collectors import Collectors
from market_operator.observed.registry import Registry
from market_operator.resource.document import Document
from market_operator.resource.naming import Key
from market_operator.scheduling.poll_schedule import PollSchedule
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.containment import Containment
from market_operator.telemetry.metrics import Metrics
from market_operator.watch.informer import Informer
from market_operator.watch.listing import Listing
from owned import owned

KEY = Key("md", "okx-btc")
KINDS = (*CHILDREN.values(), PODS, COLLECTORS)


class Server:
    """Answers by the last part of the path, with an empty list by default."""

    def __init__(self) -> None:
        self.address, self.version, self.is_compressed = "", 1, False
        self.objects: dict[str, list[Any]] = {}
        self.answers: dict[str, Any] = {}
        self.statuses: dict[str, int] = {}
        self.refused: dict[str, int] = {}
        """Status by a part of the path."""
        self.asked = Counter[str]()

    async def answer(self, request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        self.asked[name] += 1
        for status in (self.refused[part] for part in request.path.split("/") if part in self.refused):
            return web.json_response({"reason": "Refused", "message": "no right"}, status=status)
        page = {"metadata": {"resourceVersion": str(self.version)}, "items": self.objects.get(name)}
        response = web.json_response(self.answers.get(name, page), status=self.statuses.get(name, 200))
        if self.is_compressed:
            response.enable_compression(web.ContentCoding.gzip)
        return response


class Pages(Server):
    """Answers with as many objects as asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.is_paged = False
        self.limits: list[int] = []

    async def answer(self, request: web.Request) -> web.Response:
        if not self.is_paged:
            return await super().answer(request)
        first, limit = int(request.query.get("continue", 0)), int(request.query["limit"])
        self.limits.append(limit)
        objects = self.objects["configmaps"]
        end = first + limit
        meta = {"resourceVersion": "9", "continue": str(end) if end < len(objects) else ""}
        return web.json_response({"metadata": meta, "items": objects[first:end]})


@pytest.fixture
async def server() -> AsyncIterator[Pages]:
    server, app = Pages(), web.Application()
    app.router.add_get("/{path:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
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
    informer = Informer(
        Cache(), Registry(), Collectors(), WorkQueue(lambda: 0.0), PollSchedule(), Containment(Metrics()), True
    )
    return Listing(cluster, informer, Metrics(), ("md",), "", 300)


def config(version: int, x: str) -> dict[str, Any]:
    annotations = {"marketcollector.dev/resource": "okx-btc"}
    meta = {"name": "a", "namespace": "md", "uid": "u", "resourceVersion": str(version), "annotations": annotations}
    return {"metadata": {**meta, **owned()}, "data": {"x": x}}


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


def resource(namespace: str) -> dict[str, Any]:
    return {"metadata": {"name": "okx-btc", "namespace": namespace, "uid": namespace, "resourceVersion": "1"}}


async def test_namespace_without_rights_is_left_out_and_reported(
    server: Server, listing: Listing, caplog: pytest.LogCaptureFixture
) -> None:
    listing.namespaces, server.refused = ("gone", "md"), {"gone": 403}
    server.objects["marketcollectors"] = [resource("md")]
    await listing.complete()
    assert listing.is_done
    assert [*listing.informer.registry] == [KEY]
    assert "403 Refused: no right" in str(listing.unserved["gone"])
    assert not listing.serves_nothing
    assert b'namespace_served{namespace="gone"} 0.0' in listing.metrics.render()
    assert b'namespace_served{namespace="md"} 1.0' in listing.metrics.render()
    assert "namespace gone cannot be served" in caplog.text


@pytest.mark.parametrize("others", [(), ("later",)])
async def test_namespace_is_served_again_when_it_is_back(
    server: Server, listing: Listing, monkeypatch: pytest.MonkeyPatch, others: tuple[str, ...]
) -> None:
    """The retry comes before the next complete listing, and queues what waits for a retry of its own."""
    listing.namespaces, server.refused = ("md", *others), {"md": 403}
    listing.informer.resource(resource("md"))
    await listing.informer.queue.take()
    listing.informer.queue.done(KEY)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        server.refused = {}
        slept.append(seconds)
        if len(slept) > 2:
            raise asyncio.CancelledError

    await listing.complete()
    assert listing.serves_nothing is not bool(others)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    server.objects["marketcollectors"] = [resource("md")]
    with pytest.raises(asyncio.CancelledError):
        await listing.run()
    assert listing.unserved == {}
    assert listing.informer.queue.depth == 1
    assert sum(slept) <= 30


async def test_missing_right_in_all_namespaces_ends_the_start(server: Server, listing: Listing) -> None:
    listing.namespaces, server.refused = (), {"configmaps": 403}
    with pytest.raises(ApiError, match="403 Refused"):
        await listing.complete()


async def test_failed_listing_of_one_namespace_stops_no_other(server: Server, listing: Listing) -> None:
    listing.namespaces, listing.interval = ("broken", "md"), 0.01
    await listing.complete()
    server.refused, server.objects["marketcollectors"] = {"broken": 503}, [resource("md")]
    running = asyncio.create_task(listing.run())
    while KEY not in listing.informer.registry:
        await asyncio.sleep(0)
    running.cancel()
    assert listing.unserved == {}, "time heals it"


async def test_list_that_a_proxy_has_compressed_is_read(server: Pages, listing: Listing) -> None:
    """Some do that although no compression is asked for."""
    server.is_compressed = True
    server.objects["configmaps"], server.version = [config(5, "x")], 5
    await listing.complete()
    assert listing.informer.cache.observe(KEY).children


@pytest.mark.parametrize("answer", [{}, {"metadata": {"resourceVersion": "1"}, "items": {}}, "text"])
async def test_answer_without_a_list_is_refused(server: Server, cluster: Cluster, answer: Any) -> None:
    server.answers["configmaps"] = answer
    with pytest.raises(ApiError, match="configmaps: the answer is no list of objects"):
        _ = [page async for page in cluster.list_managed(CONFIGMAPS, "md")]


async def test_watches_start_from_the_first_complete_listing(server: Server, listing: Listing) -> None:
    """A second listing of everything would double the load of a start. A watch that is out of date lists again."""
    server.version = 7
    await listing.complete()
    assert server.asked == Counter({kind.plural: 1 for kind in KINDS})
    server.version = 8
    assert [await listing.watch_from(kind, "md") for kind in KINDS] == [7] * len(KINDS)
    assert server.asked.total() == len(KINDS)
    assert [await listing.watch_from(kind, "md") for kind in KINDS] == [8] * len(KINDS)
    assert server.asked == Counter({kind.plural: 2 for kind in KINDS})


async def test_namespace_that_is_served_later_is_listed_before_watches(server: Server, listing: Listing) -> None:
    server.refused = {"md": 403}
    await listing.complete()
    server.refused, server.version = {}, 9
    await listing._list("md")
    asked = server.asked.total()
    assert await listing.watch_from(CONFIGMAPS, "md") == 9
    assert server.asked.total() == asked + 1


async def test_objects_that_cannot_be_handled_do_not_end_the_listing(
    server: Server, listing: Listing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who may create labelled objects could end the operator, again at each start."""
    headless = {"metadata": {"name": "nobody", "namespace": "md"}}
    unreadable = config(5, "x")
    unreadable["metadata"] |= {"name": "bad", "uid": "v", "resourceVersion": "6"}
    server.objects["configmaps"], server.version = [headless, unreadable, config(5, "x")], 7
    put = Cache.put

    def fail_once(cache: Cache, kind: str, document: Document, is_settled: bool = False) -> bool:
        if document["metadata"]["name"] == "bad":
            raise OverflowError
        return put(cache, kind, document, is_settled)

    monkeypatch.setattr(Cache, "put", fail_once)
    await listing.complete()
    assert [*listing.informer.cache.observe(KEY).children] == [("ConfigMap", "a")]
    assert "ConfigMap md/nobody: " in caplog.text
    text = listing.informer.containment._metrics.render().decode()
    assert 'contained_errors_total{kind="ConfigMap"} 2.0' in text


async def test_pages_of_large_objects_are_small(
    server: Pages, listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tenant's ConfigMaps with our labels. 100 of them in one page had 93 MB."""
    theirs = config(5, "")
    theirs["metadata"]["managedFields"] = [{"manager": "kubectl", "operation": "Apply"}]
    names = [{**theirs["metadata"], "name": str(number), "uid": str(number)} for number in range(40)]
    large = [{"metadata": meta, "data": {"x": "y" * 900_000}} for meta in names[:20]]
    small = [{"metadata": meta, "data": {"x": "y"}} for meta in names[20:]]
    monkeypatch.setattr(Listed, "document", lambda listed: pytest.fail(f"{listed.head} is read"))
    server.objects["configmaps"], server.is_paged = [*large, *small], True
    await listing.kind(CONFIGMAPS, "md")
    assert server.limits[:4] == [100, 25, 6, 1]
    assert server.limits[-1] > 10, "then they grow again"
    assert sum(server.limits[3:]) >= 40


async def test_one_listing_is_read_at_a_time(server: Server, listing: Listing, monkeypatch: pytest.MonkeyPatch) -> None:
    """kopf starts one for each kind in each namespace, all at once."""
    reading = most = 0
    lists = Listing._objects

    async def counted(self: Listing, kind: Kind, namespace: str | None) -> int:
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        found = await lists(self, kind, namespace)
        reading -= 1
        return found

    monkeypatch.setattr(Listing, "_objects", counted)
    server.version = 7
    assert await asyncio.gather(*(listing.kind(kind, "md") for kind in CHILDREN.values())) == [7] * len(CHILDREN)
    assert most == 1
