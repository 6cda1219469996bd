"""REST requests: few, small, rate limited. The standard library in a thread costs no memory until the first one."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

from market_collector.errors import CredentialsMissingError, RequestFailedError
from market_collector.excerpt import READ_BYTES, first_words
from market_collector.exchanges.interface import ProblemKind, Request, RestApi, RestProblem
from market_collector.net.rest_host import RestHost, host_of
from market_collector.threads import in_thread

if TYPE_CHECKING:
    from http.client import HTTPResponse
    from urllib.error import HTTPError

TOTAL_TIMEOUT_S = 15.0
"""Until an answer is complete."""
MAX_BODY_BYTES = 16 * 2**20
"""The largest answer is the list of all instruments: about 8 MB at Binance."""
GZIP_OR_ZLIB = 47
"""``wbits`` of zlib for both formats."""
MAX_THREADS = 64
"""Requests that wait for an answer at one time. A hanging exchange must not cost a thread for each stream."""
GZIP_START = b"\x1f\x8b"


class RestAnswer(NamedTuple):
    """An answer, with or without an error."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Of an HTTP error, only the first part."""
    error: str = ""
    """Description of an HTTP error."""


class Signing(Protocol):
    """Signs requests; see `net.login`."""

    def sign_request(self, request: Request) -> Request:
        """Return the request to send. Raises a `CredentialsMissingError` without a key."""
        ...

    def note_problem(self, problem: RestProblem, message: str) -> None:
        """Take the exchange's error about a signed request."""
        ...


class Rest:
    """A collector's REST requests to one exchange, within the budgets of the addresses."""

    def __init__(
        self,
        hosts: Mapping[str, str],
        rest_api: RestApi,
        *,
        tls: ssl.SSLContext | None,
        total_timeout_s: float = TOTAL_TIMEOUT_S,
    ) -> None:
        self._hosts = {name: base.rstrip("/") for name, base in hosts.items()}
        self._rest_api = rest_api
        self._tls = tls
        self._total_timeout_s = total_timeout_s
        self._free_threads = threading.Semaphore(MAX_THREADS)
        self.signing: Signing | None = None
        """Set where there is an API key."""
        self._signed_turn = asyncio.Lock()
        """Signed requests go one after the other, since their nonces must arrive in order."""

    async def fetch(self, request: Request) -> bytes:
        """Return the body of the answer.

        Raises:
            RequestFailedError: no answer within 5 s, no complete one within 15 s, an error (see `RestApi.refusal`), or
                an HTTP status other than 200. The message has the status and the first words of the answer.
        """
        base = self._hosts[request.host]
        call, host = f"{request.method} {base}{request.path}", host_of(base)
        send = self._signed if request.is_signed else self._answer
        try:
            async with self._signed_turn if request.is_signed else nullcontext():
                await self._turn(call, host, request)
                answer = await send(call, base, request)
            host.note_use(self._rest_api.used_share(request.bucket, answer.headers))
        except RequestFailedError as error:
            host.heed(error, time.monotonic())
            raise
        except Exception as error:  # otherwise the stream that asked would wait for its answer without end
            raise RequestFailedError(f"{call}: internal error: {error!r:.300}") from error
        return answer.body

    async def _signed(self, call: str, base: str, request: Request) -> RestAnswer:
        """Sign and send a request. The exchange's words may repeat it, so they are left out of the error."""
        assert self.signing is not None
        try:
            return await self._answer(call, base, self.signing.sign_request(request))
        except CredentialsMissingError as error:
            raise RequestFailedError(f"{call}: {error}") from None
        except RequestFailedError as error:
            if error.problem is None:
                raise _without_words(call, error) from None
            message = f"{call}: {error.problem.kind.value}"
            self.signing.note_problem(error.problem, message)
            raise RequestFailedError(message, error.problem) from None

    async def _answer(self, call: str, base: str, request: Request) -> RestAnswer:
        try:
            async with asyncio.timeout(self._total_timeout_s):
                return await in_thread(self._request(call, base, request))
        except TimeoutError as error:
            raise RequestFailedError(f"{call}: no complete answer within {self._total_timeout_s:g} s") from error

    async def _turn(self, call: str, host: RestHost, request: Request) -> None:
        """Wait until the request may be sent. A stop of the host while it waits needs another turn."""
        stops = -1
        while stops != host.stops:
            stops, now = host.stops, time.monotonic()
            host.check_stop(call, now)
            await asyncio.sleep(host.reserve(request, self._rest_api.budgets[request.bucket], now))

    def _request(self, call: str, base: str, request: Request) -> Callable[[], RestAnswer]:
        """Take a thread's place, which is free again when the call has ended; an abandoned call still has its thread.

        Raises:
            RequestFailedError: no place is free.
        """
        if not self._free_threads.acquire(blocking=False):
            raise RequestFailedError(f"{call}: not sent, because {MAX_THREADS} requests still wait for their answer")

        def send() -> RestAnswer:
            try:
                return fetch(base, request, self._rest_api, self._tls, self._total_timeout_s, call)
            finally:
                self._free_threads.release()

        return send


