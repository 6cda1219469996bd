"""The exchange that only sends, tested with an independent client."""

import json
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from bench import frames, subjects
from bench.blaster import CHUNK_BYTES, _chunks
from bench.worker import Worker
from websockets.sync.client import ClientConnection, connect

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


def subscribe(client: ClientConnection, channels: Sequence[str]) -> None:
    args = [{"channel": channel, "instId": name} for channel in channels for name in frames.INSTRUMENTS]
    client.send(json.dumps({"op": "subscribe", "args": args}))


def test_a_subscriber_gets_the_first_loop_and_then_what_is_ordered(
    exchange: tuple[Worker, str, ssl.SSLContext],
) -> None:
    worker, url, trust = exchange
    with connect(url, ssl=trust, open_timeout=DEADLINE_S) as client:
        subscribe(client, frames.CHANNELS[:1])
        subscribe(client, frames.CHANNELS)
        first = frames.tape("sequence", range(1))
        by_request = sorted(first, key=lambda text: '"channel":"trades"' not in text)
        assert [client.recv(DEADLINE_S) for _ in first] == by_request
        assert worker.ask("served") == {"messages": len(first)}
        second = frames.tape("sequence", [1])
        assert worker.ask("blast", loops=1)["messages"] == len(second)
        assert [client.recv(DEADLINE_S) for _ in second] == second
        client.send("ping")
        assert client.recv(DEADLINE_S) == "pong"


def test_a_program_may_read_single_fills_on_a_connection_of_their_own(
    exchange: tuple[Worker, str, ssl.SSLContext],
) -> None:
    worker, url, trust = exchange
    tape = frames.tape("sequence", range(2), trades="trades-all")
    fills = [text for text in tape if '"trades-all"' in text]
    others = [text for text in tape if '"trades-all"' not in text]
    for _ in range(2):  # the next program starts with the first loop again
        with (
            connect(url + "public", ssl=trust, open_timeout=DEADLINE_S) as public,
            connect(url + "business", ssl=trust, open_timeout=DEADLINE_S) as business,
        ):
            subscribe(public, frames.CHANNELS[1:])
            subscribe(business, ["trades-all"])
            worker.ask("served")
            assert worker.ask("blast", loops=1)["messages"] * 2 == len(tape)
            assert [business.recv(DEADLINE_S) for _ in fills] == fills
            assert [public.recv(DEADLINE_S) for _ in others] == others


def test_a_pace_is_kept(exchange: tuple[Worker, str, ssl.SSLContext]) -> None:
    worker, url, trust = exchange
    with connect(url, ssl=trust, open_timeout=DEADLINE_S) as client:
        subscribe(client, frames.CHANNELS)
        worker.ask("served")
        paced = worker.ask("pace", loops=1, per_second=1_000.0)
        assert [client.recv(DEADLINE_S) for _ in range(2 * paced["messages"])] == frames.tape("sequence", range(2))
        assert paced["seconds"] >= paced["messages"] / 1_000.0


def test_chunks_hold_every_message_once_and_are_of_useful_size() -> None:
    messages = [bytes([number % 256]) * 1_000 for number in range(500)]
    chunks = list(_chunks(messages))
    assert b"".join(chunks) == b"".join(messages)
    assert all(CHUNK_BYTES <= len(chunk) < CHUNK_BYTES + 1_000 for chunk in chunks[:-1])
