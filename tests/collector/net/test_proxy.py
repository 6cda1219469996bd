"""Connections through a real proxy on loopback, configured by the environment."""

import asyncio
import base64
import re
import socket
import ssl
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.uri import parse_uri

import tls
from loopback import first_bytes, new_host, silent_server
from market_collector.errors import ConnectionFailedError, InputError
from market_collector.net.opening import open_connection
from market_collector.net.proxy import proxy_for

VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy")
PASSWORD = "pass word"
EXCHANGE = parse_uri("wss://ws.exchange.example:8443/ws")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Proxy:
    """Lets those through who know the password."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 here\r\n\r\n"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head.splitlines()[0])
        known = base64.b64encode(f"user:{PASSWORD}".encode()).decode()
        if f"Proxy-Authorization: Basic {known}\r\n" not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(self.answers)
            if b" 200 " in self.answers:
                await self._connect(self.asked[-1].split()[1], reader, writer)
        writer.close()

    async def _connect(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, _, port = target.rpartition(":")
        inside, outside = await asyncio.open_connection(host, int(port))
        await asyncio.gather(pump(reader, outside), pump(inside, writer))


async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while block := await source.read(65_536):
        target.write(block)
        await target.drain()
    target.close()


@pytest.fixture
async def proxy() -> AsyncIterator[tuple[Proxy, str]]:
    one = Proxy()
    running = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    async with running:
        yield one, f"127.0.0.1:{running.sockets[0].getsockname()[1]}"


@pytest.fixture
async def exchange(tmp_path: Path) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
    """An exchange that sends a greeting. Yields its address and an SSL context that trusts it."""
    authority = tls.authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*map(str, authority.issue("localhost")))

    async def greet(peer: ServerConnection) -> None:
        await peer.send("hello")
        await peer.wait_closed()

    async with serve(greet, "127.0.0.1", 0, ssl=context) as running:
        port = running.sockets[0].getsockname()[1]
        yield f"wss://localhost:{port}/ws", ssl.create_default_context(cafile=str(authority.file))


async def greeting(url: str, trust: ssl.SSLContext | None, timeout_s: float = 10) -> bytes:
    came: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    connection = await open_connection(url, lambda frames: came.set_result(frames[0]), tls=trust, timeout_s=timeout_s)
    try:
        async with asyncio.timeout(10):
            return await came
    finally:
        connection.end("enough")
        await connection.ended()


async def test_the_connection_goes_through_the_proxy_that_https_proxy_names(
    proxy: tuple[Proxy, str], exchange: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS is with the exchange, whose certificate is checked: the proxy sees host and port."""
    (one, address), (url, trust) = proxy, exchange
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD.replace(' ', '%20')}@{address}")
    assert await greeting(url, trust) == b"hello"
    assert one.asked == [f"CONNECT {url.removeprefix('wss://').removesuffix('/ws')} HTTP/1.1"]
    with pytest.raises(ConnectionFailedError, match="certificate"):
        await greeting(url, ssl.create_default_context())


async def test_no_proxy_is_the_direct_way(
    proxy: tuple[Proxy, str], exchange: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one, address), (url, trust) = proxy, exchange
    monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
    monkeypatch.setenv("NO_PROXY", "example.com,localhost")
    assert await greeting(url, trust) == b"hello"
    assert one.asked == []


async def test_without_tls_the_way_is_a_tunnel_too(proxy: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch) -> None:
    one, address = proxy
    monkeypatch.setenv("HTTP_PROXY", f"user:pass%20word@{address}")

    async with serve(lambda peer: peer.send("plain"), "127.0.0.1", 0) as running:
        url = f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"
        assert await greeting(url, None) == b"plain"
    assert len(one.asked) == 1


async def test_error_hides_the_password_when_a_proxy_refuses(
    proxy: tuple[Proxy, str], exchange: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, address), (url, trust) = proxy, exchange
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:wrong-secret@{address}")
    with pytest.raises(ConnectionFailedError, match=f"proxy {address}: it refused: HTTP 407 Proxy Auth") as refused:
        await greeting(url, trust)
    assert "wrong-secret" not in "".join(traceback.format_exception(refused.value))


