"""Records of recordings, with an error that names the first unreadable line."""

import gzip
from pathlib import Path

import pytest
from msgspec.structs import replace

from market_collector.errors import InputError, RecordingError
from market_collector.model.events import AnyRecord
from market_collector.reading.newer import KINDS
from market_collector.reading.strict import check_kind, find_recordings, first_time_ns, records_of, symbols_of
from record_lines import lines
from records import at, header, raw, snapshot, trade


def records(path: Path, *kinds: str) -> list[AnyRecord]:
    (recording,) = find_recordings(path)
    return list(records_of(recording, kinds or tuple(KINDS)))


def test_only_records_of_the_wanted_types_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1), snapshot(2), raw(), trade(2)]))
    assert records(tmp_path, "trade", "raw") == [trade(1), raw(), trade(2)]


def test_order_of_fields_does_not_matter(tmp_path: Path) -> None:
    turned = b"{" + lines([snapshot(1)]).removeprefix(b'{"type":"orderbook",').replace(
        b"}\n", b',"type":"orderbook"}\n'
    )
    (tmp_path / "a.jsonl").write_bytes(turned + lines([trade(1)]))
    assert records(tmp_path, "trade") == [trade(1)]
    assert records(tmp_path, "orderbook") == [snapshot(1)]


@pytest.mark.parametrize("given", ["PATH", ["PATH"], ("PATH", "PATH")])
def test_files_are_a_path_or_several(tmp_path: Path, given: str | list[str]) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1)]))
    assert len(find_recordings(str(tmp_path) if given == "PATH" else [tmp_path for _ in given])) == 1


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nothing\.jsonl: no such file or folder"):
        find_recordings([tmp_path / "nothing.jsonl"])


def test_first_unreadable_line_is_an_error_after_the_records_before(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1)]) + b"nonsense\n" + lines([trade(2)]))
    (recording,) = find_recordings(tmp_path)
    found = records_of(recording, tuple(KINDS))
    assert next(found) == trade(1)
    with pytest.raises(RecordingError, match=r"a\.jsonl:2: .*\. Restore the file"):
        next(found)


def test_damaged_compressed_file_is_an_error_with_its_line(tmp_path: Path) -> None:
    whole = gzip.compress(lines([trade(1)])) + gzip.compress(lines([trade(2)] * 50))[:-8]
    (tmp_path / "a.jsonl.gz").write_bytes(whole)
    with pytest.raises(RecordingError, match=r"a\.jsonl\.gz:\d+: unreadable from here on: it was cut off\. Restore"):
        records(tmp_path)


def test_torn_line_and_records_of_newer_versions_are_left_out(tmp_path: Path) -> None:
    newer = lines([trade(9)]).replace(b'"type":"trade"', b'"type":"auction"')
    (tmp_path / "a.jsonl").write_bytes(newer + lines([trade(1), trade(2)])[:-9])
    assert records(tmp_path) == [trade(1)]


def test_unknown_type_is_an_error_with_the_nearest_one() -> None:
    assert check_kind("trade", "type") == "trade"
    with pytest.raises(InputError, match=r'type: "trades" is not allowed: .*Did you mean trade\?'):
        check_kind("trades", "type")


def test_symbols_are_one_or_several() -> None:
    assert [symbols_of(each) for each in (None, "A", ["A", "B"])] == [None, frozenset("A"), frozenset("AB")]


def test_impossible_value_is_an_error_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1), replace(trade(2), price="one")]))
    with pytest.raises(RecordingError, match=r"a\.jsonl:2: could not convert string to float: 'one'\. Restore"):
        records(tmp_path)


@pytest.mark.parametrize(("content", "time_ns"), [(lines([trade(7), trade(8)]), at(7)), (b"", 0), (b"{}\n", 0)])
def test_first_time_is_that_of_the_first_record(tmp_path: Path, content: bytes, time_ns: int) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    (recording,) = find_recordings(tmp_path)
    assert first_time_ns(recording) == time_ns


def test_header_is_a_record_only_if_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([header(), trade(1)]))
    assert records(tmp_path, "trade") == [trade(1)]
    assert records(tmp_path, "header") == [header()]


@pytest.mark.parametrize("change", [b"", b', "host": {}'])
def test_later_schema_is_an_error_that_says_what_to_do(tmp_path: Path, change: bytes) -> None:
    """Also if its header has another form."""
    text = lines([header(schema=2)]).rstrip(b"}\n") + change + b"}\n"
    (tmp_path / "a.jsonl").write_bytes(text + lines([trade(1)]))
    with pytest.raises(RecordingError) as raised:
        records(tmp_path, "trade")
    assert str(raised.value) == (
        f"{tmp_path}/a.jsonl:1: has schema 2 of market-collector 0.1.0, but this version reads up to 1. "
        "Read it with market-collector 0.1.0 or later"
    )


def test_damaged_header_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([header()]).replace(b'"schema":1', b'"schema":"x"') + lines([trade(1)]))
    with pytest.raises(RecordingError, match=r"a\.jsonl:1: Expected `int`, got `str`"):
        records(tmp_path, "trade")
