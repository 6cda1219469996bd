"""The transport against a real WebSocket server (the `websockets` library's own), on loopback."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

import tls
from loopback import first_bytes, new_address, new_host, silent_server
from market_collector.errors import ConnectionFailedError, InputError
from market_collector.exchanges.interface import MAX_MESSAGE_BYTES
from market_collector.net.connection import Connection
from market_collector.net.opening import open_connection

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler, **options: object) -> AsyncIterator[str]:
    async with serve(handler, "127.0.0.1", 0, **options) as running:  # type: ignore[arg-type]
        port = running.sockets[0].getsockname()[1]
        yield f"{'wss' if options.get('ssl') else 'ws'}://localhost:{port}/ws"


class Inbox:
    """Received frames, and a way to wait for them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self._came = asyncio.Event()

    def __call__(self, frames: list[bytes]) -> None:
        self.frames += frames
        self._came.set()

    async def holds(self, count: int) -> list[bytes]:
        async with asyncio.timeout(30):
            while len(self.frames) < count:
                self._came.clear()
                await self._came.wait()
        return self.frames


async def connect(url: str, inbox: Inbox, tls_context: ssl.SSLContext | None = None) -> Connection:
    return await open_connection(url, inbox, tls=tls_context, timeout_s=30)


async def test_text_goes_both_ways_and_a_close_has_a_reason() -> None:
    async def echo(peer: ServerConnection) -> None:
        async for message in peer:
            await peer.send(f"echo {message!s}")
            if message == "bye":
                await peer.close(4004, "no data")

    async with server(echo) as url:
        inbox = Inbox()
        connection = await connect(url, inbox)
        connection.send("hello")
        connection.send("bye")
        assert await inbox.holds(2) == [b"echo hello", b"echo bye"]
        assert "4004" in await connection.ended()
        assert connection.close_code == 4004
        connection.send("to nobody")


async def test_fragments_are_joined_and_frames_with_the_handshake_kept() -> None:
    async def serve_peer(peer: ServerConnection) -> None:
        await peer.send("at once")
        await peer.send(["in ", "three ", "parts"])
        await peer.send(b"binary")
        await peer.wait_closed()

    async with server(serve_peer) as url:
        inbox = Inbox()
        connection = await connect(url, inbox)
        assert await inbox.holds(3) == [b"at once", b"in three parts", b"binary"]
        connection.end("enough")
        assert await connection.ended() == "enough"


async def test_tls_is_verified(tmp_path: Path) -> None:
    async def hello(peer: ServerConnection) -> None:
        await peer.send("secret")
        await peer.wait_closed()

    authority = tls.authority(tmp_path)
    async with server(hello, ssl=authority.server_context("localhost")) as url:
        inbox = Inbox()
        connection = await connect(url, inbox, ssl.create_default_context(cafile=str(authority.file)))
        assert await inbox.holds(1) == [b"secret"]
        connection.end("done")
        await connection.ended()
        with pytest.raises(ConnectionFailedError, match="certificate verify failed"):
            await connect(url, Inbox(), ssl.create_default_context())


async def test_server_pings_are_answered() -> None:
    answered = asyncio.Event()

    async def ping(peer: ServerConnection) -> None:
        await (await peer.ping())
        answered.set()
        await peer.wait_closed()

    async with server(ping) as url:
        connection = await connect(url, Inbox())
        async with asyncio.timeout(30):
            await answered.wait()
        connection.end("done")
        await connection.ended()


@asynccontextmanager
async def raw_server(answer: bytes, *, ends: bool = False) -> AsyncIterator[str]:
    """A server that answers these bytes to the only request, whatever they are, and may then disconnect."""
    gone = asyncio.Event()

    async def serve_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with suppress(ConnectionError):
            while not ends and await reader.read(1000):
                pass
            writer.close()
            await writer.wait_closed()
        gone.set()

    async with await asyncio.start_server(serve_peer, "127.0.0.1", 0) as running, asyncio.timeout(30):
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        await gone.wait()


