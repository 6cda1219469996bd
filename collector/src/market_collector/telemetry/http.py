"""The pod's small HTTP server: ``/livez``, ``/readyz``, ``/status``, ``/metrics``.

No framework: the `websockets` server, which a collector has loaded anyway, answers plain requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import cast

import msgspec
from websockets.asyncio.server import Server, ServerConnection
from websockets.asyncio.server import serve as serve_websockets
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from market_collector.errors import InputError
from market_collector.net.predecessors import REPLACED, TAKES_OVER
from market_spec.messages import escaped

REQUEST_S = 30.0
"""Time limit for a client to send its request, and for the answer: a busy machine takes seconds for a long page."""
CONNECTIONS = 256
"""Most connections at a time. One more ends the oldest, since that has had the most time for its request."""
CLOSE_S = 1.0
TEXT = "text/plain; charset=utf-8"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"

ProbeAnswer = tuple[bool, str]
"""Whether the probe succeeds, and the reason."""

log = logging.getLogger(__name__)


class Answers(msgspec.Struct, frozen=True):
    """Sources of the answers. Each is called for each request, on the event loop. Long pages let it run in between."""

    is_alive: Callable[[], ProbeAnswer]
    is_ready: Callable[[], ProbeAnswer]
    status: Callable[[], Awaitable[bytes]]
    metrics: Callable[[], Awaitable[bytes]]
    on_successor: Callable[[bool], None] = lambda _: None
    """Called when a pod that takes over asks; True when it delivers every stream of this one."""


class HttpServer(msgspec.Struct, frozen=True):
    """A listening server."""

    server: Server
    port: int
    """The port in use, also if port 0 (any) was requested."""

    async def close(self) -> None:
        """Stops listening. Waits at most 1 s for a client that hangs."""
        self.server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self.server.wait_closed()


async def serve(
    host: str,
    port: int,
    *,
    is_alive: Callable[[], ProbeAnswer],
    is_ready: Callable[[], ProbeAnswer],
    status: Callable[[], Awaitable[bytes]],
    metrics: Callable[[], Awaitable[bytes]],
    on_successor: Callable[[bool], None] = lambda _: None,
) -> HttpServer:
    """Listens and answers until closed.

    Raises:
        InputError: the address cannot be listened on (in use, not ours, not allowed).
    """
    answers = Answers(is_alive, is_ready, status, metrics, on_successor)
    is_local = _is_local(host)

    async def process(_: ServerConnection, request: Request) -> Response:
        if is_local and not _is_address(_host_of(request)):  # of a web page whose name resolves to this machine
            return _response(HTTPStatus.FORBIDDEN, TEXT, b"ask by address, or as localhost\n")
        return await answer(request, answers)

    try:
        server = await serve_websockets(
            _refuse_websocket,
            _listening_host(host, port),
            port,
            process_request=process,
            open_timeout=REQUEST_S,
            create_connection=_limited(),
            logger=_silent_logger(),
            server_header=None,
        )
    except OSError as error:
        raise InputError(
            f"--http {host}:{port}: {_reason(error)}; stop what uses it, or name another address"
        ) from error
    return HttpServer(server, next(iter(server.sockets)).getsockname()[1])


def _listening_host(host: str, port: int) -> str | None:
    """None, which listens on all addresses of both families, for all addresses of one: pods may have only IPv6.

    Port 0 would give each family a port of its own.
    """
    return None if host in ("0.0.0.0", "::") and port else host  # noqa: S104 - as requested


def _is_local(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    """Whether no DNS name is in it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host) is not None
    except ValueError:
        return False


def _host_of(request: Request) -> str:
    """The host of the Host header, without its port."""
    host = (request.headers.get_all("Host") or [""])[0].strip().lower()
    return host.partition("]")[0][1:] if host.startswith("[") else host.partition(":")[0]


async def answer(request: Request, answers: Answers) -> Response:
    """The response to a request; a failure to answer is 500 and logged, never a dead server."""
    path, _, query = request.path.partition("?")
    try:
        if query in (TAKES_OVER, REPLACED):
            answers.on_successor(query == REPLACED)
        if request.method != "GET":
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, TEXT, b"only GET is answered here\n", Allow="GET")
        return await _answer_path(path, answers)
    except Exception:
        log.exception("no answer to %s", path)
        return _response(HTTPStatus.INTERNAL_SERVER_ERROR, TEXT, b"failed; the reason is in the log\n")


async def _answer_path(path: str, answers: Answers) -> Response:
    match path:
        case "/livez":
            return _probe_response(answers.is_alive())
        case "/readyz":
            return _probe_response(answers.is_ready())
        case "/status":
            return _response(HTTPStatus.OK, "application/json", await answers.status())
        case "/metrics":
            return _response(HTTPStatus.OK, METRICS_TEXT, await answers.metrics())
        case _:
            return _response(HTTPStatus.NOT_FOUND, TEXT, b"there are: /livez /readyz /status /metrics\n")


def _probe_response(answer: ProbeAnswer) -> Response:
    is_ok, reason = answer
    status = HTTPStatus.OK if is_ok else HTTPStatus.SERVICE_UNAVAILABLE
    return _response(status, TEXT, f"{escaped(reason or 'ok')}\n".encode())


def _response(status: HTTPStatus, content_type: str, body: bytes, **more: str) -> Response:
    fields = {"Content-Type": content_type, "Content-Length": str(len(body)), "Cache-Control": "no-store"}
    return Response(status.value, status.phrase, Headers({**fields, "Connection": "close", **more}), body)


def _limited() -> type[ServerConnection]:
    """The connections of one server, at most CONNECTIONS, as in the operator's server."""
    transports = dict[ServerConnection, asyncio.BaseTransport]()

    class Limited(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            transports[self] = transport
            if len(transports) > CONNECTIONS:
                oldest = transports.pop(next(iter(transports)))
                cast(asyncio.Transport, oldest).abort()

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self, None)
            super().connection_lost(exc)

    return Limited


async def _refuse_websocket(connection: ServerConnection) -> None:
    """Never reached: every request is answered before the handshake."""


def _silent_logger() -> logging.Logger:
    """`websockets` logs each plain request and each port scan as an event; failures of ours are logged by `answer`."""
    silent = logging.Logger("websockets of the status server")
    silent.addHandler(logging.NullHandler())
    return silent


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return "there is no such host here"
    return os.strerror(error.errno) if error.errno else str(error)
