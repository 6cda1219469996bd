"""A real HTTP proxy between one client and the API server, which counts, fails, delays and loses single calls and events.

    with ApiProxy.to(Path(kubeconfig)) as proxy:
        operator = start(environment={"KUBECONFIG": str(proxy.write_kubeconfig(tmp_path / "through-proxy"))})
        proxy.on(lambda call: call.is_write and call.kind == "services", Refuse(503), times=2)
        ...
        assert [str(call) for call in proxy.writes] == [...]

The client uses plain HTTP on loopback, and the proxy uses the KUBECONFIG's certificate towards the API server. The
proxy runs in its own thread and event loop. Any other thread can call its methods, which take effect before they
return. Calls and events that no rule matches pass unchanged. With one proxy per operator, a test can cut off one of
two operators.
"""

import asyncio
import base64
import json
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

import aiohttp
import yaml
import yarl
from aiohttp import web

from api_calls import Call, CallMatch, Document, Event, EventMatch, read_call, read_event, refusal

T = TypeVar("T")
_HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding", "accept-encoding"}
_REASONS = {
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


@dataclass(frozen=True)
class Refuse:
    """Answers with the API server's error, without forwarding the call."""

    status: int
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Answer:
    """Answers 200 with this body without forwarding the call, such as an outdated list (`ApiProxy.ask`)."""

    body: bytes


@dataclass(frozen=True)
class Delay:
    """Forwards the call after a delay."""

    seconds: float


@dataclass(frozen=True)
class Reset:
    """Resets the connection before forwarding the call, or afterwards instead of the answer."""

    after_forwarding: bool = False


@dataclass(frozen=True)
class Hang:
    """Sends no answer until the client gives up, without forwarding the call."""


@dataclass(frozen=True)
class Hook:
    """Runs functions in a thread before the call is forwarded, and before its answer is returned."""

    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


Fault = Refuse | Answer | Delay | Reset | Hang | Hook


@dataclass(eq=False)
class Pick(Generic[T]):
    """Selects calls or events that match, without the first `skip`, and at most `times` of them (None: all).

    `taken` has the selected ones.
    """

    match: Callable[[T], bool]
    skip: int = 0
    times: int | None = None
    taken: list[T] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Number of selected ones."""
        return len(self.taken)

    def takes(self, found: T) -> bool:
        """Count this one, and return whether it is selected."""
        if not self.match(found) or (self.times is not None and self.hits >= self.times):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.taken.append(found)
        return True


@dataclass(eq=False)
class _Watch:
    """An open watch. `lines` is the queue of lines to the client; None ends the watch."""

    call: Call
    lines: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)


class ApiProxy:
    """The proxy.

    `calls` has all requests in the order of arrival. `events` has all events of watches, including lost ones.
    """

    def __init__(self, server: str, tls: ssl.SSLContext | None = None) -> None:
        """`server` is the API server's address, and `tls` the context for https."""
        self.calls: list[Call] = []
        self.events: list[Event] = []
        self.url = ""
        self._server, self._tls = server.rstrip("/"), tls
        self._faults: list[tuple[Pick[Call], Fault]] = []
        self._losses: list[Pick[Event]] = []
        self._watches: set[_Watch] = set()
        self._transports: set[asyncio.BaseTransport] = set()
        self._is_cut = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="api-proxy", daemon=True)

    @classmethod
    def to(cls, kubeconfig: Path) -> Self:
        """A proxy to the API server of a KUBECONFIG's current context, with its client certificate, CA or token-less."""
        config = yaml.safe_load(kubeconfig.read_text())
        context = _named(config["contexts"], config["current-context"])["context"]
        cluster = _named(config["clusters"], context["cluster"])["cluster"]
        user = _named(config["users"], context["user"])["user"]
        return cls(cluster["server"], _tls(cluster, user))

    def write_kubeconfig(self, path: Path) -> Path:
        """Write a KUBECONFIG with the proxy as server, and return its path."""
        named = {"name": "through-proxy"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "through-proxy",
            "clusters": [{**named, "cluster": {"server": self.url}}],
            "users": [{**named, "user": {}}],
            "contexts": [{**named, "context": {"cluster": "through-proxy", "user": "through-proxy"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    @property
    def writes(self) -> list[Call]:
        """The requests so far that can have changed an object."""
        return [call for call in self.calls if call.is_write]

    def count(self, match: CallMatch) -> int:
        """Number of calls so far that match."""
        return sum(map(match, list(self.calls)))

    def on(self, match: CallMatch, fault: Fault, skip: int = 0, times: int | None = None) -> Pick[Call]:
        """Apply a fault to matching calls from now on. The first fault that selects a call wins."""
        return self._do(self._on(Pick(match, skip, times), fault))

    def lose(self, match: EventMatch, skip: int = 0, times: int | None = None) -> Pick[Event]:
        """Lose matching watch events from now on."""
        return self._do(self._lose(Pick(match, skip, times)))

    def heal(self, *healed: Pick[Call] | Pick[Event]) -> None:
        """End these faults and losses, or all if none is given."""
        self._do(self._heal(healed))

    def ask(self, path: str) -> bytes:
        """The API server's current answer to a GET, for `Answer`."""
        return self._do(self._ask(path))

    def tell(self, event: Event) -> None:
        """Insert an event into all open watches of its kind, as a lagging API server does."""
        self._do(self._tell(event.kind, event.line))

    def end_watches(self, kind: str = "", gone: bool = False) -> int:
        """End all watches of a kind (plural; "" for all kinds), with 410 Gone if `gone`. Returns their number."""
        return self._do(self._end_watches(kind, gone))

    def cut_off(self) -> None:
        """Reset all connections and each new one until `restore`."""
        self._do(self._cut_off())

    def restore(self) -> None:
        """End `cut_off`."""
        self._is_cut = False

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _open(self) -> None:
        unlimited = aiohttp.ClientTimeout(total=None)
        connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=unlimited, auto_decompress=False)
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A handler must end when its client disconnects, because tests kill clients.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def _close(self) -> None:
        await self._end_watches("", gone=False)
        await self._runner.cleanup()
        await self._session.close()
        # TLS connections send close notifications, which `close` does not wait for.
        await asyncio.sleep(0.2)

    async def _on(self, pick: Pick[Call], fault: Fault) -> Pick[Call]:
        self._faults.append((pick, fault))
        return pick

    async def _lose(self, pick: Pick[Event]) -> Pick[Event]:
        self._losses.append(pick)
        return pick

    async def _heal(self, healed: tuple[Pick[Call] | Pick[Event], ...]) -> None:
        self._faults[:] = [each for each in self._faults if healed and each[0] not in healed]
        self._losses[:] = [each for each in self._losses if healed and each not in healed]

    async def _ask(self, path: str) -> bytes:
        async with self._session.get(f"{self._server}/{path.lstrip('/')}") as answer:
            return await answer.read()

    async def _tell(self, kind: str, line: bytes) -> None:
        for watch in self._watches:
            if watch.call.kind == kind:
                watch.lines.put_nowait(line)

    async def _end_watches(self, kind: str, gone: bool) -> int:
        ended = [watch for watch in self._watches if kind in ("", watch.call.kind)]
        for watch in ended:
            if gone:
                watch.lines.put_nowait(Event(watch.call.kind, "ERROR", refusal(410, "Expired")).line)
            watch.lines.put_nowait(None)
        return len(ended)

    async def _cut_off(self) -> None:
        self._is_cut = True
        for transport in list(self._transports):
            _reset(transport)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport
        if self._is_cut:
            return _reset(transport)
        self._transports.add(transport)
        try:
            body = await request.read()
            call = read_call(request.method, request.path, request.rel_url.raw_query_string, body, time.monotonic())
            self.calls.append(call)
            fault = next((fault for pick, fault in self._faults if pick.takes(call)), Hook())
            return await self._meet(request, call, fault)
        except (ConnectionError, aiohttp.ClientError):
            return _reset(transport)
        finally:
            self._transports.discard(transport)

    async def _meet(self, request: web.Request, call: Call, fault: Fault) -> web.StreamResponse:
        assert request.transport
        match fault:
            case Refuse(status, retry_after_s):
                headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
                return web.json_response(refusal(status, _REASONS[status]), status=status, headers=headers)
            case Answer(body):
                return web.Response(body=body, content_type="application/json")
            case Hang():
                await asyncio.Event().wait()
            case Delay(seconds):
                await asyncio.sleep(seconds)
            case Reset(after_forwarding):
                if after_forwarding:
                    await self._forward(request, call, lambda: None)
                return _reset(request.transport)
            case Hook(before, _):
                await asyncio.to_thread(before)
        after = fault.after if isinstance(fault, Hook) else lambda: None
        return await (self._watch(request, call) if call.is_watch else self._forward(request, call, after))

    async def _forward(self, request: web.Request, call: Call, after: Callable[[], object]) -> web.Response:
        async with self._upstream(request, call) as answer:
            body = await answer.read()
        await asyncio.to_thread(after)
        return web.Response(body=body, status=answer.status, headers=_passed_on(answer.headers))

    def _upstream(self, request: web.Request, call: Call) -> Any:
        url = yarl.URL(f"{self._server}{request.raw_path}", encoded=True)
        return self._session.request(call.method, url, headers=_passed_on(request.headers), data=call.body or None)

    async def _watch(self, request: web.Request, call: Call) -> web.StreamResponse:
        """Forward a watch line by line, with the lines of `tell` and `end_watches`."""
        async with self._upstream(request, call) as answer:
            response = web.StreamResponse(status=answer.status, headers=_passed_on(answer.headers))
            await response.prepare(request)
            watch = _Watch(call)
            self._watches.add(watch)
            reading = asyncio.create_task(self._read_watch(answer.content, watch))
            try:
                while (line := await watch.lines.get()) is not None:
                    await response.write(line)
            finally:
                self._watches.discard(watch)
                reading.cancel()
        return response

    async def _read_watch(self, content: aiohttp.StreamReader, watch: _Watch) -> None:
        try:
            async for line in _lines(content):
                event = read_event(watch.call.kind, line)
                self.events.append(event)
                if not any(pick.takes(event) for pick in self._losses):
                    watch.lines.put_nowait(line)
        except aiohttp.ClientError:
            pass  # the API server has ended, and so has the watch
        watch.lines.put_nowait(None)


async def _lines(content: aiohttp.StreamReader) -> Any:
    """Complete lines of any length, in contrast to the reader's own limit."""
    held = b""
    async for chunk in content.iter_any():
        *whole, held = (held + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"


def _passed_on(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}


def _reset(transport: asyncio.BaseTransport) -> web.Response:
    """Reset a connection without a close notification, as in a crash. The response is never sent."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    return web.Response(status=503)


def _named(items: list[Document], name: str) -> Document:
    return next(item for item in items if item["name"] == name)


def _tls(cluster: Document, user: Document) -> ssl.SSLContext | None:
    if not cluster["server"].startswith("https"):
        return None
    context = ssl.create_default_context(cadata=_content(cluster, "certificate-authority").decode())
    with tempfile.NamedTemporaryFile() as both:
        # The standard library reads a client's certificate from a file only.
        both.write(_content(user, "client-certificate") + b"\n" + _content(user, "client-key"))
        both.flush()
        context.load_cert_chain(both.name)
    return context


def _content(settings: Document, name: str) -> bytes:
    given = settings.get(f"{name}-data")
    return base64.b64decode(given) if given else Path(settings[name]).read_bytes()
