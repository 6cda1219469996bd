"""Refusals in HTTP: status and first words, whatever the body."""

import gzip
import zlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market_collector.net.http_answer import LONGEST_BYTES, read_answer


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "HTTP 403 Forbidden"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno\r\n", "HTTP 403 Forbidden: no"),
        (b"HTTP/1.1 503\r\n\r\n", "HTTP 503"),
        (b"HTTP/1.0 403 \r\n\r\nregion", "HTTP 403: region"),
        (b"HTTP/2 421 Misdirected\n\nlf only", "HTTP 421 Misdirected: lf only"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\n\r\n", "HTTP 302 Found, to https://elsewhere/"),
        (b'HTTP/1.1 429 Slow\r\n\r\n{"code":"50011"}', 'HTTP 429 Slow: {"code":"50011"}'),
        (
            b"HTTP/1.1 500 E\r\nTransfer-Encoding: chunked\r\n\r\n4;x=1\r\nbad \r\n3\r\nday\r\n0\r\n\r\n",
            "HTTP 500 E: bad day",
        ),
        (b"HTTP/1.1 500 E\r\ntransfer-encoding: Chunked\r\n\r\nff\r\nstart", "HTTP 500 E: start"),
        (
            b"HTTP/1.1 403 F\r\nContent-Encoding: gzip\r\n\r\n" + gzip.compress(b"blocked", mtime=0)[:-4],
            "HTTP 403 F: blocked",
        ),
        (b"HTTP/1.1 403 F\r\nContent-Encoding: deflate\r\n\r\n" + zlib.compress(b"blocked"), "HTTP 403 F: blocked"),
        (b"HTTP/1.1 403 F\r\nContent-Encoding: br\r\n\r\n\x8b\x01", "HTTP 403 F: (a body with content encoding br)"),
        (b"HTTP/1.1 403 F\r\n\r\n\xff\xfe\x00\x1b[31m\nred", "HTTP 403 F: \ufffd\ufffd [31m red"),
        (b"HTTP/1.1 403 F\r\nServer: x", "HTTP 403 F"),
    ],
)
def test_answer_shows_status_and_first_words(data: bytes, text: str) -> None:
    assert str(read_answer(data)) == text


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 40", b"HTTP/1.1 403 Forbidden", b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n"]
)
def test_answer_is_unknown_before_its_status_line(data: bytes) -> None:
    assert read_answer(data) is None


@pytest.mark.parametrize(
    ("data", "is_complete"),
    [
        (b"HTTP/1.1 403 F\r\nContent-Length: 2\r\n", False),
        (b"HTTP/1.1 403 F\r\nContent-Length: 2\r\n\r\n1", False),
        (b"HTTP/1.1 403 F\r\nContent-Length: 2\r\n\r\n12", True),
        (b"HTTP/1.1 403 F\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 403 F\r\n\r\nuntil its end", False),
        (b"HTTP/1.1 403 F\r\n\r\n" + b"x" * LONGEST_BYTES, True),
        (b"HTTP/1.1 403 F\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nday\r\n", False),
        (b"HTTP/1.1 403 F\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nday\r\n0\r\n\r\n", True),
    ],
)
def test_answer_is_complete_when_its_first_words_are_there(data: bytes, is_complete: bool) -> None:
    answer = read_answer(data)
    assert answer is not None
    assert answer.is_complete is is_complete


@pytest.mark.parametrize(("after", "delay_s"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)])
def test_retry_after_counts_seconds(after: str, delay_s: float | None) -> None:
    answer = read_answer(f"HTTP/1.1 429 F\r\nretry-after: {after}\r\n\r\n".encode())
    assert answer is not None
    assert answer.retry_after_s == delay_s


PIECES = [
    b"HTTP/1.1 429 ", b"Too Many", b"\r\n", b"\n", b"\r\n\r\n", b"Retry-After: ", b"Content-Length: ", b"9" * 5_000, b"7",
    "²".encode("latin-1"), b"-1", b"Transfer-Encoding: chunked", b"Content-Encoding: gzip", b"ffffffff", b"0\r\n\r\n", b"Location: ",
    b"http://[", b"\x1f\x8b", b"\x00", b"\xff", b": ",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES) | st.binary(max_size=9), max_size=14).map(b"".join))
@example(b"HTTP/1.1 429 x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n")
@example(b"HTTP/1.1 429 x\r\nRetry-After: " + b"9" * 5_000 + b"\r\n\r\n")
def test_any_answer_is_read(data: bytes) -> None:
    answer = read_answer(data)
    if answer is not None:
        assert str(answer).isprintable()
        assert answer.retry_after_s is None or answer.retry_after_s >= 0
