"""The operator's own HTTP: /livez, /readyz, /metrics."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from market_operator.telemetry.metrics import CONTENT_TYPE, Metrics

CONNECTION_S = 10.0
"""Longest time of a connection, with its one request and the answer."""
CONNECTIONS = 256
"""Most connections at a time. One more ends the oldest, since that has had the most time for its request."""
Problem = Callable[[], str]
"""Returns the problem; an empty string means that there is none."""
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def application(live: Problem, ready: Problem, metrics: Metrics, partly: Problem = lambda: "") -> Handler:
    """Answers requests: a probe with 200 "ok", or 503 and the problem.

    `partly` is a problem that concerns only a part, so that /readyz adds it to its answer, whatever the status.
    """

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = _answer(request)
        response.force_close()
        return response

    def _answer(request: web.BaseRequest) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        match request.path:
            case "/livez":
                return _probe(live())
            case "/readyz":
                return _probe(ready(), partly())
            case "/metrics":
                return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})
        return web.Response(status=404)

    return answer


def _probe(problem: str, partly: str = "") -> web.Response:
    lines = filter(None, (problem or "ok", partly))
    return web.Response(text="".join(f"{line}\n" for line in lines), status=503 if problem else 200)


class _Server(web.Server):
    """Ends connections that are too old or too many. One without a whole request would stay open forever."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, access_log=None)
        self._ends: dict[web.RequestHandler, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """A client has connected."""
        super().connection_made(handler, transport)
        end = asyncio.get_running_loop().call_later(CONNECTION_S, transport.abort)
        self._ends[handler] = transport, end
        if len(self._ends) > CONNECTIONS:
            oldest, end = self._ends.pop(next(iter(self._ends)))
            end.cancel()
            oldest.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """A connection has ended."""
        if found := self._ends.pop(handler, None):
            found[1].cancel()
        super().connection_lost(handler, exc)


async def serve(handler: Handler, host: str, port: int) -> web.ServerRunner:
    """Listens until the runner is cleaned up.

    Raises:
        OSError: the address is in use or not available.
    """
    runner = web.ServerRunner(_Server(handler), shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, _listening_host(host, port), port).start()
    return runner


def _listening_host(host: str, port: int) -> str | None:
    """None, which listens on all addresses of both families, for all addresses of one: pods may have only IPv6.

    Port 0 would give each family a port of its own.
    """
    return None if host in ("0.0.0.0", "::") and port else host  # noqa: S104 - as requested
