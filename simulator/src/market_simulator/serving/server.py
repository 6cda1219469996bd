"""The running simulator: sockets, clock and the loop that publishes events on time."""

import asyncio
import contextlib
import logging
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from math import ceil

from aiohttp import WSCloseCode, WSMsgType, web

from market_simulator.engine.dialect import Reply, RestRequest
from market_simulator.engine.events import Event
from market_simulator.engine.faults.calls import Rest, Status, Timeout
from market_simulator.engine.faults.connections import Ban, HalfOpen, Refuse, SlowRead, Stage
from market_simulator.engine.faults.messages import Skew
from market_simulator.engine.faults.turns import Turns
from market_simulator.engine.limits import Limit, Limiter
from market_simulator.serving.connection import Connection
from market_simulator.serving.door import POLL, Handlers
from market_simulator.serving.exchange import Exchange

log = logging.getLogger("market_simulator")

_GOING_AWAY = 1001
_LARGEST_REQUEST_BYTES = 64 * 1024
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING)
_LAST_DATA_RECEIVED = 52  # offset of `tcpi_last_data_recv`, milliseconds, in Linux's `struct tcp_info`
_TURN_EVENTS = 256  # events per turn of the loop, so that clients are served in between
_UNREAD_AT_MAX = 1 << 20  # with --speed max the market waits while a client has more than this unread


# -- the market's clock --------------------------------------------------------------------------------------------


async def run_market(exchange: Exchange) -> None:
    """Publish events on time until cancelled."""
    loop = asyncio.get_running_loop()
    coming = next(exchange.events)
    while True:
        await (_until_due(exchange, coming) if exchange.is_paced else _until_wanted(exchange))
        coming = _turn(exchange, coming, loop.time())
        exchange.hub.flush(loop.time())
        await asyncio.sleep(0)


def _turn(exchange: Exchange, coming: Event, now: float) -> Event:
    """Publish the events that are due, at most one turn of them. Returns the first event that has to wait."""
    due_us = exchange.now_us(now) if exchange.is_paced else sys.maxsize
    for _ in range(_TURN_EVENTS):
        if coming.time_us > due_us:
            break
        exchange.happen(coming, now)
        coming = next(exchange.events)
    return coming


async def _until_due(exchange: Exchange, coming: Event) -> None:
    moment = exchange.started + (coming.time_us - exchange.origin_us) / 1_000_000
    delay = moment - asyncio.get_running_loop().time()
    if delay > 0:
        await asyncio.sleep(delay)


async def _until_wanted(exchange: Exchange) -> None:
    """Wait for a subscriber, and until all clients have read most of their data."""
    hub = exchange.hub
    # Polling, because aiohttp owns the transport and is the only one notified when its buffer shrinks.
    while not hub.wanted or any(c.unsent_bytes > _UNREAD_AT_MAX for c in hub.connections.values()):
        await asyncio.sleep(0.002)


async def watch_connections(exchange: Exchange) -> None:
    """Ping connections and close silent ones, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(min(1.0, exchange.options.silence_limit / 10))
        exchange.hub.tick(loop.time())


# -- HTTP ----------------------------------------------------------------------------------------------------------

EXCHANGE: web.AppKey[Exchange] = web.AppKey("exchange", Exchange)
_HANDSHAKES: web.AppKey[Limiter] = web.AppKey("handshakes", Limiter)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def client_may_leave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer nothing to a client that has left before its answer. aiohttp would log a traceback."""
    try:
        return await handler(request)
    except ConnectionResetError:
        return web.Response()  # never sent, because the connection has ended


def application(exchange: Exchange) -> web.Application:
    """The exchange's port with WebSocket and REST."""
    app = web.Application(middlewares=[client_may_leave])
    app[EXCHANGE] = exchange
    app[_HANDSHAKES] = Limiter()
    for route in exchange.dialect.routes:
        app.router.add_get(route, _websocket)
    app.router.add_get(exchange.dialect.rest_prefix + "{call:.*}", _rest)
    return app


async def _rest(request: web.Request) -> web.Response:
    exchange, now = request.app[EXCHANGE], asyncio.get_running_loop().time()
    symbol = exchange.frontend.symbol(request.path, request.query)
    fault = exchange.faults.next(Rest, now, lambda fault: fault.meets(request.path, symbol))
    ban, skew = _ban(exchange, now), exchange.faults.next(Skew, now)
    call = RestRequest(
        request.path, request.query, request.remote or "", now, exchange.now_us(now) // 1000,
        exchange.view(symbol, now), ban or (fault.how if fault else None),
        request.query_string,
        request.headers,
        round(skew.seconds * 1000) if skew else 0,
    )  # fmt: skip
    reply = _exclusion(exchange, now) or exchange.frontend.rest(call)
    is_answered = not isinstance(call.how, Timeout)
    exchange.hub.counters.called(request.path, str(reply.status) if is_answered else "timeout")
    if isinstance(call.how, Timeout):
        await _wait_for_disconnect(request, Turns(until=now + call.how.timeout))
    body = skew.shifted(reply.body) if skew else reply.body
    headers = {**reply.headers, **_end_of(ban)}
    return web.Response(status=reply.status, text=body, content_type="application/json", headers=headers)


def _ban(exchange: Exchange, now: float) -> Status | None:
    fault = exchange.faults.next(Ban, now)
    if fault is None or fault.region:
        return None
    return Status(fault.status, ceil(fault.turns.until - now))


def _exclusion(exchange: Exchange, now: float) -> Reply | None:
    fault = exchange.faults.next(Ban, now)
    return Reply(fault.status, exchange.dialect.exclusion.body) if fault and fault.region else None


