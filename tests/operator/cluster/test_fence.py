"""The fence of each write: checked when the call starts, and again when its body is sent."""

from collections.abc import AsyncIterator, Callable

import pytest
from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from market_operator.cluster.client import Cluster
from market_operator.errors import ApiError, LeadershipError
from market_operator.telemetry.http import serve

EVENT = {"metadata": {"namespace": "md", "name": "e"}}
Server = tuple[str, list[str]]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """An API server that accepts every request and records it."""
    came: list[str] = []

    async def take(request: web.BaseRequest) -> web.Response:
        came.append(request.method)
        return web.json_response({})

    runner = await serve(take, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", came
    await runner.cleanup()


def fence(still_leads: int) -> Callable[[], float]:
    """A fence that passes the given number of checks."""
    asked = iter(range(10))

    def ask() -> float:
        if next(asked) < still_leads:
            return 5.0
        raise LeadershipError("it ran out")

    return ask


@pytest.fixture
async def cluster(server: Server) -> AsyncIterator[Cluster]:
    cluster = Cluster(Configuration(host=server[0]), None)
    yield cluster
    await cluster.close()


async def test_a_write_is_sent_while_the_lease_holds(server: Server, cluster: Cluster) -> None:
    cluster.fence = fence(2)
    await cluster.create_event(EVENT)
    assert server[1] == ["POST"]


@pytest.mark.parametrize("still_leads", [0, 1])
async def test_a_write_is_not_sent_when_the_lease_ran_out_on_the_way(
    still_leads: int, server: Server, cluster: Cluster
) -> None:
    cluster.fence = fence(still_leads)
    with pytest.raises((ApiError, LeadershipError), match="it ran out"):
        await cluster.create_event(EVENT)
    assert server[1] == []
