"""Reading answers of a real server on a loopback address."""

import asyncio
import json
import tracemalloc
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from market_operator.errors import ReportError
from market_operator.observed.reports import Report
from market_operator.resource.shares import Shares
from market_operator.watch import answers
from market_operator.watch.answers import LARGEST, SMALL, Answers

Make = Callable[..., Any]


class Pods:
    """A server whose pods all answer what a test says."""

    def __init__(self) -> None:
        self.url = ""
        self.body, self.headers = b"", dict[str, str]()
        self.is_chunked = False
        self.waits = asyncio.Event()
        self.waits.set()
        self.reading = Answers()
        self._session = aiohttp.ClientSession(auto_decompress=False)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers=self.headers)
        if self.is_chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(self.body)
        await response.prepare(request)
        await response.write(self.body[:-1])
        await self.waits.wait()
        await response.write(self.body[-1:])
        return response

    async def read(self, namespace: str = "md") -> Report:
        async with self._session.get(self.url) as response:
            return await self.reading.read(namespace, response)

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
async def pods() -> AsyncIterator[Pods]:
    served, app = Pods(), web.Application()
    app.router.add_get("/status", served.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.url = "http://{}:{}/status".format(*runner.addresses[0][:2])
    yield served
    await served.close()
    await runner.cleanup()


def padded(document: Any, size: int) -> bytes:
    """`document` with an unknown field, so that it has `size` bytes."""
    text = json.dumps({**document, "x": ""}).encode()
    return text[:-2] + b"y" * (size - len(text)) + text[-2:]


@pytest.mark.parametrize("size", [500, SMALL - 1, SMALL, SMALL + 1, LARGEST])
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_answer_of_any_allowed_size_is_read(
    pods: Pods, report_document: Make, size: int, is_chunked: bool
) -> None:
    pods.body, pods.is_chunked = padded(report_document(), max(size, 700)), is_chunked
    assert (await pods.read()).counters.messages == 10
    assert pods.reading.shares == Answers().shares, "its share is free again"


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_answer_that_is_too_long_is_refused(pods: Pods, report_document: Make, is_chunked: bool) -> None:
    pods.body, pods.is_chunked = padded(report_document(), LARGEST + 1), is_chunked
    with pytest.raises(ReportError, match=rf"{LARGEST + 1} bytes or more, and {LARGEST} are allowed"):
        await pods.read()
    assert pods.reading.shares == Answers().shares


async def test_compressed_answer_is_refused_and_not_decompressed(pods: Pods) -> None:
    pods.body, pods.headers = zlib.compress(b" " * 64 * 2**20), {"Content-Encoding": "deflate"}
    tracemalloc.start()
    with pytest.raises(ReportError, match="compressed"):
        await pods.read()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


async def test_long_answers_of_one_namespace_leave_room_for_others(pods: Pods, report_document: Make) -> None:
    """Those of a noisy one do not end. What its other pods would send stays in the network."""
    pods.body = padded(report_document(), 1_000_000)
    pods.reading.shares = Shares(8_000_000)
    pods.waits.clear()
    noisy = [asyncio.create_task(pods.read("noisy")) for _ in range(32)]
    while pods.reading.shares.may_take("noisy", 1_000_000):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    expected = Shares(8_000_000, Counter({"noisy": 4_000_000}))
    assert pods.reading.shares == expected
    quiet = asyncio.create_task(pods.read("quiet"))
    while pods.reading.shares == expected:
        await asyncio.sleep(0.01)
    pods.waits.set()
    assert (await quiet).counters.messages == 10
    assert all(await asyncio.gather(*noisy)), "they had to wait for each other"


async def test_long_answer_gives_up_waiting_after_its_timeout(
    pods: Pods, report_document: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "TIMEOUT", 0.05)
    pods.body = padded(report_document(), 1_000_000)
    pods.reading.shares.take("md", 4 * LARGEST)
    with pytest.raises(ReportError, match="other long answers took"):
        await pods.read()


async def test_short_answer_waits_for_no_other(pods: Pods, report_document: Make) -> None:
    pods.body = json.dumps(report_document()).encode()
    pods.reading.shares.take("md", 4 * LARGEST)
    assert (await pods.read()).counters.messages == 10
