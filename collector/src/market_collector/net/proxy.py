"""Tunnels through an HTTP proxy, by the variables that REST uses too: HTTPS_PROXY, HTTP_PROXY, NO_PROXY.

A proxy's address may contain a password, so messages show only its host and port.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

from market_collector.errors import InputError
from market_collector.excerpt import first_words
from market_collector.net.http_answer import BODY_S, LONGEST_BYTES, Answer, read_answer

if TYPE_CHECKING:
    from websockets.proxy import Proxy
    from websockets.uri import WebSocketURI

ALLOWED = "allowed in HTTPS_PROXY and HTTP_PROXY: http://[user:password@]host[:port]"
SCHEMES = ("wss", "ws", "https", "http", "socks")
VARIABLES = tuple(name for scheme in SCHEMES for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()))


def proxy_for(uri: WebSocketURI) -> Proxy | None:
    """Return the proxy that the environment sets for an address; None for a direct connection.

    Raises:
        InputError: the proxy cannot be used.
    """
    if not any(os.environ.get(name) for name in VARIABLES):  # by name: the caller may change the environment meanwhile
        return None
    from websockets.exceptions import InvalidProxy  # imported here: 2 MB with urllib, and most need no proxy
    from websockets.proxy import get_proxy, parse_proxy

    from market_spec.no_proxy import is_in_no_proxy_network

    address = get_proxy(uri)
    if address is None or is_in_no_proxy_network(uri.host, os.environ):
        return None
    try:
        proxy = parse_proxy(address if "://" in address else f"http://{address}")
    except InvalidProxy as error:
        raise InputError(f"the proxy for {uri.host} cannot be used: {error.msg}; {ALLOWED}") from None
    except ValueError:  # invalid port, or a password with "/" that the error would show in part
        raise InputError(f"the proxy for {uri.host} cannot be read; {ALLOWED}") from None
    if proxy.scheme != "http":
        raise InputError(f"the proxy for {uri.host} is one for {proxy.scheme}, which is not supported; {ALLOWED}")
    return proxy


async def open_tunnel(way: socket.socket, proxy: Proxy, uri: WebSocketURI) -> None:
    """Make a connection to the proxy a tunnel to the exchange.

    Raises:
        OSError: the proxy refuses, or does not answer in HTTP.
    """
    from websockets.proxy import prepare_connect_request

    loop = asyncio.get_running_loop()
    await loop.sock_sendall(way, prepare_connect_request(proxy, uri, user_agent_header=None))
    answer, data = await _read_answer(way)
    if answer is None or (_is_consent(answer) and not answer.has_head):
        words = f": {said}" if (said := first_words(data)) else ""
        raise OSError(f"it did not answer in HTTP{words}")
    if not _is_consent(answer):
        raise OSError(f"it refused: {answer}")


async def _read_answer(way: socket.socket) -> tuple[Answer | None, bytes]:
    """Read a consent's head, or a refusal with the first words of its body."""
    loop = asyncio.get_running_loop()
    data, answer, until = b"", None, None
    while len(data) < LONGEST_BYTES and not _is_enough(answer):
        try:
            async with asyncio.timeout_at(until):
                more = await loop.sock_recv(way, 4096)
        except TimeoutError:
            break
        if not more:
            break
        data += more
        answer = read_answer(data)
        if until is None and answer is not None and not _is_consent(answer):
            until = loop.time() + BODY_S
    return answer, data


def _is_consent(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _is_enough(answer: Answer | None) -> bool:
    """No data can follow a consent, because the client sends first."""
    return answer is not None and (answer.has_head if _is_consent(answer) else answer.is_complete)