def _without_words(call: str, error: RequestFailedError) -> RequestFailedError:
    """Leave out words that may repeat a signed request: those of the exchange, and of errors about a header or path."""
    cause = error.__cause__
    if error.body:
        return RequestFailedError(f"{call}: an HTTP error")
    if cause is None or isinstance(cause, OSError):
        return error
    return RequestFailedError(f"{call}: {type(cause).__name__}")


def fetch(
    base: str,
    request: Request,
    rest_api: RestApi,
    tls: ssl.SSLContext | None,
    total_timeout_s: float = TOTAL_TIMEOUT_S,
    call: str = "",
) -> RestAnswer:
    """Send a request at once, and return the answer; blocks the thread.

    Args:
        base: address of the host.
        request: as it is sent.
        rest_api: judges the answer.
        tls: for https.
        total_timeout_s: seconds until the answer must be complete.
        call: name of the request in errors, if the request itself has a signature.

    Raises:
        RequestFailedError: see `Rest.fetch`.
    """
    from http.client import HTTPException  # imported here: most collectors send no request

    call = call or f"{request.method} {base}{request.path}"
    try:
        answer = _send(base, request, tls, time.monotonic() + total_timeout_s)
        problem = rest_api.refusal(answer.status, answer.headers, answer.body)
    except (OSError, HTTPException, ValueError, zlib.error) as error:
        raise RequestFailedError(f"{call}: {getattr(error, 'reason', error)}") from error
    except Exception as error:  # otherwise the stream that asked would wait for its answer without end
        raise RequestFailedError(f"{call}: internal error: {error!r:.300}") from error
    if answer.error or problem is not None:
        raise RequestFailedError(f"{call}: {_words(answer, problem)}", problem, answer.body[:READ_BYTES])
    return answer


def _words(answer: RestAnswer, problem: RestProblem | None) -> str:
    """Describe an error by the exchange's words, and by its kind where a status does not show it."""
    words = answer.error or first_words(answer.body)
    if problem is None or (answer.error and problem.kind is not ProblemKind.REGION):
        return words
    return f"{problem.kind.value}: {words}"


def fetch_in_turn(base: str, request: Request, rest_api: RestApi, tls: ssl.SSLContext | None) -> RestAnswer:
    """Send a request within the budgets of the address, like `Rest.fetch`; blocks the thread.

    Raises:
        RequestFailedError: see `Rest.fetch`.
    """
    host, now = host_of(base), time.monotonic()
    host.check_stop(f"{request.method} {base}{request.path}", now)
    time.sleep(host.reserve(request, rest_api.budgets[request.bucket], now))
    try:
        answer = fetch(base, request, rest_api, tls)
    except RequestFailedError as error:
        host.heed(error, time.monotonic())
        raise
    host.note_use(rest_api.used_share(request.bucket, answer.headers))
    return answer


def _send(base: str, request: Request, tls: ssl.SSLContext | None, ends_at: float) -> RestAnswer:
    from urllib.error import HTTPError
    from urllib.request import Request as HttpRequest

    from market_collector.net.http_client import send

    content = request.body.encode() if request.body else None
    headers = {"Accept-Encoding": "gzip", **dict(request.headers)}
    url = base + request.path
    http = HttpRequest(url, content, headers, method=request.method)  # noqa: S310 - http(s) by the spec
    try:
        with send(http, tls, ends_at) as answer:
            body = _decompressed(_body(answer), answer.headers.get("Content-Encoding", ""))
            return RestAnswer(answer.status, _by_lower_name(answer), body)
    except HTTPError as error:
        with error:
            body = _beginning(error)
        return RestAnswer(error.code, _by_lower_name(error), body, _refusal(error, body))


def _by_lower_name(answer: HTTPResponse | HTTPError) -> Mapping[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


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
