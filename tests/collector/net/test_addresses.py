"""Attempts over the addresses of a name, with attempts that each test scripts."""

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from market_collector.errors import ConnectionFailedError
from market_collector.net import addresses
from market_collector.net.addresses import Address, first_connected, resolve, words

V4, V6 = socket.AF_INET, socket.AF_INET6


def named(*names: str) -> list[Address]:
    return [Address(V4, (name, 80)) for name in names]


class Attempts:
    """Attempts that stay open until the test ends them."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.cancelled: list[str] = []
        self.accepting: set[str] = set()
        """Addresses that accept TCP."""
        self.ends: dict[str, asyncio.Future[str]] = {}

    async def __call__(self, address: Address, accepted: asyncio.Event) -> str:
        name = address.target[0]
        self.started.append(name)
        if name in self.accepting:
            accepted.set()
        try:
            return await self.end(name)
        except asyncio.CancelledError:
            self.cancelled.append(name)
            raise

    def end(self, name: str) -> asyncio.Future[str]:
        return self.ends.setdefault(name, asyncio.get_running_loop().create_future())


@pytest.fixture
def prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next address is due at once."""
    monkeypatch.setattr(addresses, "NEXT_AFTER_S", 0.0)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next address is due only when an attempt has failed."""
    monkeypatch.setattr(addresses, "NEXT_AFTER_S", 3600.0)


async def comes(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0)


@pytest.mark.usefixtures("prompt")
async def test_attempts_overlap_and_the_first_success_cancels_the_others() -> None:
    attempts = Attempts()
    task = asyncio.create_task(first_connected(named("a", "b", "c"), attempts))
    await comes(lambda: attempts.started == ["a", "b", "c"])
    attempts.end("b").set_result("connected")
    assert await task == "connected"
    assert attempts.cancelled == ["a", "c"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.usefixtures("patient")
async def test_failure_starts_the_next_attempt_at_once() -> None:
    attempts = Attempts()
    task = asyncio.create_task(first_connected(named("a", "b"), attempts))
    await comes(lambda: attempts.started == ["a"])
    attempts.end("a").set_exception(OSError("unreachable"))
    attempts.end("b").set_result("connected")
    assert await task == "connected"


@pytest.mark.usefixtures("prompt")
async def test_next_attempt_waits_longer_when_tcp_is_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a far exchange would count several connections for each one that is needed."""
    monkeypatch.setattr(addresses, "NEXT_AFTER_ACCEPTED_S", 3600.0)
    attempts = Attempts()
    attempts.accepting = {"b"}
    task = asyncio.create_task(first_connected(named("a", "b", "c"), attempts))
    await comes(lambda: attempts.started == ["a", "b"])
    for _ in range(100):
        await asyncio.sleep(0)
    assert attempts.started == ["a", "b"]
    attempts.end("b").set_result("connected")
    assert await task == "connected"


@pytest.mark.usefixtures("prompt")
async def test_error_names_each_reason_once_when_all_addresses_fail() -> None:
    attempts = Attempts()
    for name in ("a", "b", "c", "d"):
        attempts.end(name).set_exception(TimeoutError("no answer"))
    attempts.end("e").set_exception(ConnectionRefusedError(111, "Connection refused"))
    with pytest.raises(OSError, match="none of 5 addresses connects: ") as failure:
        await first_connected(named("a", "b", "c", "d", "e"), attempts)
    assert str(failure.value).endswith("no answer (a, b, c and 1 more); Connection refused (e)")


async def test_error_of_a_single_address_is_its_reason() -> None:
    attempts = Attempts()
    attempts.end("a").set_exception(TimeoutError("no answer"))
    with pytest.raises(OSError, match=r"^no answer$"):
        await first_connected(named("a"), attempts)


@pytest.mark.usefixtures("prompt")
async def test_refusal_ends_all_attempts() -> None:
    attempts = Attempts()
    task = asyncio.create_task(first_connected(named("a", "b"), attempts))
    await comes(lambda: attempts.started == ["a", "b"])
    attempts.end("b").set_exception(ConnectionFailedError("HTTP 429", status=429))
    with pytest.raises(ConnectionFailedError, match="HTTP 429"):
        await task
    assert attempts.cancelled == ["a"]


@pytest.mark.usefixtures("prompt")
async def test_cancelling_leaves_no_attempt() -> None:
    attempts = Attempts()
    task = asyncio.create_task(first_connected(named("a", "b"), attempts))
    await comes(lambda: attempts.started == ["a", "b"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert attempts.cancelled == ["a", "b"]


async def test_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(host: str, port: int, *others: int) -> list[tuple[Any, ...]]:
        assert (host, port) == ("exchange.example", 443)
        six = [(V6, 1, 6, "", (f"::{n}", port, 0, 0)) for n in (1, 2, 3)]
        return [*six, *six, (V4, 1, 6, "", ("10.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert [address.target[0] for address in await resolve("exchange.example", 443)] == [
        "::1",
        "10.0.0.1",
        "::2",
        "::3",
    ]


@pytest.mark.parametrize("host", ["no-such-name.invalid", f"{'x' * 64}.example", "a..example"])
async def test_name_that_cannot_be_resolved_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(OSError, match=f"{host} cannot be resolved: "):
        await resolve(host, 443)


HANGS = """
import asyncio, socket, threading
from market_collector.net.addresses import resolve
called = threading.Event()
def hang(*arguments):
    called.set()
    threading.Event().wait()
socket.getaddrinfo = hang
async def main():
    task = asyncio.create_task(resolve("exchange.example", 443))
    await asyncio.sleep(0)
    called.wait()
    task.cancel()
asyncio.run(main())
print("ended")
"""


def test_resolver_that_hangs_does_not_delay_the_end_of_the_process() -> None:
    result = subprocess.run([sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "ended\n"), result.stderr


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (ssl.SSLError("odd"), "odd"),
        (OSError("plain"), "plain"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_words_of_an_error_are_never_empty(error: OSError, text: str) -> None:
    assert text in words(error)
