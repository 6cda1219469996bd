"""One WebSocket connection: the `websockets` library's sans-I/O protocol under an `asyncio.Protocol`.

Messages go to a callback straight from `data_received`: no queue and no task switch in between, which is what costs the
library's own asyncio client two thirds of its time (ARCHITECTURE.md, decision 7).
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI, WebSocketException
from websockets.frames import Close
from websockets.protocol import State
from websockets.uri import WebSocketURI, parse_uri

from market_collector.errors import ConnectionFailedError, InputError
from market_collector.net.frames import MessageReader
from market_collector.net.proxy import open_tunnel, proxy_for

log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 16 * 2**20
"""Larger than any frame of the exchanges that we know (10 MB snapshots), small enough to not exhaust a pod."""

Frames = Callable[[list[bytes]], None]


class Connection(asyncio.Protocol):
    """An open connection; `open_connection` makes it.

    ``on_frames`` is called with the messages that arrived together, text or binary, control frames excluded.
    """

    def __init__(self, uri: WebSocketURI, on_frames: Frames, close_timeout_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(uri, max_size=MAX_MESSAGE_BYTES)
        self._on_frames = on_frames
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[str] = loop.create_future()
        self._reader = MessageReader(self._protocol, MAX_MESSAGE_BYTES)
        self._reason = ""
        self._close_timeout_s = close_timeout_s
        self._cutting: asyncio.TimerHandle | None = None

    # -- for the owner

    @property
    def close_code(self) -> int | None:
        """What the exchange closed the connection with; None while it is open, and when it was only cut."""
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd else None

    async def opened(self) -> None:
        """Returns when the handshake is done.

        Raises:
            ConnectionFailedError: the server refused it or went away.
        """
        await asyncio.shield(self._opened)

    async def ended(self) -> str:
        """Returns the reason when the connection is over, whoever ended it."""
        return await asyncio.shield(self._ended)

    def send(self, text: str) -> None:
        """Sends a text frame; on a connection that is closing already it does nothing."""
        if self._protocol.state is not State.OPEN or self._reason:
            return
        self._protocol.send_text(text.encode())
        self._flush()

    def end(self, reason: str) -> None:
        """Starts to close the connection; `ended` will return this reason."""
        if self._reason or self._ended.done():
            return
        self._reason = reason
        if self._opened.done() and not self._opened.exception():
            with suppress(WebSocketException):
                self._protocol.send_close(1000)
            self._flush()
        self._cut_later()

    def abort(self) -> None:
        """Cuts the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # -- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket (and TLS) is there: ask for WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Bytes came: hand on the complete messages in them."""
        messages = self._reader.read(data)
        self._receive(messages)
        if self._reader.has_asked:
            self._flush()

    def eof_received(self) -> None:
        """The server said that it will send no more."""
        self._protocol.receive_eof()
        self._receive([])
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        if self._cutting is not None:
            self._cutting.cancel()
        if self._protocol.state is not State.CLOSED:
            with suppress(WebSocketException):
                self._protocol.receive_eof()
        reason = self._reason or self._close_reason(error)
        if not self._opened.done():
            self._opened.set_exception(ConnectionFailedError(reason))
            self._opened.exception()  # the owner may have given up already; then nobody asks
        if not self._ended.done():
            self._ended.set_result(reason)

    # -- inside

    def _receive(self, messages: list[bytes]) -> None:
        if not self._opened.done():
            self._finish_handshake()
        if messages and not self._reason:
            try:
                self._on_frames(messages)
            except Exception as error:
                # A mistake of ours: it must end this connection loudly, not leave it running half-read.
                log.exception("internal error while handling a frame")
                self.end(f"internal error: {error!r}")

    def _finish_handshake(self) -> None:
        """Looks whether the server has answered, and what."""
        if self._protocol.handshake_exc is not None:
            error = _refusal(self._protocol.handshake_exc)
            self._opened.set_exception(error)
            self._opened.exception()  # the owner may have given up already; then nobody asks
            self._reason = str(error)
        elif self._protocol.state is not State.CONNECTING:
            self._opened.set_result(None)

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._protocol.close_expected() and not self._transport.is_closing():
            # The server ends a WebSocket connection first (RFC 6455, 7.1.1); one that does not is cut.
            self._cut_later()

    def _cut_later(self) -> None:
        if self._cutting is None:
            self._cutting = asyncio.get_running_loop().call_later(self._close_timeout_s, self.abort)

    def _close_reason(self, error: Exception | None) -> str:
        """What the exchange said comes before what the socket says: after its close frame a late error is no news."""
        received: Close | None = self._protocol.close_rcvd
        if received is not None:
            return f"closed by the exchange: {received}"
        return f"connection lost: {error}" if error else "connection lost without a close frame"


def _refusal(error: Exception) -> ConnectionFailedError:
    """A handshake that was answered, but not with WebSocket."""
    if not isinstance(error, InvalidStatus):
        return ConnectionFailedError(f"refused: {error}")
    after = error.response.headers.get("Retry-After", "")  # a date is ignored: it would need a clock that agrees
    retry_after_s = float(after) if after.isascii() and after.isdigit() else None
    return ConnectionFailedError(f"refused: {error}", status=error.response.status_code, retry_after_s=retry_after_s)


async def open_connection(
    url: str,
    on_frames: Frames,
    *,
    tls: ssl.SSLContext | None,
    timeout_s: float = 10.0,
    close_timeout_s: float = 2.0,
) -> Connection:
    """Opens a WebSocket connection, through the proxy that the environment names for it.

    Raises:
        ConnectionFailedError: name resolution, TCP, the proxy, TLS or the handshake failed, or took longer than the
            timeout.
        InputError: the address is not a WebSocket address, or that of the proxy none of an HTTP proxy.
    """
    try:
        uri = parse_uri(url)
    except InvalidURI as error:
        raise InputError(f"{url!r} is not a WebSocket address; allowed: ws://host:port or wss://host:port") from error
    connection = Connection(uri, on_frames, close_timeout_s)
    try:
        await _open(connection, uri, tls if uri.secure else None, timeout_s)
    except TimeoutError as error:
        raise ConnectionFailedError(f"{url}: no WebSocket connection within {timeout_s:g} s") from error
    except ConnectionFailedError as error:
        message = f"{url}: {error}"
        raise ConnectionFailedError(message, status=error.status, retry_after_s=error.retry_after_s) from error
    except OSError as error:
        raise ConnectionFailedError(f"{url}: {error}") from error
    return connection


async def _open(connection: Connection, uri: WebSocketURI, tls: ssl.SSLContext | None, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await _connect(connection, uri, tls, timeout_s)
            await connection.opened()
    except BaseException:  # whatever it is, also a cancellation just when the server answered: nobody will own it
        connection.abort()
        raise


async def _connect(connection: Connection, uri: WebSocketURI, tls: ssl.SSLContext | None, timeout_s: float) -> None:
    """TCP and TLS, through a proxy or to the first address of the name that answers.

    Each address has its share of the time, so that one that has vanished does not hide the others.
    """
    loop = asyncio.get_running_loop()
    name = uri.host if tls else None
    if proxy := proxy_for(uri):
        tunnel = await open_tunnel(proxy, uri)
        await loop.create_connection(lambda: connection, sock=tunnel, ssl=tls, server_hostname=name)
        return
    found = await loop.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            async with asyncio.timeout(timeout_s / len(addresses) if left > 1 else None):
                await loop.create_connection(lambda: connection, address, uri.port, ssl=tls, server_hostname=name)
                return
        except OSError:  # TimeoutError is one
            if left == 1:
                raise
