"""The benchmark's parser for lines of a kubectl watch."""

import pytest
from bench.cluster import settled


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("bench-00001 1 1\n", ("bench-00001", 1)),
        ("bench-00001 3 3\n", ("bench-00001", 3)),
        ("bench-00001 2 1\n", None),
        ("bench-00001 1 -1\n", None),
        ("bench-00001 1 \n", None),
        ("\n", None),
    ],
)
def test_resource_is_settled_when_its_status_matches_its_spec(line: str, found: tuple[str, int] | None) -> None:
    assert settled(line) == found
