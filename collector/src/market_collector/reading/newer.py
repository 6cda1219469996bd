"""Reads records of newer versions, whose lists of words are longer than this version's."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from market_collector.errors import UNREADABLE
from market_collector.model.events import AnyRecord

KINDS = {kind.__struct_config__.tag: kind for kind in get_args(AnyRecord)}
"""Record types by name."""


class Word(NamedTuple):
    """A word that this version does not know."""

    kind: str
    """The record type."""
    field: str
    word: str
    is_nullable: bool
    """Whether the record can be read with null in its place."""


def without_unknown_words(line: bytes) -> tuple[list[Word], AnyRecord | None]:
    """Return the unknown words of a record, and the record with null in their place.

    No words: the line has another error. No record: a word is in a field that must not be null.
    """
    try:
        fields = msgspec.json.decode(line)
        words = _unknown_words(fields)
        usable = fields | {each.field: _replacement(each) for each in words}
        record: AnyRecord = msgspec.convert(usable, AnyRecord)
    except (*UNREADABLE, TypeError, KeyError):
        return [], None
    return words, record if all(each.is_nullable for each in words) else None


def _unknown_words(fields: dict[str, Any]) -> list[Word]:
    kind = fields["type"]
    return [
        Word(kind, field, value, is_nullable)
        for field, (words, is_nullable) in _lists(kind).items()
        if isinstance(value := fields.get(field), str) and value not in words
    ]


def _replacement(word: Word) -> str | None:
    return None if word.is_nullable else _lists(word.kind)[word.field][0][0]


@cache
def _lists(kind: str) -> dict[str, tuple[tuple[str, ...], bool]]:
    """The closed lists of words of a record type, by field, and whether the field may be null."""
    found = {}
    for name, hint in get_type_hints(KINDS[kind]).items():
        choices = (hint,) if get_origin(hint) is Literal else get_args(hint)
        words = [word for choice in choices if get_origin(choice) is Literal for word in get_args(choice)]
        if words:
            found[name] = tuple(words), type(None) in choices
    return found
