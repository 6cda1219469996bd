"""Dials wait in line, and for their turn."""

import asyncio
import random
import socket
import time

import pytest

from imaginary_exchange import ImaginaryExchange
from imaginary_server import collection, imaginary_server, trades
from market_collector.errors import ConnectionFailedError
from market_collector.exchanges.interface import MAX_MESSAGE_BYTES, Limits, Route, Window
from market_collector.net.backoff import RETRY_AFTER_MAX_S
from market_collector.net.clock import read_clock
from market_collector.net.deadlines import Deadlines
from market_collector.net.dialer import Dialer
from market_collector.net.rate_limit import RateLimit
from scripted_exchange import scripted_exchange


def dialer(websocket: str, open_s: float = 30.0, limit: RateLimit | None = None) -> Dialer:
    limit = limit or RateLimit(Window(1000, 1.0), random.Random(7))
    deadlines = Deadlines(open_s=open_s, close_s=0.1)
    return Dialer(
        websocket,
        tls=None,
        rate_limit=limit,
        max_message_bytes=MAX_MESSAGE_BYTES,
        deadlines=deadlines,
        clock=read_clock,
    )


def ignore(frames: list[bytes]) -> None:
    """Discard all data."""


async def test_one_at_a_time() -> None:
    """Two that get no answer take twice as long as one."""
    with socket.create_server(("127.0.0.1", 0)) as unresponsive:
        one = dialer(f"ws://127.0.0.1:{unresponsive.getsockname()[1]}", open_s=0.2)
        start = time.monotonic()
        results = await asyncio.gather(*(one.dial("/ws", ignore) for _ in range(2)), return_exceptions=True)
        assert all(isinstance(result, ConnectionFailedError) for result in results)
        assert time.monotonic() - start >= 0.4


async def test_one_who_gives_up_waiting_does_not_hold_up_the_line() -> None:
    with scripted_exchange(greets=False) as exchange:
        one = dialer(exchange.websocket + "/")
        first, second = (asyncio.create_task(one.dial("/ws", ignore)) for _ in range(2))
        await asyncio.sleep(0.02)
        first.cancel()
        exchange.greets = True
        connection = await second
        assert first.cancelled()
        connection.end("done")
        await connection.ended()


@pytest.mark.parametrize("status", [429, 418])
async def test_all_callers_wait_for_retry_after_when_rate_limited(status: int) -> None:
    with scripted_exchange(refuse=status, headers={"Retry-After": "1"}) as exchange:
        one = dialer(exchange.websocket)
        with pytest.raises(ConnectionFailedError, match=f"HTTP {status}") as refusal:
            await one.dial("/ws", ignore)
        assert (refusal.value.status, refusal.value.retry_after_s) == (status, 1.0)
        exchange.refuse = None
        connection = await one.dial("/ws", ignore)
        assert exchange.handshakes[1] - exchange.handshakes[0] >= 1.0
        connection.end("done")
        await connection.ended()


async def test_callers_wait_no_longer_than_a_rate_limit_lasts() -> None:
    with scripted_exchange(refuse=429, headers={"Retry-After": "86400"}) as exchange:
        one = dialer(exchange.websocket)
        with pytest.raises(ConnectionFailedError, match="HTTP 429"):
            await one.dial("/ws", ignore)
        wait_s = one._rate_limit.reserve(read_clock().at)
        assert RETRY_AFTER_MAX_S - 5.0 < wait_s <= RETRY_AFTER_MAX_S


async def test_collector_that_waits_for_its_turn_heeds_the_refusal_of_another() -> None:
    with scripted_exchange() as exchange:
        limit = RateLimit(Window(2, 1.0), random.Random(7))
        limit.reserve(time.monotonic())  # the turn of another collector
        waiting = asyncio.create_task(dialer(exchange.websocket, limit=limit).dial("/ws", ignore))
        await asyncio.sleep(0)  # it reserves its turn
        held_until = time.monotonic() + 1.0
        limit.hold(held_until)
        connection = await waiting
        assert exchange.handshakes[0] >= held_until
        connection.end("done")
        await connection.ended()


async def test_larger_message_than_the_exchange_sends_ends_the_connection() -> None:
    async with imaginary_server() as server:
        limits = Limits(dial=Window(1000, 1.0), max_message_bytes=100_000)
        async with collection(ImaginaryExchange(limits=limits), *trades("A-B"), websocket=server.websocket) as running:
            await running.is_complete()
            await server.tell(server.clients[0], {"pong": "x" * 90_000})
            await running.comes(lambda: running.supervisor.links[0].pongs_received == 1)
            await server.tell(server.clients[0], {"pong": "x" * 100_000})
            await running.comes(lambda: running.supervisor.reconnections == 1)
            assert running.supervisor.last_reconnect is not None
            assert "at most 100,000 are accepted" in running.supervisor.last_reconnect.reason


async def test_collectors_of_a_process_share_the_window_of_dials() -> None:
    """Eight connections: three at once, the others at a distance, and never more than six in two seconds."""
    window = Window(6, 2.0, burst=3)
    exchange = ImaginaryExchange(limits=Limits(dial=window), routes={"all": Route(streams_per_connection=1)})
    streams = trades("A-B", "C-D", "E-F", "G-H")
    async with (
        imaginary_server() as server,
        collection(exchange, *streams, websocket=server.websocket) as one,
        collection(exchange, *streams, websocket=server.websocket) as other,
    ):
        await one.is_complete()
        await other.is_complete()
        times = [client.opened_at for client in server.clients]
    assert len(times) == 8
    assert all(later - earlier > window.seconds - 0.6 for earlier, later in zip(times, times[6:], strict=False))
    assert times[2] - times[0] < 1.0
