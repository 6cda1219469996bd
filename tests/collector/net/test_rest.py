"""REST against a real HTTP server: the simulator's."""

import asyncio
import ssl
import time
from collections.abc import Iterator
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
