"""A real server on loopback with plain HTTP clients."""

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator

import pytest

from market_collector.errors import InputError
from market_collector.telemetry import http
from market_collector.telemetry.http import HttpServer, ProbeAnswer, _is_local, serve
from market_collector.telemetry.status import Health, Status, encode

STATUS = Status(
    name="okx-btc",
    namespace="default",
    shard=0,
    version="0.1.0",
    epoch="e",
    started_at="",
    time="",
    health=Health.HEALTHY,
)


class Collector:
    """The callbacks of the server."""

    def __init__(self) -> None:
        self.alive: ProbeAnswer = (True, "")
        self.ready: ProbeAnswer = (True, "")

    async def status(self) -> bytes:
        return encode(STATUS)

    async def metrics(self) -> bytes:
        return b"market_collector_messages_total 1.0\n"


@pytest.fixture
def collector() -> Collector:
    return Collector()


async def start(collector: Collector, port: int = 0) -> HttpServer:
    return await serve(
        "127.0.0.1",
        port,
        is_alive=lambda: collector.alive,
        is_ready=lambda: collector.ready,
        status=lambda: collector.status(),
        metrics=lambda: collector.metrics(),
    )


@pytest.fixture
async def server(collector: Collector) -> AsyncIterator[HttpServer]:
    server = await start(collector)
    yield server
    await server.close()


