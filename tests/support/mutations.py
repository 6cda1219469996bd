"""Mutations of real frames by Hypothesis, like frames from a damaged connection or a faulty exchange."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

VALUE = re.compile(rb'"[^"\\]*"|-?\d+(?:\.\d+)?')
"""Strings and numbers of a frame, including keys."""
STRANGE = [
    b"null", b"true", b"[]", b"{}", b'""', b'"x"', b'"-"', b'"NaN"', b'"inf"', b'"1_0"', b'" 7"', b'"\\u0000"', b'"\\ud800"',
    '"７"'.encode(), b"-1", b"0", b"1e999", b"1.5", b"-0", b"9" * 40, b'"' + b"9" * 5_000 + b'"', b"9" * 5_000,
    b"[" * 1_100, b'{"a":' * 1_100, b"[" * 1_100 + b"]" * 1_100, b"\xff", b"\xed\xa0\x80",
]  # fmt: skip
"""Replacements for a value."""

Mutation = Callable[[bytes], bytes]


def mutated(frames: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """One of these frames after one to four mutations, or sometimes random bytes."""
    changed = st.builds(_apply, st.sampled_from(frames), st.lists(_mutation(frames), min_size=1, max_size=4))
    return st.one_of(changed, changed, changed, st.binary(max_size=200))


def _apply(frame: bytes, mutations: Sequence[Mutation]) -> bytes:
    for mutation in mutations:
        frame = mutation(frame)
    return frame


def _mutation(frames: Sequence[bytes]) -> st.SearchStrategy[Mutation]:
    place = st.floats(0, 1, exclude_max=True)
    return st.one_of(
        st.builds(_flip, place, st.integers(0, 7)),
        st.builds(_cut, place, place),
        st.builds(_splice, place, place, st.sampled_from(frames)),
        st.builds(_repeat, place, place),
        st.builds(_replace, place, st.sampled_from(STRANGE)),
        st.builds(_reorder, st.randoms(use_true_random=False)),
    )


def _flip(place: float, bit: int) -> Mutation:
    def flip(frame: bytes) -> bytes:
        at = int(place * len(frame))
        return frame[:at] + bytes([frame[at] ^ 1 << bit]) + frame[at + 1 :] if frame else frame

    return flip


def _cut(one: float, other: float) -> Mutation:
    """Remove a piece, often the end."""
    start, end = sorted((one, other))
    return lambda frame: frame[: int(start * len(frame))] + (frame[int(end * len(frame)) :] if end < 0.9 else b"")


def _splice(one: float, other: float, donor: bytes) -> Mutation:
    return lambda frame: frame[: int(one * len(frame))] + donor[int(other * len(donor)) :]


def _repeat(one: float, other: float) -> Mutation:
    """Duplicate a piece, such as keys, rows or levels."""
    start, end = sorted((one, other))
    return lambda frame: frame[: int(end * len(frame))] + frame[int(start * len(frame)) :]


def _replace(place: float, value: bytes) -> Mutation:
    """Replace a value or a key."""

    def replace(frame: bytes) -> bytes:
        found = list(VALUE.finditer(frame))
        if not found:
            return value
        chosen = found[int(place * len(found))]
        return frame[: chosen.start()] + value + frame[chosen.end() :]

    return replace


def _reorder(chance: Any) -> Mutation:
    """Change the order of the keys."""

    def reorder(frame: bytes) -> bytes:
        try:
            return json.dumps(_shuffled(json.loads(frame), chance), separators=(",", ":")).encode()
        except (ValueError, RecursionError):
            return frame

    return reorder


def _shuffled(value: Any, chance: Any) -> Any:
    if isinstance(value, dict):
        items = list(value.items())
        chance.shuffle(items)
        return {key: _shuffled(item, chance) for key, item in items}
    return [_shuffled(item, chance) for item in value] if isinstance(value, list) else value
