"""The first words of a foreign answer."""

import pytest

from market_collector.excerpt import WORDS_LENGTH, first_words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ""),
        (b"  plain\r\n\twords ", "plain words"),
        (b"<!DOCTYPE html><title>Just a moment...</title><script>var a = 1", "Just a moment..."),
        (b"<html><style>p {color: red}</style><p>Not   here</p><!-- ray 1 -->", "Not here"),
        (b'{"msg":"not available in your region"}', '{"msg":"not available in your region"}'),
        (b"<html><img src='x'></html>", "<html><img src='x'></html>"),
        ("\u202eevil\x1b[31m".encode(), "evil [31m"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_first_words_are_one_printable_line_without_markup(body: bytes, words: str) -> None:
    assert first_words(body) == words


def test_long_words_are_cut() -> None:
    words = first_words(b"<p>" + b"word " * 5000)
    assert len(words) == WORDS_LENGTH
    assert words.endswith("...")
