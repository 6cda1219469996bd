"""REST requests: few, small, rate limited. The standard library in a thread costs no memory until the first one."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from market_collector.errors import RequestFailedError
from market_collector.excerpt import READ_BYTES, first_words
from market_collector.exchanges.interface import Request
from market_collector.threads import in_thread

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.error import HTTPError

TOTAL_TIMEOUT_S = 15.0
"""Until an answer is complete."""
TOO_MANY = 429
TOO_MANY_PAUSE_S = 2.0
"""Pause without a ``Retry-After``: OKX counts requests in windows of this length."""
LONGEST_PAUSE_S = 60.0
MAX_BODY_BYTES = 8 * 2**20
GZIP_OR_ZLIB = 47
"""``wbits`` of zlib for both formats."""
MAX_THREADS = 64
"""Requests that wait for an answer at one time. A hanging exchange must not cost a thread for each stream."""
GZIP_START = b"\x1f\x8b"


class Rest:
    """All REST requests of the process to one exchange, those to one path at the pace of `Request.per_second`."""

    def __init__(
        self,
        base: str,
        *,
        tls: ssl.SSLContext | None,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        self._base = base.rstrip("/")
        self._tls = tls
        self._total_timeout_s = total_timeout_s
        self._next_at: dict[str, float] = {}
        """By path: when it may be requested again, monotonic seconds."""
        self._paused_until = 0.0
        self._free_threads = threading.Semaphore(MAX_THREADS)

    async def get(self, request: Request) -> bytes:
        """Return the body of the answer.

        Raises:
            RequestFailedError: no answer within 5 s, no complete one within 15 s, or an HTTP status other than 200.
                The message has the status and the first words of the answer.
        """
        if (wait := self._reserve(request, time.monotonic())) > 0:
            await asyncio.sleep(wait)
        url = self._base + request.path
        try:
            async with asyncio.timeout(self._total_timeout_s):
                return await in_thread(self._request(url))
        except TimeoutError as error:
            raise RequestFailedError(f"GET {url}: no complete answer within {self._total_timeout_s:g} s") from error
        except RequestFailedError as error:
            # Pause all requests of the process: the limit is per address.
            self._paused_until = max(self._paused_until, time.monotonic() + error.pause_s)
            raise

    def _request(self, url: str) -> Callable[[], bytes]:
        """Take a thread's place, which is free again when the call has ended; an abandoned call still has its thread.

        Raises:
            RequestFailedError: no place is free.
        """
        if not self._free_threads.acquire(blocking=False):
            raise RequestFailedError(f"GET {url}: not sent, because {MAX_THREADS} requests still wait for their answer")

        def request() -> bytes:
            try:
                return get(url, self._tls, self._total_timeout_s)
            finally:
                self._free_threads.release()

        return request

    def _reserve(self, request: Request, now: float) -> float:
        """Take the path's next turn; returns the seconds until then."""
        path = request.path.partition("?")[0]
        turn = max(now, self._next_at.get(path, 0.0), self._paused_until)
        self._next_at[path] = turn + 1 / request.per_second
        return turn - now


def get(url: str, tls: ssl.SSLContext | None, total_timeout_s: float = TOTAL_TIMEOUT_S) -> bytes:
    """Return the body of the answer; blocks the thread.

    Raises:
        RequestFailedError: no answer within 5 s, no complete one within 15 s, or an HTTP status other than 200.
    """
    from http.client import HTTPException  # imported here: most collectors send no request
    from urllib.error import HTTPError
    from urllib.request import Request as HttpRequest

    from market_collector.net.http_client import send

    request = HttpRequest(url, headers={"Accept-Encoding": "gzip"})  # noqa: S310 - http(s) by the spec
    try:
        with send(request, tls, time.monotonic() + total_timeout_s) as answer:
            return _decompressed(_body(answer), answer.headers.get("Content-Encoding", ""))
    except HTTPError as error:
        with error:
            pause_s = _pause_s(error.headers.get("Retry-After", "")) if error.code == TOO_MANY else 0.0
            body = _beginning(error)
        raise RequestFailedError(f"GET {url}: {_refusal(error, body)}", pause_s, body) from error
    except (OSError, HTTPException, ValueError, zlib.error) as error:
        raise RequestFailedError(f"GET {url}: {getattr(error, 'reason', error)}") from error
    except Exception as error:  # otherwise the stream that asked would wait for its answer without end
        raise RequestFailedError(f"GET {url}: internal error: {error!r:.300}") from error


def _body(answer: HTTPResponse) -> bytes:
    body = bytearray()
    while more := answer.read1(MAX_BODY_BYTES):
        body += more
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"the answer is larger than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _decompressed(body: bytes, encoding: str) -> bytes:
    """Undo the compression, which gzip shows by its first bytes: a middlebox may leave out the header.

    Raises:
        ValueError: an unknown ``Content-Encoding``, or content that is cut off or too large.
        zlib.error: damaged content.
    """
    if not body.startswith(GZIP_START) and encoding.lower() != "deflate":
        if encoding.lower() in ("", "identity", "gzip", "x-gzip"):
            return body
        raise ValueError(f"the answer has the Content-Encoding {encoding}, which nobody requested")
    unpacker = zlib.decompressobj(GZIP_OR_ZLIB)
    content = unpacker.decompress(body, MAX_BODY_BYTES)
    if not unpacker.eof:
        raise ValueError(f"the compressed answer is cut off, or larger than {MAX_BODY_BYTES} bytes")
    return content


def _refusal(error: HTTPError, body: bytes) -> str:
    """Describe an HTTP error by its status, the host that it redirects to, and the first words of its body."""
    status = f"HTTP {error.code} {first_words(str(error.reason).encode())}".rstrip()
    if location := error.headers.get("Location"):
        status += f", to {_host(error.url, location)}; redirects are not followed"
    words = first_words(body)
    return f"{status}: {words}" if words else status


def _host(url: str, location: str) -> str:
    from urllib.parse import urljoin, urlsplit

    try:
        return (
            first_words((urlsplit(urljoin(url, location)).hostname or "").encode(errors="replace"))
            or "an address without a host"
        )
    except ValueError:
        return "an invalid address"


def _beginning(error: HTTPError) -> bytes:
    """Read the first part of an error's body; empty if it cannot be read."""
    from http.client import HTTPException

    try:
        body = bytes(error.fp.read1(READ_BYTES))  # type: ignore[attr-defined] # an HTTPResponse
        is_packed = body.startswith(GZIP_START)
        return zlib.decompressobj(GZIP_OR_ZLIB).decompress(body, READ_BYTES) if is_packed else body
    except (OSError, HTTPException, ValueError, zlib.error):
        return b""


def _pause_s(retry_after: str) -> float:
    return min(float(retry_after), LONGEST_PAUSE_S) if retry_after.isdecimal() else TOO_MANY_PAUSE_S
