"""Reconnects after a close frame depend on its meaning, which the exchange knows."""

import pytest

from imaginary_exchange import ImaginaryExchange
from imaginary_server import collection, imaginary_server, trades
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import Closing
from market_collector.model.streams import ConnectionState
from market_collector.net.clock import read_clock
from scripted_exchange import scripted_exchange

CLOSINGS = {"too many requests": Closing.TOO_MANY, "slow consumer": Closing.SLOW_READER}


@pytest.mark.parametrize(
    ("text", "shortest_s", "closing"),
    [
        ("too many requests", 1.0, Closing.TOO_MANY),
        ("slow consumer", 0.0, Closing.SLOW_READER),
        ("restart", 0.0, Closing.OTHER),
    ],
)
async def test_delay_is_long_when_the_exchange_complains_about_requests(
    text: str, shortest_s: float, closing: Closing
) -> None:
    """The longest delay is 2 s, so a long one has at least 1 s, and others at most 20 ms."""
    async with (
        imaginary_server() as server,
        collection(
            ImaginaryExchange(closings=CLOSINGS),
            *trades("A-B"),
            websocket=server.websocket,
            backoff_initial_s=0.02,
            backoff_max_s=2.0,
        ) as running,
    ):
        await running.is_complete()
        await server.clients[0].peer.close(1008, text)
        await running.comes(lambda: len(server.clients) == 2)
        assert server.clients[1].opened_at - server.clients[0].ended_at >= shortest_s
        assert [each for each in Closing if running.supervisor.closes(each)] == [closing]


@pytest.mark.parametrize(("status", "problem"), [(451, "RegionRestricted"), (418, ""), (503, "")])
async def test_handshake_refused_by_region_is_repeated_rarely(status: int, problem: str) -> None:
    """The exchange's REST API knows the answer. Other delays have at most 100 ms."""
    with scripted_exchange(refuse=status) as server:
        exchange = ImaginaryExchange(rest_api=EXCHANGES["binance"].rest_api)
        async with collection(exchange, *trades("A-B"), websocket=server.websocket) as running:
            (link,) = running.supervisor.links
            await running.comes(lambda: link.state is ConnectionState.BACKOFF)
            assert link.problem == problem
            assert f"{problem}: ws://".removeprefix(": ") in link.reason
            assert f"HTTP {status}" in link.reason
            assert link.machine.wake_at is not None
            assert (link.machine.wake_at - read_clock().at > 500) is bool(problem)