def _end_of(ban: Status | None) -> dict[str, str]:
    """The header that says when a ban ends."""
    return {"Retry-After": str(ban.retry_after)} if ban and ban.retry_after else {}


async def _websocket(request: web.Request) -> web.StreamResponse:
    exchange, now = request.app[EXCHANGE], asyncio.get_running_loop().time()
    path = exchange.dialect.path(request.path)
    if refusal := _refusal(request, path, exchange, now):
        exchange.hub.counters.refused_handshakes += 1
        return web.Response(status=refusal.status, text=refusal.body, headers=refusal.headers)
    if fault := exchange.faults.next(HalfOpen, now, lambda fault: _is_unanswered(fault, path)):
        await _wait_for_disconnect(request, fault.turns)
        return web.Response(status=503, text="")  # never sent, because the connection has ended
    websocket = web.WebSocketResponse(
        timeout=1.0, autoping=False, autoclose=False, heartbeat=None, compress=False,
        max_msg_size=_LARGEST_REQUEST_BYTES,
    )  # fmt: skip
    await websocket.prepare(request)
    transport = request.transport
    if not isinstance(transport, asyncio.Transport):
        return websocket  # the client disconnected during the handshake
    peer = _peer(transport)
    session = exchange.frontend.session(exchange.hub.new_id(), request.path_qs)
    connection = Connection(session, websocket, transport, peer, opened=now, alive=now)
    exchange.hub.join(connection)
    exchange.hub.follow(connection, session.opened(now, exchange), now)
    log.info("connection %s from %s to %s opened", session.id, peer, request.path)
    try:
        await _receive(exchange, connection)
        if connection.is_dead:
            await _wait_for_disconnect(request, Turns())
    finally:
        exchange.hub.leave(connection)
        log.info("connection %s ended with code %s", session.id, websocket.close_code)
    return websocket


def _is_unanswered(fault: HalfOpen, path: str) -> bool:
    return fault.stage is Stage.HANDSHAKE and fault.path in (None, path)


async def _wait_for_disconnect(request: web.Request, turns: Turns) -> None:
    """Wait until the client disconnects, or cut it off when the fault is over."""
    loop = asyncio.get_running_loop()
    # Polling, because aiohttp does not notify a handler that neither reads nor writes.
    while (transport := request.transport) is not None and not transport.is_closing():
        if loop.time() >= turns.until:
            transport.abort()
        await asyncio.sleep(POLL)


def _peer(transport: asyncio.Transport) -> str:
    host, port, *_ = transport.get_extra_info("peername") or ("unknown", 0)
    return f"{host}:{port}"


def _refusal(request: web.Request, path: str, exchange: Exchange, now: float) -> Reply | None:
    if exclusion := _exclusion(exchange, now):
        return exclusion
    if ban := _ban(exchange, now):
        return Reply(ban.status, "", _end_of(ban))
    if fault := exchange.faults.next(Refuse, now, lambda fault: fault.path in (None, path)):
        return Reply(fault.status, "")
    limit = exchange.options.connection_limit
    allowed = not limit or request.app[_HANDSHAKES].allows(
        Limit(limit, exchange.dialect.connection_window), request.remote or "", _arrival(request, now)
    )
    if not allowed:
        exchange.hub.counters.exceed("connections")
    return None if allowed else Reply(429, "")


def _arrival(request: web.Request, now: float) -> float:
    """The time at which the handshake reached this machine. A busy simulator reads some at once that came one by one."""
    assert request.transport is not None
    tcp = request.transport.get_extra_info("socket")
    (waited_ms,) = struct.unpack_from(
        "=I", tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 64), _LAST_DATA_RECEIVED
    )
    return now - float(waited_ms) / 1000


async def _receive(exchange: Exchange, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    async for message in connection.websocket:
        if connection.is_dead:
            return
        if message.type in _DATA:
            await _read_slowly(exchange, connection, len(message.data))
        if message.type is WSMsgType.TEXT:
            exchange.hub.received(connection, message.data, loop.time(), exchange)
        elif message.type is WSMsgType.BINARY:
            exchange.hub.received(connection, message.data.decode("utf-8", "replace"), loop.time(), exchange)
        elif message.type is WSMsgType.PING:
            exchange.hub.pinged(connection, message.data, loop.time())
        elif message.type is WSMsgType.PONG:
            exchange.hub.ponged(connection, loop.time())
        elif message.type is WSMsgType.ERROR and getattr(message.data, "code", None) == WSCloseCode.MESSAGE_TOO_BIG:
            exchange.hub.counters.exceed("bytes of a request")


async def _read_slowly(exchange: Exchange, connection: Connection, size: int) -> None:
    now = asyncio.get_running_loop().time()
    fault = exchange.faults.next(SlowRead, now, lambda fault: fault.path in (None, connection.session.path))
    if fault is not None:
        await asyncio.sleep(size / fault.bytes_per_second)


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, host: str, port: int, door: Callable[[Handlers], Handlers] = lambda handlers: handlers
) -> AsyncIterator[int]:
    """Serve an application inside the context, and yield its port. Port 0 selects a free one.

    `door` wraps the protocol factory, so that it can intercept TCP connections.

    Raises:
        OSError: The address is not available.
    """
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        assert runner.server is not None  # set by setup
        listener = await asyncio.get_running_loop().create_server(door(runner.server), host, port)
        with contextlib.closing(listener):
            yield int(listener.sockets[0].getsockname()[1])
    finally:
        await runner.cleanup()


async def serve_until(exchange: Exchange, stop: asyncio.Event) -> None:
    """Run the market until `stop` is set, then close all connections."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(run_market(exchange)), tasks.create_task(watch_connections(exchange))]
        await stop.wait()
        for task in running:
            task.cancel()
    await exchange.hub.close_all(_GOING_AWAY, "")
