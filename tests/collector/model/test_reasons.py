"""Reasons are closed lists, and documents explain each of their words."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from market_collector.model import reasons

DOCS = Path(__file__).parents[3] / "docs"
KINDS = [each for each in vars(reasons).values() if isinstance(each, type) and issubclass(each, StrEnum)]
KINDS.remove(StrEnum)
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def words_under(heading: str) -> set[str]:
    """The words in the first column of the tables below a heading."""
    text = (DOCS / "reasons.md").read_text()
    return set(ROW.findall(text.split(f"\n## {heading}\n")[1].split("\n## ")[0]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.__name__))
def test_documents_list_exactly_the_words_of_a_record_type(kind: type[StrEnum]) -> None:
    assert words_under(kind.__name__.removesuffix("Reason")) == set(kind)


def test_every_word_is_one_word() -> None:
    assert [word for kind in KINDS for word in kind if not re.fullmatch(r"([A-Z][a-z]+)+", word)] == []
