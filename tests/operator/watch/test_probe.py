"""Reading a collector's status from real servers on loopback addresses, where port 8080 is free."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from market_operator.cluster.client import Cluster
from market_operator.errors import ReportError
from market_operator.observed.pods import Pod
from market_operator.resource.naming import HTTP_PORT
from market_operator.watch.answers import LARGEST
from market_operator.watch.probe import Direct, Proxied, reader

ADDRESS = "127.78.0.1"


class Collector:
    """A server that answers what a test says."""

    status, body, delay, encoding = 200, "", 0.0, ""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        await asyncio.sleep(self.delay)
        headers = {"Content-Encoding": self.encoding} if self.encoding else {}
        return web.Response(status=self.status, body=self.body.encode(), headers=headers)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    served, app = Collector(), web.Application()
    app.router.add_get("/{path:.*}", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, HTTP_PORT).start()
    yield served
    await runner.cleanup()


@pytest.fixture
async def direct() -> AsyncIterator[Direct]:
    made = Direct(4)
    yield made
    await made.close()


@pytest.fixture
def here(pod: Callable[..., Pod]) -> Pod:
    return replace(pod(), ip=ADDRESS)


async def test_a_report_is_read(
    direct: Direct, collector: Collector, here: Pod, report_document: Callable[..., Any]
) -> None:
    collector.body = json.dumps(report_document(streams=[{"stream": f"C{n}-USDT/trade"} for n in range(3000)]))
    found = await direct.read(here)
    assert (found.counters.messages, len(found.streams)) == (10, 3000)


async def test_pod_with_only_ipv6_is_probed(
    direct: Direct, here: Pod, report_document: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.json_response(report_document())

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "::1", 0).start()
    monkeypatch.setattr("market_operator.watch.probe.HTTP_PORT", runner.addresses[0][1])
    assert (await direct.read(replace(here, ip="::1"))).counters.messages == 10
    await runner.cleanup()


async def test_invalid_answer_is_refused_with_the_request(direct: Direct, collector: Collector, here: Pod) -> None:
    collector.body = "<html>"
    with pytest.raises(ReportError, match=rf"GET http://{ADDRESS}:8080/status is invalid: it is no JSON"):
        await direct.read(here)


async def test_refused_request_is_reported_with_its_status(direct: Direct, collector: Collector, here: Pod) -> None:
    collector.status = 500
    with pytest.raises(ReportError, match="was answered with status 500"):
        await direct.read(here)


async def test_probe_of_an_unresponsive_pod_times_out(
    direct: Direct, collector: Collector, here: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct._session, "_timeout", aiohttp.ClientTimeout(total=0.05))
    collector.delay = 5.0
    with pytest.raises(ReportError, match="no answer within"):
        await direct.read(here)


async def test_closed_port_is_reported(direct: Direct, pod: Callable[..., Pod]) -> None:
    with pytest.raises(ReportError, match=r"GET http://127\.78\.0\.2:8080/status failed"):
        await direct.read(replace(pod(), ip="127.78.0.2"))


@pytest.mark.parametrize(
    ("via", "in_a_pod", "expected"),
    [("direct", False, Direct), ("proxy", True, Proxied), ("auto", True, Direct), ("auto", False, Proxied)],
)
async def test_probe_method_depends_on_where_the_operator_runs(
    monkeypatch: pytest.MonkeyPatch, via: Any, in_a_pod: bool, expected: type
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1" if in_a_pod else "")
    nobody: Any = None
    made = reader(via, nobody, 4)
    assert isinstance(made, expected)
    await made.close()


async def test_no_compressed_answer_is_asked_for_or_read(direct: Direct, collector: Collector, here: Pod) -> None:
    collector.encoding = "gzip"
    with pytest.raises(ReportError, match="is invalid: it is compressed"):
        await direct.read(here)
    assert collector.asked[0].headers["Accept-Encoding"] == "identity"


@pytest.fixture
async def proxied(collector: Collector) -> AsyncIterator[Proxied]:
    """A stand-in for the API server, which passes on what a pod answers."""
    configuration = Configuration(host=f"http://{ADDRESS}:{HTTP_PORT}")
    cluster = Cluster(configuration, None)
    yield Proxied(cluster)
    await cluster.close()


async def test_a_report_is_read_through_the_api_server(
    proxied: Proxied, collector: Collector, here: Pod, report_document: Callable[..., Any]
) -> None:
    collector.body = json.dumps(report_document())
    assert (await proxied.read(here)).counters.messages == 10
    assert collector.asked[0].path == f"/api/v1/namespaces/md/pods/{here.name}:8080/proxy/status"


async def test_hostile_answers_through_the_api_server_are_refused(
    proxied: Proxied, collector: Collector, here: Pod
) -> None:
    collector.body = "x" * (LARGEST + 1)
    with pytest.raises(ReportError, match="is invalid: it has"):
        await proxied.read(here)
    collector.encoding = "gzip"
    with pytest.raises(ReportError, match="is invalid: it is compressed"):
        await proxied.read(here)
    collector.status, collector.encoding = 503, ""
    with pytest.raises(ReportError, match="through the API server failed: 503 HTTP503"):
        await proxied.read(here)
