"""The door of the exchange: accepts TCP connections, and hands them on to TLS and HTTP, unless a fault leaves them there."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TypeAlias

from market_simulator.exchange import Exchange
from market_simulator.faults.connections import HalfOpen, Stage
from market_simulator.faults.turns import Turns

log = logging.getLogger("market_simulator")

Handlers: TypeAlias = Callable[[], asyncio.Protocol]
POLL = 0.02  # seconds


class Door(asyncio.Protocol):
    """One TCP connection until it is handed on. `handlers` makes what speaks HTTP on it."""

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
        # The client's first bytes belong to whoever the connection is handed on to.
        transport.pause_reading()
        doing = self._leave(transport, fault.turns) if fault else self._speak_tls(transport, self._tls)
        self._work = self._loop.create_task(doing)

    def connection_lost(self, error: Exception | None) -> None:
        if self._work is not None:
            self._work.cancel()

    async def _leave(self, transport: asyncio.Transport, turns: Turns) -> None:
        """Neither read nor write until the fault is over, and then end the connection."""
        while self._loop.time() < turns.until:
            await asyncio.sleep(POLL)
        transport.abort()

    async def _speak_tls(self, transport: asyncio.Transport, tls: ssl.SSLContext | None) -> None:
        assert tls is not None
        handler = self._handlers()
        try:
            spoken = await self._loop.start_tls(transport, handler, tls, server_side=True)
        except OSError as error:  # ssl.SSLError is one
            log.info("TLS handshake failed: %s", error)
            return
        if spoken is not None:  # None: the client has gone meanwhile
            handler.connection_made(spoken)

    def _hand_on(self, transport: asyncio.Transport, handler: asyncio.Protocol) -> None:
        transport.set_protocol(handler)
        handler.connection_made(transport)
