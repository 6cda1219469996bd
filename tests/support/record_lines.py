"""Records as lines of a file sink, for tests."""

from collections.abc import Iterable

from market_collector.model.events import Record
from market_collector.sinks.encode import line


def lines(records: Iterable[Record]) -> bytes:
    """The content of a file with these records."""
    return b"".join(map(line, records))
