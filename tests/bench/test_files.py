"""The cost of a record in a file."""

from collections import Counter

import pytest
from bench import files

from market_collector.model.streams import DataType


@pytest.fixture(scope="module")
def found() -> dict[str, list[files.Written]]:
    return {
        name: [files.Tape(has_quotes=has_quotes, loops=2).write()]
        for name, has_quotes in (("plain", False), ("quotes", True))
    }


def test_tape_is_written_whole_and_quotes_are_added(found: dict[str, list[files.Written]]) -> None:
    (plain,), (quoted,) = found["plain"], found["quotes"]
    assert sum(plain.records.values()) == plain.lines.count(b"\n") == 594
    assert quoted.records - Counter(plain.records) == Counter({DataType.QUOTE: quoted.records["quote"]})
    assert sum(quoted.sizes.values()) == len(quoted.lines) > len(plain.lines) == sum(plain.sizes.values())
    assert plain.cpu_us > 0


def test_table_has_every_value(found: dict[str, list[files.Written]]) -> None:
    document = files.report(found)
    assert 0 < document["repeated_snapshots_percent"] < 2
    assert document["bytes_zstd"] < document["bytes"] / 3
    rows = files.table(document).splitlines()
    assert len([row for row in rows if any(letter.isdigit() for letter in row)]) >= 10
