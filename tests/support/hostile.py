"""Strategies for what a tenant, a broken program or a proxy may send: any JSON, and documents with parts replaced.

`mutations` has the same for bytes.
"""

from typing import Any

from hypothesis import strategies as st

Json = Any
TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["", "\ud800", "a\nb", "\x1b]0;x\x07", "\u202e", "9" * 5000, "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"]
)
NUMBERS = st.integers() | st.sampled_from([10**300, -(10**300), 2**63, -(2**63) - 1, 2**53 + 1]) | st.floats()
JSON: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def deep(levels: int) -> Json:
    """A list in a list, and so on."""
    value: Json = []
    for _ in range(levels):
        value = [value]
    return value


@st.composite
def damaged(draw: st.DrawFn, document: Json) -> Json:
    """`document` with up to three parts replaced by any JSON, or removed."""
    for _ in range(draw(st.integers(1, 3))):
        document = _replaced(draw, document)
    return document


def _replaced(draw: st.DrawFn, value: Json) -> Json:
    places = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    if not places or draw(st.integers(0, 5)) == 0:
        return draw(JSON)
    place = draw(st.sampled_from(places))
    copy = value.copy()
    if draw(st.integers(0, 7)) == 0:
        del copy[place]
    else:
        copy[place] = _replaced(draw, value[place])
    return copy