@pytest.mark.parametrize("status", [200, 302, 403, 429, 503])
@pytest.mark.parametrize(
    ("rest", "ends"),
    [
        (b"Content-Length: 6\r\n\r\nregion", False),
        (b"Content-Length: 999999\r\n\r\nregion", False),
        (b"Content-Length: 999999\r\n\r\nregion", True),
        (b"\r\nregion", False),
        (b"\r\nregion " + b"x" * 3_000_000, True),
        (b"Transfer-Encoding: chunked\r\n\r\n6\r\nregion\r\n", False),
        (b"Transfer-Encoding: identity\r\n\r\n<html><p>region</p>", False),
    ],
    ids=["whole", "short", "cut", "endless", "large", "chunks", "page"],
)
async def test_refused_handshake_has_status_and_first_words(
    status: int, rest: bytes, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_collector.net.connection.BODY_S", 0.05)
    async with raw_server(b"HTTP/1.1 %d Because\r\n" % status + rest, ends=ends) as url:
        with pytest.raises(ConnectionFailedError, match=f"refused: HTTP {status} Because: region") as refusal:
            await connect(url, Inbox())
    assert refusal.value.status == status


async def test_refusal_without_an_end_is_a_refusal_at_the_deadline() -> None:
    async with raw_server(b"HTTP/1.1 403 Because\r\nServer: ") as url:
        with pytest.raises(ConnectionFailedError, match="refused: HTTP 403 Because"):
            await open_connection(url, Inbox(), tls=None, timeout_s=0.3)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "refused: not an HTTP answer: SSH-2.0-OpenSSH_9.2"),
        (b"", "refused: closed without an answer"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", "refused: .*Connection header"),
    ],
)
async def test_answer_that_is_no_handshake_is_described(answer: bytes, why: str) -> None:
    async with raw_server(answer, ends=True) as url:
        with pytest.raises(ConnectionFailedError, match=why):
            await connect(url, Inbox())


