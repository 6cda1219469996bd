"""REST questions: few, small, paced; the standard library in a thread costs no memory until the first one."""

import asyncio
import ssl
import time

from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request

TIMEOUT_S = 5.0
MAX_BODY_BYTES = 8 * 2**20


class Rest:
    """All REST requests of the process to one exchange, at most ``per_second`` of them."""

    def __init__(self, base: str, *, tls: ssl.SSLContext | None, per_second: float = 8.0) -> None:
        self._base = base.rstrip("/")
        self._tls = tls
        self._spacing_s = 1 / per_second
        self._next_at = 0.0

    async def get(self, request: Request) -> bytes:
        """The body of the answer.

        Raises:
            RequestFailedError: no answer within 5 s, or an HTTP status other than 200.
        """
        wait = self._next_at - time.monotonic()
        self._next_at = max(self._next_at, time.monotonic()) + self._spacing_s
        if wait > 0:
            await asyncio.sleep(wait)
        return await asyncio.to_thread(get, self._base + request.path, self._tls)


def get(url: str, tls: ssl.SSLContext | None) -> bytes:
    """The body of the answer; blocks the thread.

    Raises:
        RequestFailedError: no answer within 5 s, or an HTTP status other than 200.
    """
    from http.client import HTTPException  # imported here: most collectors never ask
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT_S, context=tls) as answer:  # noqa: S310 - http(s) by the spec
            return bytes(answer.read(MAX_BODY_BYTES))
    except (OSError, HTTPException, ValueError) as error:
        raise RequestFailedError(f"GET {url}: {error}") from error
