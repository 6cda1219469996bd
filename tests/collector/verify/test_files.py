"""Real files: selection, order, and unreadable files."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest
import zstandard

from market_collector.model.events import Record
from market_collector.reading.files import recordings
from market_collector.reading.trouble import LONGEST_ERROR
from market_collector.sinks.compress import compress
from market_collector.sinks.interface import Origin
from market_collector.sinks.names import file_name
from market_collector.verify.files import TROUBLES_KEPT, Reader
from market_collector.verify.ids import NumberLine
from market_collector.verify.replica import ReplicaCheck
from record_lines import lines
from records import TRADES, at, gap, header, raw, trade

NAME = "okx-btc_0_{host}_20261122T1000{second:02d}.000Z_{counter:06d}.jsonl"


def write(path: Path, *records: Record) -> Path:
    path.write_bytes(lines(records))
    return path


def named(folder: Path, second: int, counter: int, host: str = "pod-a") -> Path:
    path = folder / NAME.format(host=host, second=second, counter=counter)
    path.touch()
    return path


def read(*paths: Path) -> tuple[Reader, list[ReplicaCheck]]:
    reader = Reader()
    found, troubles = recordings([str(path) for path in paths])
    assert not troubles
    return reader, [reader.read(recording) for recording in found]


def trades(check: ReplicaCheck) -> Sequence[tuple[int, int]]:
    line = check.streams["okx", TRADES].line
    assert isinstance(line, NumberLine)
    return line.numberings[0].runs.runs()


def test_a_file_both_plain_and_compressed_counts_once(tmp_path: Path) -> None:
    plain = write(named(tmp_path, 1, 1), trade(1))
    content = plain.read_bytes()
    compress(plain, "gzip", lambda: False)
    plain.write_bytes(content)
    _, (check,) = read(tmp_path)
    assert check.records == 1


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_files_are_read_as_the_sink_wrote_them(tmp_path: Path, compression: str) -> None:
    origin = Origin("okx-btc", 0, "pod-a")
    for counter, numbers in enumerate([(1, 2), (3, 4)], 1):
        path = write(tmp_path / file_name(origin, at(counter), counter), *map(trade, numbers), raw())
        if compression != "none":
            compress(path, compression, lambda: False)
    reader, (check,) = read(tmp_path)
    assert (reader.files, reader.troubles, reader.notes) == (2, [], [])
    assert (trades(check), check.records, check.raw) == ([(1, 4)], 6, 2)


def test_frames_of_zstd_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join(zstandard.compress(lines([trade(number)])) for number in (1, 2, 3)))
    assert trades(read(path)[1][0]) == [(1, 3)]


def test_a_file_that_was_compressed_since_it_was_listed_is_still_read(tmp_path: Path) -> None:
    plain = write(named(tmp_path, 1, 1), trade(1))
    found, _ = recordings([str(tmp_path)])
    compress(plain, "zstd", lambda: False)
    reader = Reader()
    assert trades(reader.read(found[0])) == [(1, 1)]
    assert not reader.troubles


def test_a_torn_last_line_is_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([trade(1), trade(2), trade(3)])[:-10])
    reader, (check,) = read(path)
    assert trades(check) == [(1, 2)]
    assert not reader.troubles
    (note,) = reader.notes
    assert note.startswith(f"{path}:3: torn last line")


def test_a_last_line_that_only_lacks_its_end_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([trade(1), trade(2)])[:-1])
    reader, (check,) = read(path)
    assert (trades(check), reader.notes) == ([(1, 2)], [])


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense\n",
        b"\n",
        b"\0\0\0\0\n",
        b"\xff\xfe\n",
        b"[1, 2]\n",
        lines([trade(7)]).replace(b'"price":"1",', b""),
        lines([trade(7)]).replace(b'"trade_id":"7"', b'"trade_id":"seven"'),
        lines([trade(7)]).replace(b'"trade_id":"7"', b'"trade_id":7'),
    ],
)
def test_a_broken_line_is_named_and_the_rest_is_read(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([trade(1)]) + bad + lines([trade(2)]))
    reader, (check,) = read(path)
    assert trades(check) == [(1, 2)]
    (trouble,) = reader.troubles
    assert (trouble.file, trouble.line) == (str(path), 2)
    assert "Restore the file" in trouble.reason


def test_many_broken_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([trade(1)]) + b"nonsense\n" * (TROUBLES_KEPT + 5))
    reader, _ = read(path)
    assert len(reader.troubles) == TROUBLES_KEPT + 1
    assert "5 more lines" in reader.troubles[-1].reason


@pytest.mark.parametrize(
    "content",
    [
        b"nonsense\n" * (TROUBLES_KEPT + 5),
        b"hello",
        b"trade_id,side,price\n1,buy,2\n2,sell,2",
        b'{"apiVersion":"v1","kind":"List"}',
        b'{"type":"Feature","id":1}',
        b'{"type":"Feature","id":1}\n{"type":"Feature","id":2}\n',
        b"spec:\n  exchange: okx\n",
    ],
)
def test_file_without_any_record_is_named_as_no_recording(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_bytes(content)
    reader, _ = read(path)
    (trouble,) = reader.troubles
    assert (trouble.line, trouble.reason[:40]) == (None, "is no recording of the file sink: no lin")
    assert not reader.notes


@pytest.mark.parametrize("size", [1, 8, 9, 12, 40])
def test_file_with_only_the_start_of_a_record_is_torn(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([trade(1)])[:size])
    reader, _ = read(path)
    assert not reader.troubles
    assert "torn last line" in reader.notes[0]


def test_empty_file_beside_others_is_a_note(tmp_path: Path) -> None:
    empty = write(tmp_path / "a.jsonl")
    reader, _ = read(empty, write(tmp_path / "b.jsonl", trade(1)))
    assert (reader.troubles, reader.notes) == ([], [f"{empty}: is empty"])


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_damaged_compressed_file_is_named_after_its_readable_records(tmp_path: Path, ending: str) -> None:
    pack = gzip.compress if ending == "gz" else zstandard.compress
    path = tmp_path / f"a.jsonl.{ending}"
    whole = b"".join(pack(lines([trade(number)])) for number in (1, 2))
    path.write_bytes(whole + pack(lines([trade(3)] * 50))[:-8])
    reader, (check,) = read(path)
    assert trades(check)[0][0] == 1
    assert reader.troubles
    assert reader.troubles[0].file == str(path)


@pytest.mark.parametrize("ending", ["gz", "zst"])
def test_truncated_compressed_file_is_reported_at_any_length(tmp_path: Path, ending: str) -> None:
    pack = gzip.compress if ending == "gz" else zstandard.compress
    whole = pack(lines([trade(1), trade(2)]))
    path = tmp_path / f"a.jsonl.{ending}"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        assert read(path)[0].troubles, size
    path.write_bytes(whole)
    assert not read(path)[0].troubles


def test_uncompressed_content_is_named(tmp_path: Path) -> None:
    for ending in ("gz", "zst"):
        reader, _ = read(write(tmp_path / f"a.jsonl.{ending}", trade(1)))
        assert [trouble.line for trouble in reader.troubles] == [1]


def test_records_of_a_newer_version_are_a_note(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    newer = lines([trade(7)]).replace(b'"type":"trade"', b'"type":"premium"')
    path.write_bytes(newer * 2 + lines([trade(1)]).replace(b"{", b'{"new":1,', 1))
    reader, (check,) = read(path)
    assert not reader.troubles
    assert reader.notes == [f"{path}: 2 records of unknown type 'premium' not checked"]
    assert trades(check) == [(1, 1)]


def test_words_of_a_newer_version_are_notes(tmp_path: Path) -> None:
    content = lines([trade(1), raw()]).replace(b'"side":"buy"', b'"side":"both"')
    (path := tmp_path / "a.jsonl").write_bytes(content.replace(b'"in"', b'"inside"'))
    reader, (check,) = read(path)
    assert (reader.troubles, trades(check)) == ([], [(1, 1)])
    assert reader.notes == [
        f"{path}: 1 trade record with unknown side 'both' read as null",
        f"{path}: 1 raw record with unknown direction 'inside' not checked",
    ]


def test_later_schema_is_named_with_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", header(schema=2), trade(1))
    reader, (check,) = read(path, write(tmp_path / "b.jsonl", header(), trade(2)))[0], read(tmp_path / "b.jsonl")[1]
    assert list(map(str, reader.troubles)) == [
        f"{path}:1: has schema 2 of market-collector 0.1.0, but this version reads up to 1. "
        "Read it with market-collector 0.1.0 or later"
    ]
    assert (trades(check), check.records, reader.notes) == ([(2, 2)], 2, [])


def test_error_with_a_long_value_is_cut(tmp_path: Path) -> None:
    content = lines([gap("g", 2, 3)]).replace(b"/trade", b"/" + b"x" * 10_000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines([trade(1)]) + content)
    reader, _ = read(path)
    (trouble,) = reader.troubles
    assert trouble.line == 2
    assert len(trouble.reason) < 2 * LONGEST_ERROR
