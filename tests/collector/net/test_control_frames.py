"""A quiet connection lives by the exchange's ping frames, if those are its heartbeat."""

import time

from imaginary_exchange import ImaginaryExchange
from imaginary_server import collection, imaginary_server, trades
from market_collector.exchanges.interface import Heartbeat, HeartbeatKind

EXCHANGE = ImaginaryExchange(heartbeat=Heartbeat(HeartbeatKind.CONTROL_FRAMES, dead_after_s=2.5))


async def test_quiet_connection_lives_while_ping_frames_arrive() -> None:
    async with (
        imaginary_server(pings_every_s=0.2) as server,
        collection(EXCHANGE, *trades("A-B"), websocket=server.websocket) as running,
    ):
        await running.is_complete()
        ((opened_at, _),) = server.clients[0].frames
        await running.comes(lambda: time.monotonic() - opened_at > 5.0)
        assert len(server.clients) == 1
        assert server.clients[0].peer.latency > 0, "its pings were answered"


async def test_quiet_connection_without_ping_frames_is_replaced() -> None:
    async with (
        imaginary_server() as server,
        collection(EXCHANGE, *trades("A-B"), websocket=server.websocket) as running,
    ):
        await running.comes(lambda: running.supervisor.reconnections == 1)
        assert running.supervisor.last_reconnect is not None
        assert running.supervisor.last_reconnect.reason == "no control frames for 2.5 s"
