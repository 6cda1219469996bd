"""Connects to the first address of a name that answers. Attempts overlap (RFC 8305), each with its full time."""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple, TypeVar

from market_collector.threads import in_thread

NEXT_AFTER_S = 0.25
"""Delay before the next address while one does not accept a TCP connection (RFC 8305, 5)."""
NEXT_AFTER_ACCEPTED_S = 1.0
"""The same once TCP is connected: exchanges limit the connections of a client, and far ones need 0.7 s."""
NAMED = 3
"""Addresses that a message lists."""

T = TypeVar("T")


class Address(NamedTuple):
    """One address of a name."""

    family: int
    target: Any
    """As the socket's family needs it: a tuple that starts with host and port."""


Connect = Callable[[Address, asyncio.Event], Awaitable[T]]
"""Connects to an address, and sets the event when TCP is connected. An `OSError` leads to the next address."""


async def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a name, families in turn.

    Raises:
        OSError: the name has no address, or cannot be resolved now.
    """
    try:
        found = await in_thread(lambda: socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
    except OSError as error:
        raise OSError(f"{host} cannot be resolved: {error.strerror or error}") from error
    except UnicodeError as error:  # a part of the name is empty or too long
        raise OSError(f"{host} cannot be resolved: {error}") from error
    by_family: dict[int, list[Address]] = {}
    for family, _, _, _, target in dict.fromkeys(found):
        by_family.setdefault(family, []).append(Address(family, target))
    turns = chain.from_iterable(zip_longest(*by_family.values()))
    return [address for address in turns if address is not None]


async def connect_tcp(address: Address) -> socket.socket:
    """Return a socket that is connected to this address.

    Raises:
        OSError: it is refused or cannot be reached.
    """
    connected = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, address.target)
    except BaseException as error:
        connected.close()
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, os.strerror(error.errno)) from error
        raise
    return connected


async def first_connected(addresses: Sequence[Address], connect: Connect[T]) -> T:
    """Return the result of the first attempt that succeeds. The others are cancelled and awaited.

    Raises:
        OSError: every address failed; the message says why.
        Exception: any other error of an attempt, at once.
    """
    waiting, running = deque(addresses), dict[asyncio.Task[T], Address]()
    failures: dict[Address, OSError] = {}
    accepted = asyncio.Event()
    try:
        while waiting or running:
            if waiting:
                address, accepted = waiting.popleft(), asyncio.Event()
                running[asyncio.create_task(_awaited(connect(address, accepted)))] = address
            for task in await _ended(running, accepted, has_next=bool(waiting)):
                address = running.pop(task)
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, OSError):
                    raise error
                failures[address] = error
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    raise OSError(_summary(failures))


async def _awaited(attempt: Awaitable[T]) -> T:
    return await attempt


async def _ended(
    running: Collection[asyncio.Task[T]], accepted: asyncio.Event, *, has_next: bool
) -> list[asyncio.Task[T]]:
    """Wait until an attempt has ended or the next one is due; return the ended ones, successes first."""
    delay_s = NEXT_AFTER_S if has_next else None
    done, _ = await asyncio.wait(running, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
    if has_next and not done and accepted.is_set():
        delay_s = NEXT_AFTER_ACCEPTED_S - NEXT_AFTER_S
        done, _ = await asyncio.wait(running, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
    return sorted(done, key=lambda task: task.exception() is not None)


def _summary(failures: Mapping[Address, OSError]) -> str:
    """Name each reason once, with the addresses that it holds for."""
    reasons: dict[str, list[str]] = {}
    for address, error in failures.items():
        reasons.setdefault(words(error), []).append(str(address.target[0]))
    if len(failures) <= 1:
        return next(iter(reasons), "its name has no address")
    each = "; ".join(f"{reason} ({_listed(names)})" for reason, names in reasons.items())
    return f"none of {len(failures)} addresses connects: {each}"


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    rest = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
    return ", ".join(shown[:NAMED]) + rest


def words(error: BaseException) -> str:
    """Return an error's text; some have none."""
    text = error.strerror if isinstance(error, OSError) else None
    return text or str(error) or type(error).__name__
