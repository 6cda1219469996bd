"""The exchange that only sends, tested with an independent client."""

import asyncio
import json
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench import frames, subjects
from bench.blaster import CHUNK_BYTES, _chunks
from bench.worker import Worker
from websockets.asyncio.client import ClientConnection, connect

import tls

pytestmark = pytest.mark.simulator

DEADLINE_S = 60.0
"""Only a deadlock takes this long; a loaded machine takes seconds."""


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[tuple[Worker, str, ssl.SSLContext]]:
    authority = tls.authority(tmp_path)
    with subjects.exchange(2, authority.issue("localhost")) as (worker, port):
        trust = ssl.create_default_context(cafile=str(authority.file))
        yield worker, f"wss://localhost:{port}/ws/v5/", trust


async def subscribe(client: ClientConnection, channels: Sequence[str]) -> None:
    args = [{"channel": channel, "instId": name} for channel in channels for name in frames.INSTRUMENTS]
    await client.send(json.dumps({"op": "subscribe", "args": args}))


async def received(client: ClientConnection, count: int) -> list[str | bytes]:
    async with asyncio.timeout(DEADLINE_S):
        return [await client.recv() for _ in range(count)]


async def asked(worker: Worker, order: str, **arguments: float) -> Any:
    return await asyncio.to_thread(worker.ask, order, **arguments)


async def test_a_subscriber_gets_the_first_loop_and_then_what_is_ordered(
    exchange: tuple[Worker, str, ssl.SSLContext],
) -> None:
    worker, url, trust = exchange
    async with connect(url, ssl=trust, open_timeout=DEADLINE_S) as client:
        await subscribe(client, frames.CHANNELS[:1])
        await subscribe(client, frames.CHANNELS)
        first = frames.tape("sequence", range(1))
        by_request = sorted(first, key=lambda text: '"channel":"trades"' not in text)
        assert await received(client, len(first)) == by_request
        assert await asked(worker, "served") == {"messages": len(first)}
        second = frames.tape("sequence", [1])
        assert (await asked(worker, "blast", loops=1))["messages"] == len(second)
        assert await received(client, len(second)) == second
        await client.send("ping")
        assert await received(client, 1) == ["pong"]


async def test_a_program_may_read_single_fills_on_a_connection_of_their_own(
    exchange: tuple[Worker, str, ssl.SSLContext],
) -> None:
    worker, url, trust = exchange
    tape = frames.tape("sequence", range(2), trades="trades-all")
    fills = [text for text in tape if '"trades-all"' in text]
    others = [text for text in tape if '"trades-all"' not in text]
    for _ in range(2):  # the next program starts with the first loop again
        async with (
            connect(url + "public", ssl=trust, open_timeout=DEADLINE_S) as public,
            connect(url + "business", ssl=trust, open_timeout=DEADLINE_S) as business,
        ):
            await subscribe(public, frames.CHANNELS[1:])
            await subscribe(business, ["trades-all"])
            await asked(worker, "served")
            assert (await asked(worker, "blast", loops=1))["messages"] * 2 == len(tape)
            assert await received(business, len(fills)) == fills
            assert await received(public, len(others)) == others


async def test_a_pace_is_kept(exchange: tuple[Worker, str, ssl.SSLContext]) -> None:
    worker, url, trust = exchange
    async with connect(url, ssl=trust, open_timeout=DEADLINE_S) as client:
        await subscribe(client, frames.CHANNELS)
        await asked(worker, "served")
        paced = await asked(worker, "pace", loops=1, per_second=1_000.0)
        expected = frames.tape("sequence", range(2))
        assert await received(client, 2 * paced["messages"]) == expected
        assert paced["seconds"] >= paced["messages"] / 1_000.0


def test_chunks_hold_every_message_once_and_are_of_useful_size() -> None:
    messages = [bytes([number % 256]) * 1_000 for number in range(500)]
    chunks = list(_chunks(messages))
    assert b"".join(chunks) == b"".join(messages)
    assert all(CHUNK_BYTES <= len(chunk) < CHUNK_BYTES + 1_000 for chunk in chunks[:-1])
