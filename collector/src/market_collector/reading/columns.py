"""Columns of tables of records, from the record types."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from market_collector.model.events import AnyRecord

TIME_SUFFIX = "_ns"
"""Fields with this suffix are nanoseconds since 1970."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    field: str
    """Name of the attribute of the record."""
    hint: Any
    """Type of the values, without None; one of `NUMBERS` for prices, amounts and rates."""
    is_nullable: bool
    is_time: bool


@cache
def columns(kind: type[AnyRecord]) -> tuple[Column, ...]:
    """Return the columns of a record type, in the order of its fields."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(_column(field.name, field.encode_name, hints[field.name]) for field in fields(kind))


def _column(field: str, name: str, hint: Any) -> Column:
    is_nullable = type(None) in get_args(hint)
    kind = next(each for each in get_args(hint) if each is not type(None)) if is_nullable else hint
    return Column(name.removesuffix(TIME_SUFFIX), field, kind, is_nullable, field.endswith(TIME_SUFFIX))


def is_list_of_structs(hint: Any) -> bool:
    """Return whether values of this type are lists of structs, such as the levels of a book."""
    item = get_args(hint)[0] if get_origin(hint) is list else None
    return isinstance(item, type) and issubclass(item, Struct)


def item_hints(hint: Any) -> dict[str, Any]:
    """Return the types of the fields of the items of a list of structs."""
    return get_type_hints(get_args(hint)[0], include_extras=True)