async def test_handshake_error_has_the_retry_delay_of_the_server() -> None:
    answers = iter(["7", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"])

    async def nobody(peer: ServerConnection) -> None:
        await peer.wait_closed()

    def refuse(peer: ServerConnection, request: Request) -> Response:
        response = peer.respond(503, "no")
        response.headers["Retry-After"] = next(answers)
        return response

    async with server(nobody, process_request=refuse) as url:
        for seconds in (7.0, None, None):
            with pytest.raises(ConnectionFailedError) as refusal:
                await connect(url, Inbox())
            assert (refusal.value.status, refusal.value.retry_after_s) == (503, seconds)


async def test_an_address_that_has_vanished_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with two addresses. The first neither accepts nor refuses, like an unreachable host."""

    async def hello(peer: ServerConnection) -> None:
        await peer.send("hello")
        await peer.wait_closed()

    hosts, port = (new_host(), new_host()), 8080
    with socket.socket() as full, socket.socket() as waiting:
        full.bind((hosts[0], port))
        full.listen(0)
        waiting.connect(full.getsockname())  # its queue is full now: more get no answer
        async with serve(hello, hosts[1], port):
            monkeypatch.setattr(socket, "getaddrinfo", partial(_addresses_of, hosts))
            inbox = Inbox()
            connection = await open_connection(f"ws://exchange.example:{port}/ws", inbox, tls=None, timeout_s=4.0)
            assert await inbox.holds(1) == [b"hello"]
            connection.end("done")
            await connection.ended()


def _addresses_of(hosts: tuple[str, ...], host: str, port: int, *others: int) -> list[tuple[object, ...]]:
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    addresses = hosts if host == "exchange.example" else (host,)
    return [(*kind, (address, port)) for address in addresses]


async def test_connection_fails_when_the_port_is_closed() -> None:
    closed = new_address()
    with pytest.raises(ConnectionFailedError, match=f"{closed}: Connection refused"):
        await connect(f"ws://{closed}", Inbox())


async def test_connection_fails_when_the_server_never_answers() -> None:
    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(1000):
                pass
        writer.close()
        gone.set()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as half_open:
        port = half_open.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionFailedError, match=r"within 0\.2 s"):
            await open_connection(f"ws://127.0.0.1:{port}", Inbox(), tls=None, timeout_s=0.2)
        async with asyncio.timeout(30):
            await gone.wait()  # no socket is left behind


async def test_connection_fails_when_the_head_has_no_end() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        with suppress(ConnectionError):
            while sent < 100 * 2**20:
                writer.write(b"H" * 2**16)
                sent += 2**16
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(flood, "127.0.0.1", 0) as running:
        port = running.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionFailedError, match="refused: a line of more than"):
            await open_connection(f"ws://127.0.0.1:{port}", Inbox(), tls=None, timeout_s=30)
    assert sent < 20 * 2**20  # what the sockets' buffers hold


@asynccontextmanager
async def greeter(frames: bytes, *, ends: bool = False) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A server that sends its handshake answer and first frames in one write, and an event for the end of its client."""
    gone = asyncio.Event()

    async def serve_peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        protocol = ServerProtocol()
        protocol.receive_data(await reader.readuntil(b"\r\n\r\n"))
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        writer.write(b"".join([*protocol.data_to_send(), frames]))
        with suppress(ConnectionError):
            while not ends and await reader.read(1000):
                pass
        writer.close()
        gone.set()

    async with await asyncio.start_server(serve_peer, "127.0.0.1", 0) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}", gone


async def test_who_is_cancelled_just_when_the_server_answers_leaves_no_socket() -> None:
    async with greeter(b"\x81\x05hello") as (url, gone):

        def cancel(frames: list[bytes]) -> None:
            task.cancel()

        task = asyncio.create_task(open_connection(url, cancel, tls=None, timeout_s=30))
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await gone.wait()


async def test_nothing_is_sent_after_the_servers_close_frame() -> None:
    async with greeter(b"\x81\x05hello\x88\x02\x03\xe8") as (url, _):
        connection = await open_connection(url, Inbox(), tls=None, close_timeout_s=0.1)
        connection.send("too late")
        async with asyncio.timeout(30):
            assert "1000" in await connection.ended()


async def test_invalid_address_is_an_input_error() -> None:
    with pytest.raises(InputError, match="allowed: ws://host:port"):
        await connect("http://example", Inbox())


async def test_a_cut_connection_has_a_reason() -> None:
    async def cut(peer: ServerConnection) -> None:
        peer.transport.abort()

    async with server(cut) as url:
        connection = await connect(url, Inbox())
        assert "lost" in await connection.ended()


def frame(head: int, length: int) -> bytes:
    """The head of a server's frame with this payload length."""
    if length < 126:
        return bytes([head, length])
    return bytes([head, 127]) + length.to_bytes(8)


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (frame(0x81, MAX_MESSAGE_BYTES + 1), "message too large: 16,777,217 bytes; at most 16,777,216 are accepted"),
        (
            frame(0x01, 3) + b"abc" + frame(0x80, MAX_MESSAGE_BYTES),
            "message too large: 16,777,219 bytes; at most 16,777,216 are accepted",
        ),
        (frame(0xC1, 3) + b"\xf2\x48\xcd", "frame with a reserved bit, as in a compressed message"),
        (frame(0x91, 3) + b"abc", "frame with a reserved bit"),
        (frame(0x83, 3) + b"abc", "invalid WebSocket frame: invalid opcode"),
        (b"\x81\x83abcdefg", "invalid WebSocket frame: incorrect masking"),
        (frame(0x80, 3) + b"abc", "invalid WebSocket frame: unexpected continuation frame"),
        (frame(0x09, 3) + b"abc", "invalid WebSocket frame: fragmented control frame"),
        (frame(0x88, 1) + b"a", "invalid WebSocket frame: close frame too short"),
        (frame(0x88, 2) + b"\x00\x07", "invalid WebSocket frame: invalid status code"),
        (frame(0x88, 3) + b"\x03\xe8\xff", "invalid WebSocket frame: .*utf-8"),
        (b"", "connection lost without a close frame"),
    ],
)
async def test_reason_names_the_frame_that_the_library_refused(frames: bytes, why: str) -> None:
    async with greeter(b"\x81\x05hello" + frames, ends=not frames) as (url, _):
        inbox = Inbox()
        connection = await open_connection(url, inbox, tls=None, timeout_s=30, close_timeout_s=0.05)
        async with asyncio.timeout(30):
            assert re.match(why, await connection.ended())
        assert inbox.frames == [b"hello"], "frames before the refused one count"


