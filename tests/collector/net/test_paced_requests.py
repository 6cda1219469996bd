"""A server with limits gets all requests, at the start and after all connections were lost, and refuses none."""

from functools import partial

import pytest

from imaginary_exchange import ImaginaryExchange
from imaginary_server import ImaginaryServer, collection, imaginary_server, trades
from market_collector.exchanges.interface import Limits, Route, Window
from market_collector.net.deadlines import Deadlines

STREAMS = trades(*(f"S{number}-USDT" for number in range(36)))
ROUTES = {"all": Route(streams_per_connection=12)}
DIAL = Window(1000, 1.0)


def has_connections(server: ImaginaryServer, count: int) -> bool:
    return len(server.clients) == count


async def close_all(server: ImaginaryServer) -> None:
    for client in list(server.clients):
        await client.peer.close(1012, "restart")


@pytest.mark.parametrize(
    ("limits", "served"),
    [
        (Limits(dial=DIAL, frames_per_s=8.0), {"frames_per_s": 10}),
        (Limits(dial=DIAL, one_request_at_a_time=True), {"answers_after_s": 0.02}),
        (Limits(dial=DIAL, frames_per_s=50.0, one_request_at_a_time=True), {"answers_after_s": 0.001}),
    ],
    ids=["frames per second", "one request at a time", "both"],
)
async def test_server_refuses_no_request_of_a_mass_reconnect(limits: Limits, served: dict[str, float]) -> None:
    exchange = ImaginaryExchange(limits=limits, routes=ROUTES, streams_per_request=1)
    async with (
        imaginary_server(**served) as server,
        collection(exchange, *STREAMS, websocket=server.websocket) as running,
    ):
        for connections in (3, 6):
            await running.comes(partial(has_connections, server, connections))
            await running.is_complete()
            assert server.refused == []
            clients = server.clients[-3:]
            assert sum(len(client.streams) for client in clients) == len(STREAMS)
            assert all(client.frames[-1][0] - client.frames[0][0] < 8.0 for client in clients), "waits for a tick"
            await close_all(server)


async def test_slow_pace_is_no_unanswered_request(caplog: pytest.LogCaptureFixture) -> None:
    """The requests take longer than the deadline of a single one."""
    exchange = ImaginaryExchange(limits=Limits(dial=DIAL, frames_per_s=10.0), streams_per_request=1)
    async with (
        imaginary_server() as server,
        collection(
            exchange, *STREAMS[:12], websocket=server.websocket, deadlines=Deadlines(subscribe_s=0.5)
        ) as running,
    ):
        await running.is_complete()
        assert len(server.clients) == 1
    assert "no answer to subscribe" not in caplog.text
