"""REST requests: few, small, rate limited. The standard library in a thread costs no memory until the first one."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request

if TYPE_CHECKING:
    from http.client import HTTPResponse

TIMEOUT_S = 5.0
"""Without any data."""
TOTAL_TIMEOUT_S = 15.0
"""Until an answer is complete."""
TOO_MANY = 429
TOO_MANY_PAUSE_S = 2.0
"""Pause without a ``Retry-After``: OKX counts requests in windows of this length."""
LONGEST_PAUSE_S = 60.0
MAX_BODY_BYTES = 8 * 2**20


class Rest:
    """All REST requests of the process to one exchange, at most ``per_second`` of them."""

    def __init__(
        self,
        base: str,
        *,
        tls: ssl.SSLContext | None,
        per_second: float = 8.0,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        self._base = base.rstrip("/")
        self._tls = tls
        self._spacing_s = 1 / per_second
        self._total_timeout_s = total_timeout_s
        self._next_at = 0.0

    async def get(self, request: Request) -> bytes:
        """Return the body of the answer.

        Raises:
            RequestFailedError: no answer within 5 s, no complete one within 15 s, or an HTTP status other than 200.
        """
        wait = self._next_at - time.monotonic()
        self._next_at = max(self._next_at, time.monotonic()) + self._spacing_s
        if wait > 0:
            await asyncio.sleep(wait)
        url = self._base + request.path
        try:
            async with asyncio.timeout(self._total_timeout_s):
                return await _in_thread(lambda: get(url, self._tls, self._total_timeout_s))
        except TimeoutError as error:
            raise RequestFailedError(f"GET {url}: no complete answer within {self._total_timeout_s:g} s") from error
        except RequestFailedError as error:
            # Pause all requests of the process: the limit is per address.
            self._next_at = max(self._next_at, time.monotonic() + error.pause_s)
            raise


async def _in_thread(work: Callable[[], bytes]) -> bytes:
    """Run work in a daemon thread: at exit the process would wait for one of asyncio's threads."""
    answer: Future[bytes] = Future()
    answer.set_running_or_notify_cancel()  # the waiter cannot cancel it from now on

    def run() -> None:
        try:
            answer.set_result(work())
        except Exception as error:  # raised to the waiter
            answer.set_exception(error)

    threading.Thread(target=run, name="question", daemon=True).start()
    return await asyncio.wrap_future(answer)


def get(url: str, tls: ssl.SSLContext | None, total_timeout_s: float = TOTAL_TIMEOUT_S) -> bytes:
    """Return the body of the answer; blocks the thread.

    Raises:
        RequestFailedError: no answer within 5 s, no complete one within 15 s, or an HTTP status other than 200.
    """
    from http.client import HTTPException  # imported here: most collectors send no request
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT_S, context=tls) as answer:  # noqa: S310 - http(s) by the spec
            return _body(answer, total_timeout_s)
    except HTTPError as error:
        with error:
            pause_s = _pause_s(error.headers.get("Retry-After", "")) if error.code == TOO_MANY else 0.0
        raise RequestFailedError(f"GET {url}: {error}", pause_s) from error
    except (OSError, HTTPException, ValueError) as error:
        raise RequestFailedError(f"GET {url}: {error}") from error


def _body(answer: HTTPResponse, total_timeout_s: float) -> bytes:
    """Read the body within the total timeout: the socket's timeout restarts with each piece."""
    ends_at = time.monotonic() + total_timeout_s
    body = bytearray()
    while len(body) < MAX_BODY_BYTES and (more := answer.read1(MAX_BODY_BYTES)):
        body += more
        if time.monotonic() > ends_at:
            raise TimeoutError(f"no complete answer within {total_timeout_s:g} s")
    return bytes(body)


def _pause_s(retry_after: str) -> float:
    return min(float(retry_after), LONGEST_PAUSE_S) if retry_after.isdecimal() else TOO_MANY_PAUSE_S