async def test_only_the_first_open_connection_of_several_addresses_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both handshakes are answered; the slower connection is closed and brings no frame."""
    monkeypatch.setattr("market_collector.net.addresses.NEXT_AFTER_S", 0.0)
    monkeypatch.setattr("market_collector.net.addresses.NEXT_AFTER_ACCEPTED_S", 0.0)
    hosts, port = (new_host(), new_host()), 8080
    asked, gone = asyncio.Barrier(2), asyncio.Semaphore(0)

    async def both_at_once(peer: ServerConnection, request: Request) -> None:
        await asked.wait()

    async def hello(peer: ServerConnection) -> None:
        await peer.send("hello")
        await peer.wait_closed()
        gone.release()

    serve_peers = partial(serve, hello, port=port, process_request=both_at_once)
    async with serve_peers(host=hosts[0]), serve_peers(host=hosts[1]):
        monkeypatch.setattr(socket, "getaddrinfo", partial(_addresses_of, hosts))
        inbox = Inbox()
        connection = await open_connection(f"ws://exchange.example:{port}/ws", inbox, tls=None, timeout_s=30)
        async with asyncio.timeout(30):
            await gone.acquire()  # the other one
        assert await inbox.holds(1) == [b"hello"]
        connection.end("done")
        await connection.ended()
        assert inbox.frames == [b"hello"]


@pytest.mark.parametrize("answering", [0, 1], ids=["none-answers", "last-answers"])
async def test_each_address_has_its_full_time(monkeypatch: pytest.MonkeyPatch, answering: int) -> None:
    """Eight addresses accept TCP and do not answer; a share of the timeout would not suffice for a far one."""
    monkeypatch.setattr("market_collector.net.addresses.NEXT_AFTER_S", 0.01)
    monkeypatch.setattr("market_collector.net.addresses.NEXT_AFTER_ACCEPTED_S", 0.01)
    hosts, port, timeout_s = tuple(new_host() for _ in range(8)), 8080, 30.0 if answering else 0.5
    monkeypatch.setattr(socket, "getaddrinfo", partial(_addresses_of, hosts))
    timeouts: list[float | None] = []
    real = asyncio.timeout

    def noted(delay: float | None) -> asyncio.Timeout:
        timeouts.append(delay)
        return real(delay)

    silent = hosts[: 8 - answering]
    async with AsyncExitStack() as servers:
        waiting = [servers.enter_context(silent_server(host, port)) for host in silent]
        for host in hosts[len(silent) :]:
            await servers.enter_async_context(serve(ServerConnection.wait_closed, host, port))
        monkeypatch.setattr(asyncio, "timeout", noted)
        opening = open_connection(f"ws://exchange.example:{port}/ws", Inbox(), tls=None, timeout_s=timeout_s)
        if answering:
            connection = await opening
            connection.end("done")
            await connection.ended()
        else:
            with pytest.raises(ConnectionFailedError, match=r"none of 8 .*: no WebSocket connection within 0\.5 s \("):
                await opening
        assert timeouts.count(timeout_s) == 9  # the name, and each address
        assert [first_bytes(silent, 4) for silent in waiting] == [b"GET "] * len(silent)


async def test_garbage_instead_of_websocket_frames_ends_the_connection() -> None:
    async def garbage(peer: ServerConnection) -> None:
        peer.transport.write(b"\xff\xff\xff\xff garbage")
        await peer.wait_closed()

    async with server(garbage) as url:
        connection = await connect(url, Inbox())
        async with asyncio.timeout(30):
            assert await connection.ended()


async def test_a_mistake_in_the_callback_ends_the_connection_loudly(caplog: pytest.LogCaptureFixture) -> None:
    async def hello(peer: ServerConnection) -> None:
        await peer.send("hello")
        await peer.wait_closed()

    def broken(frames: list[bytes]) -> None:
        raise ZeroDivisionError("mistake")

    async with server(hello) as url:
        connection = await open_connection(url, broken, tls=None, timeout_s=30)
        assert "internal error: ZeroDivisionError" in await connection.ended()
    assert "mistake" in caplog.text


async def test_a_server_that_does_not_close_is_cut() -> None:
    left = asyncio.Event()

    async def deaf(peer: ServerConnection) -> None:
        peer.transport.pause_reading()
        await left.wait()
        peer.transport.abort()

    async with server(deaf) as url:
        connection = await connect(url, Inbox())
        connection.end("leaving")
        async with asyncio.timeout(30):
            assert await connection.ended() == "leaving"
        assert connection.close_code is None
        left.set()
