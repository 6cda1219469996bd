"""Words that a later version added to a list."""

import json
from typing import Any

import pytest

from market_collector.model.events import AnyRecord
from market_collector.reading.newer import Word, without_unknown_words
from record_lines import lines
from records import raw, snapshot, trade


def changed(record: AnyRecord, **fields: Any) -> bytes:
    return json.dumps(json.loads(lines([record])) | fields).encode()


def test_unknown_word_is_read_as_null_where_the_field_may_be_null() -> None:
    words, record = without_unknown_words(changed(trade(1), side="both"))
    assert words == [Word("trade", "side", "both", is_nullable=True)]
    assert json.loads(lines([record] if record else [])) == json.loads(lines([trade(1)])) | {"side": None}


@pytest.mark.parametrize(("record", "field"), [(snapshot(1), "action"), (raw(), "direction")])
def test_record_is_left_out_where_the_field_must_not_be_null(record: AnyRecord, field: str) -> None:
    words, found = without_unknown_words(changed(record, **{field: "later"}))
    assert [(each.field, each.word, each.is_nullable) for each in words] == [(field, "later", False)]
    assert found is None


@pytest.mark.parametrize(
    "line",
    [
        changed(trade(1), side="both", price=7),
        changed(trade(1), side=7),
        changed(trade(1), price=7),
        changed(trade(1), type="later"),
        changed(trade(1), type=["trade"]),
        b"[1]",
        b"7",
        b'{"type":"trade"',
    ],
)
def test_other_errors_are_none_of_unknown_words(line: bytes) -> None:
    assert without_unknown_words(line) == ([], None)


def test_words_of_open_lists_are_read_as_they_are() -> None:
    (line,) = changed(trade(1), kind="later").splitlines()
    assert without_unknown_words(line)[0] == []
