"""Bounds the nesting of JSON from the API server, which accepts 10,000 levels.

Parsers recurse. CPython 3.12 to 3.14 bound that by the C stack, whatever `sys.setrecursionlimit` says, and end with a
RecursionError far below 10,000 levels. So deep values are cut out of the bytes.
"""

import itertools
import re

MAX_LEVELS = 150
"""Levels that are kept, counted from the outermost. Objects of Kubernetes have at most 30; pydantic reads 200."""
CUT = b'"nested too deeply"'
"""Stands for a value that was cut out."""

# The last string may have no end. Each byte is scanned once.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_STRINGS = re.compile(rb'"[^"]*+"?')
_STEPS = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))


def shallow(text: bytes) -> bytes:
    """The JSON in `text` with at most MAX_LEVELS levels; `text` itself if it has no more."""
    # Half of an object's are the empty ones of managedFields. Without them, the count mostly suffices: a third of the
    # time. An empty one may be the deepest.
    opened = text.count(b"{") + text.count(b"[")
    if opened <= MAX_LEVELS or opened - text.count(b"{}") < MAX_LEVELS:
        return text
    return _cut(text) if _levels(text) > MAX_LEVELS else text


def _levels(text: bytes) -> int:
    """The most levels. Almost every string is removed without a regular expression, which takes longer than parsing."""
    if b"\\" in text:
        text = text.replace(rb"\\", b"").replace(rb"\"", b"")
    quotes = text.translate(None, _OTHERS).replace(b'""', b"")
    steps = _STRINGS.sub(b"", quotes).translate(_STEPS)
    return max(itertools.accumulate(memoryview(steps).cast("b")), default=0)


def _cut(text: bytes) -> bytes:
    kept, level, start = list[bytes](), 0, 0
    for token in _TOKENS.finditer(text):
        match token[0]:
            case b"{" | b"[":
                level += 1
                if level == MAX_LEVELS + 1:
                    kept += text[start : token.start()], CUT
                    start = len(text)
            case b"}" | b"]":
                level -= 1
                if level == MAX_LEVELS:
                    start = token.end()
    return b"".join([*kept, text[start:]])
