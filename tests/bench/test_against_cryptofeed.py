"""The comparison refuses sides with different records."""

import pytest
from bench import against_cryptofeed
from bench.subjects import SubjectError

BOTH: dict[str, object] = {"records": {"books": 3}, "surprises": []}


def test_two_sides_with_the_same_records_are_compared() -> None:
    against_cryptofeed._compare(BOTH, dict(BOTH))


@pytest.mark.parametrize("ours", [{**BOTH, "records": {"books": 2}}, {**BOTH, "surprises": ["Warn()"]}])
def test_side_with_fewer_records_is_rejected(ours: dict[str, object]) -> None:
    with pytest.raises(SubjectError, match="different things"):
        against_cryptofeed._compare(ours, BOTH)
