import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from market_operator.telemetry import http
from market_operator.telemetry.http import application, serve
from market_operator.telemetry.metrics import Metrics


class Problems:
    live = ""
    ready = "the first listing is not complete"
    partly = ""


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Problems]]:
    problems = Problems()
    app = application(lambda: problems.live, lambda: problems.ready, Metrics(), lambda: problems.partly)
    runner = await serve(app, "127.0.0.1", 0)
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", problems
    await runner.cleanup()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        found = response.status, await response.text()
    await asyncio.sleep(0)
    return found


async def test_probe_endpoints_name_the_problem(served: tuple[str, Problems]) -> None:
    address, problems = served
    assert await get(f"{address}/readyz") == (503, "the first listing is not complete\n")
    problems.ready = ""
    assert await get(f"{address}/readyz") == (200, "ok\n")
    problems.live = "a worker has been busy"
    assert await get(f"{address}/livez") == (503, "a worker has been busy\n")


async def test_problem_of_a_part_shows_and_does_not_fail_the_probe(served: tuple[str, Problems]) -> None:
    address, problems = served
    problems.ready, problems.partly = "", "not served: ob-b: 403 Forbidden"
    assert await get(f"{address}/readyz") == (200, "ok\nnot served: ob-b: 403 Forbidden\n")
    assert await get(f"{address}/livez") == (200, "ok\n")


async def test_metrics_are_in_prometheus_format(served: tuple[str, Problems]) -> None:
    status, text = await get(f"{served[0]}/metrics")
    assert status == 200
    assert "# TYPE market_operator_is_leader gauge" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_all_addresses_are_those_of_both_families(host: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runner = await serve(application(lambda: "", lambda: "", Metrics()), host, port)
    assert sorted(address[0] for address in runner.addresses) == ["0.0.0.0", "::"]
    await runner.cleanup()


async def half_request(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = address.removeprefix("http://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /metrics HTTP/1.1\r\nX: a")
    return reader, writer


async def test_half_a_request_is_ended(served: tuple[str, Problems], monkeypatch: pytest.MonkeyPatch) -> None:
    """Such connections stayed open forever."""
    monkeypatch.setattr(http, "CONNECTION_S", 0.2)
    reader, writer = await half_request(served[0])
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_requests_are_answered_while_half_ones_come(
    served: tuple[str, Problems], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 16)
    halves = [await half_request(served[0]) for _ in range(100)]
    assert await get(f"{served[0]}/livez") == (200, "ok\n")
    ends = [asyncio.create_task(reader.read()) for reader, _ in halves]
    await asyncio.sleep(0.2)
    assert sum(not end.done() for end in ends) <= 16
    for end in ends:
        end.cancel()
    for _, writer in halves:
        writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/livez", 405), ("HEAD", "/livez", 200)]
)
async def test_other_requests_are_refused(served: tuple[str, Problems], method: str, path: str, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.request(method, served[0] + path) as response:
        assert response.status == status
        assert response.headers["Connection"] == "close"