async def test_the_next_address_of_its_name_is_tried(
    proxy: tuple[Proxy, str], exchange: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No server listens at 127.0.0.2."""
    (one, address), (url, trust) = proxy, exchange
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%20word@proxy.example:{address.partition(':')[2]}")
    monkeypatch.setattr(socket, "getaddrinfo", partial(_addresses_of, ("127.0.0.2", "127.0.0.1")))
    assert await greeting(url, trust) == b"hello"
    assert len(one.asked) == 1


@pytest.mark.parametrize(
    ("refusal", "why"),
    [(b"HTTP/1.1 503 Later\r\n\r\n", r"it refused: HTTP 503 Later"), (None, "Connection refused")],
    ids=["refuses", "closed-port"],
)
@pytest.mark.parametrize("silent", [0, 1], ids=["silent-first", "silent-last"])
async def test_every_address_of_a_silent_and_refusing_proxy_is_reported(
    monkeypatch: pytest.MonkeyPatch, refusal: bytes | None, why: str, silent: int
) -> None:
    hosts, port, one = (new_host(), new_host()), 8080, Proxy()
    _sets_proxy(monkeypatch, hosts, port)
    async with AsyncExitStack() as servers:
        waiting = servers.enter_context(silent_server(hosts[silent], port))
        if refusal is not None:
            one.answers = refusal
            await servers.enter_async_context(await asyncio.start_server(one.serve, hosts[1 - silent], port))
        with pytest.raises(ConnectionFailedError, match=r"proxy proxy\.example:8080: none of 2 addresses") as failed:
            await open_connection("ws://127.0.0.1:9/ws", lambda frames: None, tls=None, timeout_s=0.5)
        assert re.search(rf"{why} \({re.escape(hosts[1 - silent])}\)", str(failed.value))
        assert f"no WebSocket connection within 0.5 s ({hosts[silent]})" in str(failed.value)
        assert first_bytes(waiting, 8) == b"CONNECT "


async def test_silent_proxy_does_not_hide_another_address(
    exchange: tuple[str, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("market_collector.net.addresses.NEXT_AFTER_ACCEPTED_S", 0.01)
    (url, trust), hosts, port, one = exchange, (new_host(), new_host()), 8080, Proxy()
    _sets_proxy(monkeypatch, hosts, port)
    async with await asyncio.start_server(one.serve, hosts[1], port):
        with silent_server(hosts[0], port) as waiting:
            assert await greeting(url, trust, timeout_s=600) == b"hello"
            assert first_bytes(waiting, 8) == b"CONNECT "
    assert len(one.asked) == 1


def _sets_proxy(monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], port: int) -> None:
    """A proxy whose name has these addresses."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://user:pass%20word@proxy.example:{port}")
    monkeypatch.setattr(socket, "getaddrinfo", partial(_addresses_of, hosts))


def _addresses_of(hosts: tuple[str, ...], host: str, port: int, *others: int, **more: int) -> list[tuple[object, ...]]:
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    addresses = hosts if host == "proxy.example" else ("127.0.0.1",)
    return [(*kind, (address, port)) for address in addresses]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 Later\r\n\r\n", "it refused: HTTP 503 Later"),
        (b"HTTP/1.0 403 Forbidden\r\n\r\n<html>not <b>allowed</b></html>", "HTTP 403 Forbidden: not allowed$"),
        (b"HTTP/1.1 407\r\nContent-Length: 9999\r\n\r\nwho are you", "HTTP 407: who are you"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n" + b"x" * 70_000, "HTTP 502 Bad Gateway: xxx"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "it did not answer in HTTP: SSH-2.0-OpenSSH"),
        (b"HTTP/1.1 200", "it did not answer in HTTP"),
        (b"HTTP/1.1 200 OK\r\nVia: ", "it did not answer in HTTP"),
        (b"", "it did not answer in HTTP$"),
        (b"x" * 70_000, "it did not answer in HTTP"),
    ],
)
async def test_a_proxy_that_answers_something_else_is_an_error(
    proxy: tuple[Proxy, str], monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    one, address = proxy
    one.answers = answer
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass%20word@{address}")
    with pytest.raises(ConnectionFailedError, match=why):
        await greeting("wss://localhost:9/ws", ssl.create_default_context())


async def test_a_proxy_that_is_not_there_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ConnectionFailedError, match=r"proxy 127\.0\.0\.1:9: Connection refused"):
        await greeting("wss://localhost:9/ws", ssl.create_default_context())


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("socks5h://user:hunter2@proxy:1080", "one for socks5h, which is not supported"),
        ("https://user:hunter2@proxy:3128", "one for https, which is not supported"),
        ("http://user:hunter2@proxy:3128/path", "path is meaningless"),
        ("http://user:hun/ter2@proxy:3128", "the proxy for ws.exchange.example"),
        ("http://hunter2@proxy:3128", "username provided without password"),
        ("http://", "hostname isn't provided"),
    ],
)
def test_an_address_that_cannot_be_used_is_an_error_that_keeps_the_secret(
    monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    with pytest.raises(InputError, match=why) as refused:
        proxy_for(EXCHANGE)
    assert "hun" not in "".join(traceback.format_exception(refused.value))


def test_a_changing_environment_does_not_break_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of the caller may remove a variable at any time, which breaks every loop over all variables."""

    class Changing(dict[str, str]):
        def __iter__(self) -> Iterator[str]:
            raise KeyError("REMOVED_MEANWHILE")

        def items(self) -> NoReturn:
            raise KeyError("REMOVED_MEANWHILE")

    monkeypatch.setattr("os.environ", Changing())
    assert proxy_for(EXCHANGE) is None


@pytest.mark.parametrize(
    ("address", "excluded"),
    [
        ("wss://10.1.2.3:8443/ws", "10.0.0.0/8"),
        ("wss://[fd00::5]:8443/ws", "fd00::/8"),
        ("ws://[fd00::5]:8443/ws", "fd00:0::5"),
    ],
)
def test_network_of_no_proxy_means_a_direct_connection(
    monkeypatch: pytest.MonkeyPatch, address: str, excluded: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    assert proxy_for(parse_uri(address)) is not None
    monkeypatch.setenv("NO_PROXY", f".svc,{excluded}")
    assert proxy_for(parse_uri(address)) is None
