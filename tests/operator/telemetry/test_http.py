import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from market_operator.telemetry.http import application, serve
from market_operator.telemetry.metrics import Metrics


class Problems:
    live = ""
    ready = "the first listing is not complete"


@pytest.fixture
async def served() -> AsyncIterator[tuple[str, Problems]]:
    problems = Problems()
    runner = await serve(application(lambda: problems.live, lambda: problems.ready, Metrics()), "127.0.0.1", 0)
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


async def test_metrics_are_in_prometheus_format(served: tuple[str, Problems]) -> None:
    status, text = await get(f"{served[0]}/metrics")
    assert status == 200
    assert "# TYPE market_operator_is_leader gauge" in text
