"""REST against a real HTTP server: the simulator's."""

import asyncio
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import tls
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request
from market_collector.net.rest import Rest
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator
TIME = Request("/api/v5/public/time")


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


async def test_an_answer_is_its_body(exchange: Simulator) -> None:
    assert (await Rest(exchange.rest + "/", tls=None).get(TIME)).startswith(b'{"code":"0"')


async def test_an_http_error_says_url_and_status(exchange: Simulator) -> None:
    with pytest.raises(RequestFailedError, match=r"/nowhere.*404"):
        await Rest(exchange.rest, tls=None).get(Request("/nowhere"))


async def test_nobody_answers() -> None:
    with pytest.raises(RequestFailedError, match="refused"):
        await Rest("http://127.0.0.1:9", tls=None).get(TIME)


async def test_requests_are_paced_over_all_callers(exchange: Simulator) -> None:
    rest = Rest(exchange.rest, tls=None, per_second=20)
    start = time.monotonic()
    await asyncio.gather(*(rest.get(TIME) for _ in range(6)))
    assert time.monotonic() - start >= 5 / 20


async def test_tls_is_verified(tmp_path: Path) -> None:
    authority = tls.authority(tmp_path)
    certificate, key = authority.issue("localhost")
    with simulator(*MARKET, "--tls-cert", str(certificate), "--tls-key", str(key), listen="127.0.0.1:0") as running:
        base = running.rest.replace("127.0.0.1", "localhost")
        trusting = ssl.create_default_context(cafile=str(authority.file))
        assert await Rest(base, tls=trusting).get(TIME)
        with pytest.raises(RequestFailedError, match="certificate"):
            await Rest(base, tls=ssl.create_default_context()).get(TIME)


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
        await Rest(dribbling, tls=None, total_timeout_s=0.3).get(TIME)
    while any(thread.name == "question" for thread in threading.enumerate()):  # nor does its thread stay
        await asyncio.sleep(0.01)


def test_a_process_does_not_wait_for_an_answer_when_it_ends(dribbling: str) -> None:
    code = f"""
import asyncio
from market_collector.exchanges.interface import Request
from market_collector.net.rest import Rest

async def main():
    question = asyncio.create_task(Rest({dribbling!r}, tls=None, total_timeout_s=3600).get(Request("/")))
    await asyncio.sleep(0.3)
    assert not question.done()
    question.cancel()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
