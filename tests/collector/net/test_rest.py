"""REST against a real HTTP server: the simulator's."""

import asyncio
import gzip
import socket
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, cast

import pytest

import tls
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request
from market_collector.net.rest import MAX_BODY_BYTES, Rest, fetch
from rest_apis import API, answering
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator
TIME = Request("/api/v5/public/time")


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


async def test_an_answer_is_its_body(exchange: Simulator) -> None:
    assert (await Rest({"rest": exchange.rest + "/"}, API, tls=None).fetch(TIME)).startswith(b'{"code":"0"')


async def test_network_of_no_proxy_means_no_proxy(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request._opener", None)  # it keeps the proxies of its first use
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(RequestFailedError, match="refused"):
        await Rest({"rest": exchange.rest}, API, tls=None).fetch(TIME)
    monkeypatch.setenv("no_proxy", "10.0.0.0/8,127.0.0.0/8")
    assert (await Rest({"rest": exchange.rest}, API, tls=None).fetch(TIME)).startswith(b'{"code":"0"')


async def test_an_http_error_says_url_and_status(exchange: Simulator) -> None:
    with pytest.raises(RequestFailedError, match=r"/nowhere.*404"):
        await Rest({"rest": exchange.rest}, API, tls=None).fetch(Request("/nowhere"))


async def test_nobody_answers() -> None:
    with pytest.raises(RequestFailedError, match="refused"):
        await Rest({"rest": "http://127.0.0.1:9"}, API, tls=None).fetch(TIME)


async def test_requests_are_paced_over_all_callers(exchange: Simulator) -> None:
    start = time.monotonic()
    callers = [Rest({"rest": exchange.rest}, API, tls=None) for _ in range(3)]
    await asyncio.gather(*(rest.fetch(Request(TIME.path, bucket="paced")) for rest in [*callers, *callers]))
    assert time.monotonic() - start >= 5 / 20


async def test_tls_is_verified(tmp_path: Path) -> None:
    authority = tls.authority(tmp_path)
    certificate, key = authority.issue("localhost")
    with simulator(*MARKET, "--tls-cert", str(certificate), "--tls-key", str(key), listen="127.0.0.1:0") as running:
        base = running.rest.replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=str(authority.file))
        assert await Rest({"rest": base}, API, tls=trusting).fetch(TIME)
        with pytest.raises(RequestFailedError, match="certificate"):
            await Rest({"rest": base}, API, tls=ssl.create_default_context()).fetch(TIME)


async def answer_of(status: int, encoding: str, body: bytes) -> bytes:
    with answering(status, {"Content-Encoding": encoding} if encoding else {}, body) as base:
        return await Rest({"rest": base}, API, tls=None).fetch(TIME)


PAGE = b"<html><head><title>Access denied</title><style>p {}</style></head>\n<p>error code: 1010</p></html>"


@pytest.mark.parametrize(
    ("status", "encoding", "body", "words"),
    [
        (403, "", PAGE, "HTTP 403 Forbidden: Access denied error code: 1010$"),
        (403, "gzip", gzip.compress(PAGE, mtime=0), "HTTP 403 Forbidden: Access denied error code: 1010$"),
        (451, "", b'{"msg":"not available in your region"}', 'HTTP 451 .*: {"msg":"not available in your region"}$'),
        (502, "", b"", "HTTP 502 Bad Gateway$"),
        (503, "gzip", b"\x1f\x8b damaged", "HTTP 503 Service Unavailable"),
    ],
)
async def test_a_refusal_says_status_and_first_words(status: int, encoding: str, body: bytes, words: str) -> None:
    with pytest.raises(RequestFailedError, match=words) as raised:
        await answer_of(status, encoding, body)
    assert raised.value.body in (body, PAGE, b"")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0)),
        ("", gzip.compress(b"{}", mtime=0)),
        ("deflate", zlib.compress(b"{}")),
        ("gzip", b"{}"),
        ("identity", b"{}"),
    ],
)
async def test_a_compressed_answer_is_read(encoding: str, body: bytes) -> None:
    assert await answer_of(200, encoding, body) == b"{}"


@pytest.mark.parametrize(
    ("encoding", "body", "words"),
    [
        ("br", b"\x0b\x01\x80{}\x03", "Content-Encoding br"),
        ("gzip", gzip.compress(b"{}" * 99, mtime=0)[:-9], "cut off"),
        ("gzip", gzip.compress(b"", mtime=0)[:8] + b"damaged content", "while decompressing|cut off"),
        ("", b" " * (MAX_BODY_BYTES + 1), "larger than"),
        ("gzip", gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0), "larger than"),
    ],
    ids=["brotli", "cut off", "damaged", "too large", "too large when unpacked"],
)
async def test_an_answer_that_cannot_be_unpacked_is_an_error(encoding: str, body: bytes, words: str) -> None:
    with pytest.raises(RequestFailedError, match=words):
        await answer_of(200, encoding, body)


