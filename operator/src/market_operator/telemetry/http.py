"""The operator's own HTTP: /livez, /readyz, /metrics."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from market_operator.telemetry.metrics import CONTENT_TYPE, Metrics

Problem = Callable[[], str]
"""Returns the problem; an empty string means that there is none."""


def application(live: Problem, ready: Problem, metrics: Metrics, partly: Problem = lambda: "") -> web.Application:
    """The routes: a probe answers 200 "ok", or 503 with the problem.

    `partly` is a problem that concerns only a part, so that /readyz adds it to its answer, whatever the status.
    """

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/livez", _probe(live))
    app.router.add_get("/readyz", _probe(ready, partly))
    app.router.add_get("/metrics", scrape)
    return app


def _probe(problem: Problem, partly: Problem = lambda: "") -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        found = problem()
        lines = filter(None, (found or "ok", partly()))
        return web.Response(text="".join(f"{line}\n" for line in lines), status=503 if found else 200)

    return answer


async def serve(app: web.Application, host: str, port: int) -> web.AppRunner:
    """Listens until the runner is cleaned up.

    Raises:
        OSError: the address is in use or not available.
    """
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, _listening_host(host, port), port).start()
    return runner


def _listening_host(host: str, port: int) -> str | None:
    """None, which listens on all addresses of both families, for all addresses of one: pods may have only IPv6.

    Port 0 would give each family a port of its own.
    """
    return None if host in ("0.0.0.0", "::") and port else host  # noqa: S104 - as requested
