"""Records and their list."""

from collections.abc import Iterator
from typing import get_args

from market_collector.model.events import AnyRecord, Data, Event

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
