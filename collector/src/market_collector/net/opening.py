"""Opens WebSocket connections: name, TCP, proxy, TLS and handshake, over all addresses of the name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from market_collector.errors import ConnectionFailedError, InputError
from market_collector.exchanges.interface import MAX_MESSAGE_BYTES
from market_collector.net.addresses import Address, connect_tcp, first_connected, resolve, words
from market_collector.net.connection import Connection, Frames
from market_collector.net.proxy import open_tunnel, proxy_for

if TYPE_CHECKING:
    pass


async def open_connection(
    url: str,
    on_frames: Frames,
    *,
    tls: ssl.SSLContext | None,
    timeout_s: float = 10.0,
    close_timeout_s: float = 2.0,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
) -> Connection:
    """Open a WebSocket connection, through the proxy that the environment sets for it.

    The name's resolution and each address of the name (or of the proxy's) have ``timeout_s`` seconds.

    Raises:
        ConnectionFailedError: name resolution, TCP, the proxy, TLS or the handshake failed, or took longer.
        InputError: the address is not a WebSocket address, or the proxy's address is invalid.
    """
    try:
        uri = parse_uri(url)
    except InvalidURI as error:
        raise InputError(f"{url!r} is not a WebSocket address; allowed: ws://host:port or wss://host:port") from error
    make = partial(Connection, uri, on_frames, close_timeout_s=close_timeout_s, max_message_bytes=max_message_bytes)
    opening = _Opening(uri, make, tls if uri.secure else None, timeout_s)
    try:
        return await opening.run()
    except ConnectionFailedError as error:
        message = f"{url}: {error}"
        raise ConnectionFailedError(
            message, status=error.status, retry_after_s=error.retry_after_s, body=error.body
        ) from error
    except OSError as error:
        raise ConnectionFailedError(f"{url}: {words(error)}") from error


class _Opening:
    """One connection that is being opened; only the first handshake that succeeds is used."""

    def __init__(
        self, uri: WebSocketURI, make: Callable[..., Connection], tls: ssl.SSLContext | None, timeout_s: float
    ) -> None:
        """Take ``make``, which makes a `Connection` with a ``claim``."""
        self._uri = uri
        self._make = make
        self._tls = tls
        self._timeout_s = timeout_s
        self._proxy = proxy_for(uri)
        self._winner: Connection | None = None

    async def run(self) -> Connection:
        host, port = (self._proxy.host, self._proxy.port) if self._proxy else (self._uri.host, self._uri.port)
        try:
            return await first_connected(await self._addresses(host, port), self._connect)
        except BaseException as error:  # also when cancelled just as the server answered: the connection has no owner
            if self._winner is not None:
                self._winner.abort()
            if self._proxy and isinstance(error, OSError):
                raise OSError(f"proxy {host}:{port}: {words(error)}") from error
            raise

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await resolve(host, port)
        except TimeoutError as error:
            raise OSError(f"{host} was not resolved within {self._timeout_s:g} s") from error

    async def _connect(self, address: Address, accepted: asyncio.Event) -> Connection:
        connection = self._make(claim=self._claim)
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._shake_hands(connection, address, accepted)
        except BaseException as error:
            connection.abort()
            if isinstance(error, TimeoutError) and not error.errno:
                raise self._late(connection) from error
            raise
        return connection

    async def _shake_hands(self, connection: Connection, address: Address, accepted: asyncio.Event) -> None:
        way = await connect_tcp(address)
        accepted.set()
        try:
            if self._proxy:
                await open_tunnel(way, self._proxy, self._uri)
        except BaseException:
            way.close()
            raise
        name = self._uri.host if self._tls else None
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: connection, sock=way, ssl=self._tls, server_hostname=name)
        await connection.opened()

    def _late(self, connection: Connection) -> Exception:
        """A refusal whose body has no end is a refusal."""
        return connection.refusal() or TimeoutError(f"no WebSocket connection within {self._timeout_s:g} s")

    def _claim(self, connection: Connection) -> bool:
        """Return whether this is the first connection that is open."""
        self._winner = self._winner or connection
        return self._winner is connection
