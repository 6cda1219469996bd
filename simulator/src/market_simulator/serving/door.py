"""Accepts TCP connections and hands them to TLS and HTTP, unless a half-open fault holds them."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TypeAlias

from market_simulator.engine.faults.connections import HalfOpen, Stage
from market_simulator.engine.faults.turns import Turns
from market_simulator.serving.exchange import Exchange

log = logging.getLogger("market_simulator")

Handlers: TypeAlias = Callable[[], asyncio.Protocol]
POLL = 0.02  # seconds


class Door(asyncio.Protocol):
    """One TCP connection until the handover. `handlers` creates the HTTP protocol."""

    def __init__(self, exchange: Exchange, handlers: Handlers, tls: ssl.SSLContext | None) -> None:
        self._exchange, self._handlers, self._tls = exchange, handlers, tls
        self._loop = asyncio.get_running_loop()
        self._work: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        fault = self._exchange.faults.next(HalfOpen, self._loop.time(), lambda fault: fault.stage is Stage.TCP)
        if fault is None and self._tls is None:
            self._hand_on(transport, self._handlers())
            return
        # The client's first bytes belong to the next protocol.
        transport.pause_reading()
        work = self._hold(transport, fault.turns) if fault else self._start_tls(transport, self._tls)
        self._work = self._loop.create_task(work)

    def connection_lost(self, error: Exception | None) -> None:
        if self._work is not None:
            self._work.cancel()

    async def _hold(self, transport: asyncio.Transport, turns: Turns) -> None:
        """Neither read nor write until the fault is over, then close the connection."""
        while self._loop.time() < turns.until:
            await asyncio.sleep(POLL)
        transport.abort()

    async def _start_tls(self, transport: asyncio.Transport, tls: ssl.SSLContext | None) -> None:
        assert tls is not None
        handler = self._handlers()
        try:
            encrypted = await self._loop.start_tls(transport, handler, tls, server_side=True)
        except OSError as error:  # includes ssl.SSLError
            log.info("TLS handshake failed: %s", error)
            return
        if encrypted is not None:  # None: the client disconnected in the meantime
            handler.connection_made(encrypted)

    def _hand_on(self, transport: asyncio.Transport, handler: asyncio.Protocol) -> None:
        transport.set_protocol(handler)
        handler.connection_made(transport)
