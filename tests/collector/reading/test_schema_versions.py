"""Readers of one version read the records of another (docs/record-versions.md)."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import records
import schema_0
from market_collector.model.events import AnyRecord, Data
from market_collector.reading import read
from market_collector.reading.stored_file import StoredFile, decoder
from record_lines import lines

GOLDEN = sorted((Path(__file__).parents[2] / "recordings" / "schema_0").glob("*.jsonl"))
COMMON: list[AnyRecord] = [
    records.trade(1),
    records.trade(2, backfilled=True),
    records.snapshot(1),
    records.update(1, 2, bids=[("9", "0")]),
    records.ticker(1),
    records.candle(1),
    records.raw(),
]
"""Records whose fields both versions have."""


def opened(path: Path) -> tuple[StoredFile, list[AnyRecord], list[str]]:
    rejected: list[str] = []
    file = StoredFile(path, decoder(), lambda file, error: rejected.append(f"{file.line}: {error}"))
    return file, list(file.records()), rejected


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_files_of_schema_0_are_read_whole(path: Path) -> None:
    file, found, rejected = opened(path)
    assert (rejected, file.unknown, file.unknown_words) == ([], {}, {})
    assert len(found) == file.line > 9


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
def test_market_data_of_schema_0_is_written_again_as_it_was(path: Path) -> None:
    stored = [json.loads(line) for line in path.read_bytes().splitlines()]
    for record, fields in zip(opened(path)[1], stored, strict=True):
        if isinstance(record, Data):
            assert json.loads(lines([record])) == fields


@pytest.mark.parametrize("record", COMMON, ids=lambda record: type(record).__name__)
def test_reader_of_schema_0_reads_records_of_schema_1(record: AnyRecord) -> None:
    old = msgspec.json.decode(lines([record]), type=schema_0.AnyRecord)
    new = json.loads(lines([record]))
    assert msgspec.to_builtins(old).items() <= new.items()


def test_reader_of_schema_0_ignores_new_fields() -> None:
    row = json.loads(lines([records.trade(1)])) | {"kind": "rpi"}
    assert msgspec.convert(row, schema_0.AnyRecord) == msgspec.json.decode(
        lines([records.trade(1)]), type=schema_0.AnyRecord
    )


def test_reader_of_schema_0_cannot_read_a_trade_without_a_side() -> None:
    """The only change that breaks it: it has no word for that."""
    row = json.loads(lines([records.trade(1)])) | {"side": None}
    with pytest.raises(msgspec.ValidationError, match=r"\$\.side"):
        msgspec.convert(row, schema_0.AnyRecord)


def later(record: AnyRecord, **changes: Any) -> bytes:
    return json.dumps(json.loads(lines([record])) | changes, separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("record", [*COMMON, records.quote(1), records.instrument(1)], ids=lambda each: str(type(each)))
def test_fields_of_a_later_version_are_ignored(record: AnyRecord) -> None:
    assert decoder()(later(record, new_field={"any": [1]})) == record


def test_types_and_words_of_a_later_version_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        later(records.trade(1), type="later")
        + later(records.trade(2), kind="later")
        + later(records.trade(3), side="later")
        + later(records.snapshot(4), cause="later")
        + later(records.instrument(5), status="later")
    )
    file, found, rejected = opened(path)
    assert (rejected, file.unknown, sum(file.unknown_words.values())) == ([], {"later": 1}, 1)
    assert [str(type(each).__struct_config__.tag) for each in found] == ["trade", "trade", "orderbook", "instrument"]
    assert [each.trade_id for each in read(path, "trade").records()] == ["2", "3"]  # type: ignore[union-attr]
