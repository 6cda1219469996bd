"""The JSON Schema of records."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import records
from market_collector.model.events import AnyRecord
from record_lines import lines

SPEC = importlib.util.spec_from_file_location(
    "records_schema", Path(__file__).parents[2] / "hack" / "records_schema.py"
)
assert SPEC is not None
assert SPEC.loader is not None
module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(module)
VALIDATOR: Any = jsonschema.Draft202012Validator(module.schema())
WRITTEN: list[AnyRecord] = [
    *(records.trade(1), records.snapshot(1), records.update(1, 2, bids=[("9", "0")]), records.quote(1)),
    *(records.ticker(1), records.candle(1), records.instrument(), records.raw(), records.connected()),
]


def row(record: AnyRecord, **changes: Any) -> Any:
    return json.loads(lines([record])) | changes


@pytest.mark.parametrize("record", WRITTEN, ids=lambda record: type(record).__name__)
def test_schema_accepts_written_records_and_later_fields(record: AnyRecord) -> None:
    assert VALIDATOR.is_valid(row(record))
    assert VALIDATOR.is_valid(row(record, later={"any": 1}))


def test_schema_accepts_words_of_open_lists_only() -> None:
    assert VALIDATOR.is_valid(row(records.trade(1), kind="later", side=None))
    assert not VALIDATOR.is_valid(row(records.trade(1), side="later"))
    assert not VALIDATOR.is_valid(row(records.trade(1), price=1.5))
