"""The first words of a foreign answer: a block page, a proxy's page, an error in JSON."""

import re

WORDS_LENGTH = 200
"""Longest excerpt, in characters. CloudFront names its reason after 90."""
READ_BYTES = 4096
"""Part of an answer that an excerpt is taken from."""
_MARKUP = re.compile(r"<(script|style)\b.*?(</\1>|$)|<!--.*?(-->|$)|<[^<>]*(>|$)", re.DOTALL | re.IGNORECASE)


def first_words(body: bytes) -> str:
    """Return the beginning of an answer as one printable line without markup, for messages and logs."""
    text = body[:READ_BYTES].decode(errors="replace")
    words = _one_line(_MARKUP.sub(" ", text)) or _one_line(text)
    return words if len(words) <= WORDS_LENGTH else f"{words[: WORDS_LENGTH - 3]}..."


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