class Redirecting(BaseHTTPRequestHandler):
    """Sends each request elsewhere, and counts those that come back."""

    location = ""
    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(302)
        self.send_header("Location", self.location.format(port=cast(ThreadingHTTPServer, self.server).server_port))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:{port}/latest/meta-data/x?secret=1", "to 127.0.0.1; redirects are not followed$"),
        ("/elsewhere", "to 127.0.0.1;"),
        ("ftp://files.example/x", "to files.example;"),
        ("file:///etc/passwd", "to an address without a host;"),
        ("http://[x", "to an invalid address;"),
    ],
)
async def test_a_redirect_is_not_followed(location: str, words: str) -> None:
    handler = type("Handler", (Redirecting,), {"location": location, "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(RequestFailedError, match=f"HTTP 302 Found, {words}") as raised:
                await Rest({"rest": f"http://127.0.0.1:{server.server_port}"}, API, tls=None).fetch(TIME)
        finally:
            server.shutdown()
            thread.join()
    assert handler.seen == [TIME.path]  # type: ignore[attr-defined]
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("base", ["file:///etc", "ftp://127.0.0.1:1", "data:text/plain,a"])
async def test_only_http_is_sent(base: str) -> None:
    with pytest.raises(RequestFailedError, match="unknown url type"):
        await Rest({"rest": base}, API, tls=None).fetch(TIME)


@pytest.fixture
def slow_head() -> Iterator[str]:
    """An exchange that sends its head byte by byte, and never the end of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=dribble, args=server.accept(), daemon=True).start()

        def dribble(client: socket.socket, _: object) -> None:
            with suppress(OSError), client:
                client.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while True:
                    client.sendall(b"x")
                    time.sleep(0.02)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_slow_head_ends_at_the_time_limit(slow_head: str) -> None:
    start = time.monotonic()
    with pytest.raises(RequestFailedError, match=r"no complete answer within|timed out"):
        fetch(slow_head, TIME, API, None, total_timeout_s=0.3)
    assert time.monotonic() - start < 4  # each byte restarts the timeout of the socket, 5 s


async def test_hanging_requests_have_a_limit(slow_head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_collector.net.rest.MAX_THREADS", 2)
    rest = Rest({"rest": slow_head}, API, tls=None, total_timeout_s=0.5)
    requests = [rest.fetch(Request(f"/{number}")) for number in range(3)]
    errors = [str(error) for error in await asyncio.gather(*requests, return_exceptions=True)]
    assert ["not sent, because 2 requests" in error for error in errors] == [False, False, True]
    while rest._free_threads._value < 2:
        await asyncio.sleep(0.01)


async def test_a_name_without_an_address_is_named_without_the_library_s_wrapping() -> None:
    with pytest.raises(RequestFailedError, match=r"GET http://no-such-host.invalid/\S+: (?!<urlopen)"):
        await Rest({"rest": "http://no-such-host.invalid"}, API, tls=None).fetch(TIME)


@pytest.fixture
def dribbling() -> Iterator[str]:
    """An exchange that never ends its answer: a byte, and soon another one."""
    ends = threading.Event()

    class Dribble(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            with suppress(OSError):  # who asked has gone
                while not ends.wait(0.05):
                    self.wfile.write(b" ")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Dribble) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        ends.set()
        server.shutdown()
        thread.join()


async def test_an_answer_that_never_ends_is_none(dribbling: str) -> None:
    with pytest.raises(RequestFailedError, match="no complete answer within"):
        await Rest({"rest": dribbling}, API, tls=None, total_timeout_s=0.3).fetch(TIME)
    while any(thread.name == "question" for thread in threading.enumerate()):  # nor does its thread stay
        await asyncio.sleep(0.01)


def test_a_process_does_not_wait_for_an_answer_when_it_ends(dribbling: str) -> None:
    code = f"""
import asyncio
from market_collector.exchanges import EXCHANGES
from market_collector.net.rest import Rest

async def main():
    api = EXCHANGES["okx"].rest_api
    question = asyncio.create_task(Rest({{"rest": {dribbling!r}}}, api, tls=None, total_timeout_s=3600).fetch(api.time()))
    await asyncio.sleep(0.3)
    assert not question.done()
    question.cancel()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
