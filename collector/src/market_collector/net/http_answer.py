"""HTTP answers that refuse: of a proxy, or to a WebSocket handshake.

The `websockets` library reads a body to its end first, and rejects large ones. A body without an end then hides the
status. Here a status line and the first words of any body suffice.
"""

import re
import zlib

import msgspec

from market_collector.excerpt import first_words

SWITCHING_PROTOCOLS = 101
LONGEST_BYTES = 16_384
"""As much of an answer is kept: its head, and the first words of its body."""
BODY_S = 1.0
"""How long the rest of a refusal is waited for, once its status is known."""
STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})(?: ([^\r\n]*))?\r?\n")
HEAD_END = re.compile(rb"\n\r?\n")
CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\r\n]*\r\n")
GZIP_OR_ZLIB = 47
"""``wbits`` of zlib that recognizes both."""


class Answer(msgspec.Struct, frozen=True):
    """The part of an HTTP answer that has arrived. Its string is status, reason and first words."""

    status: int
    reason: str
    headers: dict[str, str]
    """By lower-case name."""
    body: bytes
    has_head: bool
    """Whether all headers are there."""
    is_complete: bool
    """Whether the first words of its body are there."""

    @property
    def retry_after_s(self) -> float | None:
        """Delay in seconds that it requests. A date is ignored, because it needs synchronized clocks."""
        after = self.headers.get("retry-after", "")
        return float(after) if after.isascii() and after.isdigit() else None

    def __str__(self) -> str:
        status = f"HTTP {self.status} {first_words(self.reason.encode())}".rstrip()
        if location := self.headers.get("location"):
            status += f", to {first_words(location.encode())}"
        words = first_words(self.plain_body())
        return f"{status}: {words}" if words else status

    def plain_body(self) -> bytes:
        """The body without its encodings."""
        body = (
            _joined_chunks(self.body) if "chunked" in self.headers.get("transfer-encoding", "").lower() else self.body
        )
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding == "identity" or not body:
            return body
        try:
            return zlib.decompressobj(GZIP_OR_ZLIB).decompress(body, LONGEST_BYTES)
        except zlib.error:
            return f"(a body with content encoding {encoding})".encode()


def read_answer(data: bytes) -> Answer | None:
    """Read as much of an answer as has arrived; None before the end of its status line, and for another protocol."""
    start = STATUS_LINE.match(data)
    if start is None:
        return None
    end = HEAD_END.search(data, start.end() - 1)
    head = data[start.end() : end.start() if end else len(data)].decode("latin-1")
    headers = {name.strip().lower(): value.strip() for name, _, value in (e.partition(":") for e in head.splitlines())}
    body = data[end.end() :] if end else b""
    is_complete = end is not None and (len(data) >= LONGEST_BYTES or _is_whole(body, headers))
    return Answer(int(start[1]), (start[2] or b"").decode("latin-1"), headers, body, end is not None, is_complete)


def _is_whole(body: bytes, headers: dict[str, str]) -> bool:
    if _is_chunked(headers):
        return body.endswith(b"0\r\n\r\n")
    length = headers.get("content-length", "")
    return length.isdecimal() and len(length) < 20 and len(body) >= int(length)


def _is_chunked(headers: dict[str, str]) -> bool:
    return "chunked" in headers.get("transfer-encoding", "").lower()


def _joined_chunks(body: bytes) -> bytes:
    joined, at = b"", 0
    while found := CHUNK.match(body, at):
        size = int(found[1], 16)
        joined += body[found.end() : found.end() + size]
        at = found.end() + size + 2
    return joined
