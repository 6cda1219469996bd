"""REST questions: few, small, paced; the standard library in a thread costs no memory until the first one."""

import asyncio
import ssl
import time

from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request

TIMEOUT_S = 5.0
TOO_MANY = 429
TOO_MANY_PAUSE_S = 2.0
"""Without a Retry-After: the length of the windows in which OKX counts (okx.md section 8)."""
LONGEST_PAUSE_S = 60.0
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
        try:
            return await asyncio.to_thread(get, self._base + request.path, self._tls)
        except RequestFailedError as error:
            # Nobody of this process asks for a while: the limit is per address, not per question.
            self._next_at = max(self._next_at, time.monotonic() + error.pause_s)
            raise


def get(url: str, tls: ssl.SSLContext | None) -> bytes:
    """The body of the answer; blocks the thread.

    Raises:
        RequestFailedError: no answer within 5 s, or an HTTP status other than 200.
    """
    from http.client import HTTPException  # imported here: most collectors never ask
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        with urlopen(url, timeout=TIMEOUT_S, context=tls) as answer:  # noqa: S310 - http(s) by the spec
            return bytes(answer.read(MAX_BODY_BYTES))
    except HTTPError as error:
        with error:
            pause_s = _pause_s(error.headers.get("Retry-After", "")) if error.code == TOO_MANY else 0.0
        raise RequestFailedError(f"GET {url}: {error}", pause_s) from error
    except (OSError, HTTPException, ValueError) as error:
        raise RequestFailedError(f"GET {url}: {error}") from error


def _pause_s(retry_after: str) -> float:
    return min(float(retry_after), LONGEST_PAUSE_S) if retry_after.isdecimal() else TOO_MANY_PAUSE_S
