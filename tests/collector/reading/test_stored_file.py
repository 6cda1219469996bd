"""One file: records, and lines that are none."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from market_collector.model.events import AnyRecord
from market_collector.reading.stored_file import LONGEST_NAME, UNKNOWN_KEPT, StoredFile, damage, decoder, start_of
from market_collector.sinks.reader import DamagedError
from record_lines import lines
from records import gap, raw, snapshot, trade

NEWER = lines([trade(9)]).replace(b'"type":"trade"', b'"type":"auction"')


def read(path: Path, content: bytes, skipped: tuple[bytes, ...] = ()) -> tuple[StoredFile, list[AnyRecord], list[int]]:
    path.write_bytes(content)
    rejected: list[int] = []
    file = StoredFile(path, decoder(), lambda file, error: rejected.append(file.line))
    return file, list(file.records(skipped)), rejected


def test_records_are_read_and_unreadable_lines_are_rejected(tmp_path: Path) -> None:
    content = lines([trade(1)]) + b"nonsense\n" + NEWER + lines([trade(2)])
    file, records, rejected = read(tmp_path / "a.jsonl", content)
    assert (records, rejected) == ([trade(1), trade(2)], [2])
    assert (file.line, file.unreadable, file.unknown, file.torn_bytes) == (4, 1, {"auction": 1}, 0)
    assert not file.is_foreign


def test_torn_last_line_is_no_unreadable_line(tmp_path: Path) -> None:
    file, records, rejected = read(tmp_path / "a.jsonl", lines([trade(1), trade(2)])[:-9])
    assert (records, rejected, file.unreadable) == ([trade(1)], [], 0)
    assert file.torn_bytes == len(lines([trade(2)])) - 9


def test_lines_of_skipped_types_are_not_decoded(tmp_path: Path) -> None:
    content = lines([trade(1), snapshot(2), raw(), gap("g", 3, 4)]) + start_of("raw") + b"damaged\n"
    _, records, rejected = read(tmp_path / "a.jsonl", content, (start_of("raw"), start_of("orderbook")))
    assert (records, rejected) == ([trade(1), gap("g", 3, 4)], [])


def test_file_without_any_record_is_foreign(tmp_path: Path) -> None:
    file, _, rejected = read(tmp_path / "a.jsonl", b"a,b\n1,2\n")
    assert (file.is_foreign, rejected) == (True, [1, 2])


def test_caller_can_reject_a_record(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines([trade(1)]))
    rejected: list[str] = []
    file = StoredFile(tmp_path / "a.jsonl", decoder(), lambda file, error: rejected.append(f"{file.line}: {error}"))
    for _ in file.records():
        file.reject(ValueError("impossible"))
    assert (rejected, file.unreadable) == (["1: impossible"], 1)


def test_records_with_words_of_a_newer_version_are_no_damage(tmp_path: Path) -> None:
    content = lines([trade(1), snapshot(2)])
    newer = content.replace(b'"side":"buy"', b'"side":"both"').replace(b'"snapshot"', b'"whole"')
    file, records, rejected = read(tmp_path / "a.jsonl", newer)
    assert (records, rejected) == ([replace(trade(1), side=None)], [])
    assert {(each.field, each.word): count for each, count in file.unknown_words.items()} == {
        ("side", "both"): 1,
        ("action", "whole"): 1,
    }


def test_names_of_unknown_types_and_words_do_not_fill_the_memory(tmp_path: Path) -> None:
    line = lines([trade(1)])
    kinds = [line.replace(b'"trade"', b'"%d%s"' % (number, b"x" * 1000)) for number in range(50)]
    words = [line.replace(b'"buy"', b'"%d%s"' % (number, b"x" * 1000)) for number in range(50)]
    file, _, _ = read(tmp_path / "a.jsonl", b"".join(kinds + words))
    assert file.unknown.total() == file.unknown_words.total() == 50
    assert len(file.unknown) == len(file.unknown_words) == UNKNOWN_KEPT + 1
    names = [*file.unknown, *(each.word for each in file.unknown_words)]
    assert max(map(len, names)) == LONGEST_NAME


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DamagedError("it was cut off"), "it was cut off"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
    ],
)
def test_damage_names_the_reason(error: OSError | ValueError, reason: str) -> None:
    assert damage(error) == f"unreadable from here on: {reason}"
