"""Tunnels through an HTTP proxy, by the variables that REST uses too: HTTPS_PROXY, HTTP_PROXY, NO_PROXY.

A proxy's address may contain a password, so messages show only its host and port.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from typing import TYPE_CHECKING

from market_collector.errors import ConnectionFailedError, InputError

if TYPE_CHECKING:
    from websockets.proxy import Proxy
    from websockets.uri import WebSocketURI

ALLOWED = "allowed in HTTPS_PROXY and HTTP_PROXY: http://[user:password@]host[:port]"
SCHEMES = ("wss", "ws", "https", "http", "socks")
VARIABLES = tuple(name for scheme in SCHEMES for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()))
MAX_ANSWER_BYTES = 65_536
ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3} ?[^\r\n]{0,100})")


def proxy_for(uri: WebSocketURI) -> Proxy | None:
    """Return the proxy that the environment sets for an address; None for a direct connection.

    Raises:
        InputError: the proxy cannot be used.
    """
    if not any(os.environ.get(name) for name in VARIABLES):  # by name: the caller may change the environment meanwhile
        return None
    from websockets.exceptions import InvalidProxy  # imported here: 2 MB with urllib, and most need no proxy
    from websockets.proxy import get_proxy, parse_proxy

    address = get_proxy(uri)
    if address is None:
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


async def open_tunnel(proxy: Proxy, uri: WebSocketURI) -> socket.socket:
    """Return a socket tunnelled to the exchange.

    Raises:
        ConnectionFailedError: the proxy cannot be reached, or refuses.
    """
    try:
        return await _open_tunnel(proxy, uri)
    except OSError as error:
        raise ConnectionFailedError(f"proxy {proxy.host}:{proxy.port}: {error}") from error


async def _open_tunnel(proxy: Proxy, uri: WebSocketURI) -> socket.socket:
    loop = asyncio.get_running_loop()
    failure = OSError("its name has no address")
    for family, kind, number, _, address in await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM):
        tunnel = socket.socket(family, kind, number)
        try:
            tunnel.setblocking(False)
            await loop.sock_connect(tunnel, address)
            await _ask(tunnel, proxy, uri)
        except OSError as error:  # try the next address
            tunnel.close()
            failure = error
        except BaseException:  # cancelled
            tunnel.close()
            raise
        else:
            return tunnel
    raise failure


async def _ask(tunnel: socket.socket, proxy: Proxy, uri: WebSocketURI) -> None:
    from websockets.proxy import prepare_connect_request

    loop = asyncio.get_running_loop()
    await loop.sock_sendall(tunnel, prepare_connect_request(proxy, uri, user_agent_header=None))
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):  # no data can follow: the client sends first
        more = await loop.sock_recv(tunnel, 4096)
        if not more or len(answer) > MAX_ANSWER_BYTES:
            raise OSError("it did not answer in HTTP")
        answer += more
    found = ANSWER.match(answer)
    if found is None or not found[1].startswith(b"2"):
        raise OSError(f"it refused: {found[1].decode(errors='replace') if found else 'not in HTTP'}")
