"""Records and their list."""

from collections.abc import Iterator
from typing import get_args

from market_collector.model.events import AnyRecord, Data, Event

RESERVED = """
all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation
column concurrently constraint create cross current_catalog current_date current_role current_schema current_time
current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign freeze
from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like
limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
references returning right select session_user similar some symmetric system_user table tablesample then to
trailing true union unique user using variadic verbose when where window with
anti asof describe glob lambda pivot pivot_longer pivot_wider positional qualify semi show summarize unpivot
"""
"""Words that PostgreSQL (appendix C) or DuckDB reserve."""
BASES: tuple[type[object], ...] = (Data, Event)


def kinds(base: type[object]) -> Iterator[type[object]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def is_written(kind: type[object]) -> bool:
    """Whether it is a record type of the collector, and no base of others."""
    return kind.__module__ == Data.__module__ and not kind.__subclasses__()


def test_what_reads_stored_lines_knows_every_type_of_record() -> None:
    written = [kind for base in BASES for kind in kinds(base) if is_written(kind)]
    assert set(get_args(AnyRecord)) == set(written)


def test_no_record_type_or_field_is_a_reserved_word() -> None:
    for kind in get_args(AnyRecord):
        fields = kind.__struct_encode_fields__
        names = {kind.__struct_config__.tag, *fields, *(field.removesuffix("_ns") for field in fields)}
        assert not names & set(RESERVED.split())