async def send(server: HttpServer, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def get(server: HttpServer, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    answer = await send(
        server, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: kube-probe/1.36\r\n\r\n".encode()
    )
    head, _, body = answer.decode().partition("\r\n\r\n")
    first, *fields = head.split("\r\n")
    return int(first.split()[1]), dict(field.split(": ", 1) for field in fields), body


async def test_probes_answer_ok_when_the_collector_is_live_and_ready(server: HttpServer) -> None:
    assert (await get(server, "/livez"))[::2] == (200, "ok\n")
    assert (await get(server, "/readyz?verbose"))[::2] == (200, "ok\n")


async def test_failed_probe_answers_503_with_the_reason(server: HttpServer, collector: Collector) -> None:
    collector.ready = (False, "BTC-USDT/trade is stale")
    collector.alive = (False, "the supervisor has not run for 31 s")
    assert (await get(server, "/readyz"))[::2] == (503, "BTC-USDT/trade is stale\n")
    assert (await get(server, "/livez"))[::2] == (503, "the supervisor has not run for 31 s\n")


async def test_reason_of_a_failed_probe_is_one_printable_line(server: HttpServer, collector: Collector) -> None:
    collector.ready = (False, "\x1b[2J\nforged\ud800")
    assert (await get(server, "/readyz"))[::2] == (503, "\\x1b[2J\\nforged\\ud800\n")


async def test_the_status_is_json(server: HttpServer) -> None:
    code, fields, body = await get(server, "/status")
    assert (code, fields["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["name"] == "okx-btc"
    assert int(fields["Content-Length"]) == len(body)


async def test_metrics_are_prometheus_text(server: HttpServer) -> None:
    code, fields, body = await get(server, "/metrics")
    assert (code, fields["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert body == "market_collector_messages_total 1.0\n"


async def test_other_paths_answer_404_with_the_known_paths(server: HttpServer) -> None:
    assert (await get(server, "/"))[::2] == (404, "there are: /livez /readyz /status /metrics\n")


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE"])
async def test_other_methods_are_405(server: HttpServer, method: str) -> None:
    code, fields, _ = await get(server, "/status", method)
    assert (code, fields["Allow"]) == (405, "GET")


async def test_a_websocket_handshake_gets_a_plain_answer(server: HttpServer) -> None:
    answer = await send(
        server,
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_failure_to_answer_is_500_and_logged_and_the_next_is_served(
    server: HttpServer, collector: Collector, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> bytes:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(collector, "metrics", fail)
        assert (await get(server, "/metrics"))[0] == 500
    assert "no answer to /metrics" in caplog.text
    assert (await get(server, "/metrics"))[0] == 200


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00", b"hello\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"x" * 20_000])
async def test_scans_and_requests_make_no_noise(
    server: HttpServer, caplog: pytest.LogCaptureFixture, junk: bytes
) -> None:
    caplog.set_level(logging.INFO)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(junk)
    writer.write_eof()
    await reader.read()
    writer.close()
    _, idle = await asyncio.open_connection("127.0.0.1", server.port)
    idle.close()
    assert (await get(server, "/livez"))[0] == 200
    assert caplog.text == ""


async def test_close_does_not_wait_for_a_client_without_a_request(collector: Collector) -> None:
    server = await start(collector)
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(3):
        await server.close()
    writer.close()


async def test_error_gives_advice_when_the_port_is_in_use(server: HttpServer, collector: Collector) -> None:
    with pytest.raises(InputError, match=rf"--http 127.0.0.1:{server.port}: Address already in use; stop what uses it"):
        await start(collector, server.port)


async def test_error_names_an_address_that_is_not_local(collector: Collector) -> None:
    with pytest.raises(InputError, match=r"--http 192\.0\.2\.1:0: Cannot assign requested address"):
        await serve(
            "192.0.2.1",
            0,
            is_alive=lambda: collector.alive,
            is_ready=lambda: collector.ready,
            status=collector.status,
            metrics=collector.metrics,
        )


async def test_probes_are_answered_while_a_long_page_is_made(server: HttpServer, collector: Collector) -> None:
    may_end = asyncio.Event()

    async def long_page() -> bytes:
        await may_end.wait()
        return b"made\n"

    collector.metrics = long_page  # type: ignore[method-assign]
    page = asyncio.create_task(get(server, "/metrics"))
    assert (await get(server, "/livez"))[::2] == (200, "ok\n")
    may_end.set()
    assert (await page)[::2] == (200, "made\n")


async def half_request(server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nX: a")
    return reader, writer


async def ended(reader: asyncio.StreamReader) -> bool:
    with contextlib.suppress(ConnectionResetError):
        return await reader.read() == b""
    return True


async def test_oldest_of_too_many_connections_is_ended(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half requests stayed open for 30 s, in any number."""
    monkeypatch.setattr(http, "CONNECTIONS", 16)
    server = await start(collector)
    halves = [await half_request(server) for _ in range(100)]
    assert (await get(server, "/livez"))[::2] == (200, "ok\n")
    async with asyncio.timeout(5):
        assert all([await ended(reader) for reader, _ in halves[:84]])
    for _, writer in halves:
        writer.close()
    await server.close()


async def test_ended_connections_make_room_for_others(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 2)
    server = await start(collector)
    reader, writer = await half_request(server)
    for _ in range(5):
        assert (await get(server, "/livez"))[::2] == (200, "ok\n")
    writer.write(b"\r\nHost: localhost\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    await server.close()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_all_addresses_are_those_of_both_families(collector: Collector, host: str) -> None:
    """Pods may have only IPv6, and the pod template asks for 0.0.0.0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = await serve(
        host,
        port,
        is_alive=lambda: collector.alive,
        is_ready=lambda: collector.ready,
        status=collector.status,
        metrics=collector.metrics,
    )
    assert {each.family for each in server.server.sockets} == {socket.AF_INET, socket.AF_INET6}
    assert {each.getsockname()[1] for each in server.server.sockets} == {port}
    await server.close()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8080", b"200"),
        ("127.0.0.1:8080", b"200"),
        ("[::1]:8080", b"200"),
        ("evil.example:8080", b"403"),
        ("127.0.0.1.evil.example", b"403"),
    ],
)
async def test_names_of_web_pages_are_refused_on_loopback(server: HttpServer, host: str, status: bytes) -> None:
    answer = await send(server, f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_pods_answer_to_any_name() -> None:
    assert [_is_local(host) for host in ("0.0.0.0", "::", "10.0.0.1", "pod")] == [False] * 4
    assert [_is_local(host) for host in ("127.0.0.1", "::1", "localhost")] == [True] * 3
