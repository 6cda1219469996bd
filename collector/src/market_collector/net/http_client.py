"""HTTP requests of a thread, whose answers have a deadline and lead to no other address.

Imported with the first request: most collectors send none.
"""

from __future__ import annotations

import io
import os
import socket
import ssl
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, cast
from urllib.parse import urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from market_spec.no_proxy import is_in_no_proxy_network

TIMEOUT_S = 5.0
"""Without any data."""


class DeadlineReader(io.RawIOBase):
    """Reads a socket until a deadline. The socket's own timeout restarts with each byte, in the head too."""

    def __init__(self, connected: socket.socket, timeout_s: float, ends_at: float) -> None:
        self._socket = connected
        self._raw = connected.makefile("rb", buffering=0)
        self._timeout_s = timeout_s
        self._ends_at = ends_at

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See `io.RawIOBase`.

        Raises:
            TimeoutError: the deadline has passed, or the socket's own.
        """
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("no complete answer within the time limit")
        self._socket.settimeout(min(self._timeout_s, left_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """See `io.IOBase`."""
        self._raw.close()
        super().close()


def with_deadline(connection: HTTPConnection, timeout_s: float, ends_at: float) -> HTTPConnection:
    """The connection, whose answers are read until ``ends_at`` (monotonic seconds)."""

    def answer(connected: socket.socket, *, method: str | None = None, **_: object) -> HTTPResponse:
        response = HTTPResponse(connected, method=method)
        response.fp.close()
        response.fp = io.BufferedReader(DeadlineReader(connected, timeout_s, ends_at))
        return response

    connection.response_class = answer  # type: ignore[assignment]
    return connection


def send(request: Request, tls: ssl.SSLContext | None, ends_at: float) -> HTTPResponse:
    """Send a request through the proxy of the environment, unless NO_PROXY has a network around the address.

    Raises:
        OSError: no answer. `urllib.error.HTTPError` for any status but 2xx: redirects are not followed.
        http.client.HTTPException: the answer is not HTTP.
    """
    is_direct = is_in_no_proxy_network(urlsplit(request.full_url).hostname or "", os.environ)
    opener = OpenerDirector()  # without the redirects, FTP, files and data URLs of `build_opener`
    opener.add_handler(ProxyHandler({} if is_direct else None))
    opener.add_handler(_Https(tls, ends_at) if request.type == "https" else _Http(ends_at))
    for handler in (UnknownHandler(), HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
        opener.add_handler(handler)
    return cast("HTTPResponse", opener.open(request, timeout=TIMEOUT_S))


class _Http(HTTPHandler):
    def __init__(self, ends_at: float) -> None:
        super().__init__()
        self._ends_at = ends_at

    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_maker(HTTPConnection, self._ends_at), req)


class _Https(HTTPSHandler):
    def __init__(self, tls: ssl.SSLContext | None, ends_at: float) -> None:
        super().__init__(context=tls)
        self._tls = tls
        self._ends_at = ends_at

    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_maker(HTTPSConnection, self._ends_at), req, context=self._tls)


def _maker(kind: Callable[..., HTTPConnection], ends_at: float) -> Any:
    return lambda host, **options: with_deadline(kind(host, **options), TIMEOUT_S, ends_at)
