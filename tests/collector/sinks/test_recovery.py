"""Files damaged by a crash are recovered before new records are written."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.sinks.interface import Origin
from market_collector.sinks.log_file import create
from market_collector.sinks.names import compressed_path, file_name, unfinished_path
from market_collector.sinks.recovery import BLOCK_BYTES, Leftover, cut_torn_line, put_in_order

OKX = Origin("okx-btc", 0, "pod-1")


def leave(folder: Path, content: bytes, counter: int = 1, origin: Origin = OKX) -> Path:
    path = folder / file_name(origin, 0, counter)
    path.write_bytes(content)
    return path


def recover(folder: Path) -> list[Path]:
    leftovers = put_in_order(folder, OKX)
    for leftover in leftovers:
        os.close(leftover.descriptor)
    return [leftover.path for leftover in leftovers]


def test_torn_last_line_is_cut_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = leave(tmp_path, b'{"a":1}\n{"b":2}\n{"c"')
    with caplog.at_level(logging.WARNING):
        assert recover(tmp_path) == [path]
    assert path.read_bytes() == b'{"a":1}\n{"b":2}\n'
    assert "cut 4 bytes of a torn last line" in caplog.text


def test_a_whole_file_is_left_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = leave(tmp_path, b'{"a":1}\n')
    assert recover(tmp_path) == [path]
    assert (path.read_bytes(), caplog.text) == (b'{"a":1}\n', "")


@pytest.mark.parametrize("content", [b"", b'{"torn": '])
def test_a_file_without_a_whole_line_goes(tmp_path: Path, content: bytes) -> None:
    leave(tmp_path, content)
    assert recover(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_files_of_other_pods_of_the_shard_are_recovered(tmp_path: Path) -> None:
    path = leave(tmp_path, b"{}\n{", origin=Origin("okx-btc", 0, "an-earlier-pod"))
    assert recover(tmp_path) == [path]
    assert path.read_bytes() == b"{}\n"


def test_files_of_other_shards_and_people_are_not_touched(tmp_path: Path) -> None:
    others = [leave(tmp_path, b"{", origin=Origin("okx-btc", 1, "pod-1")), tmp_path / "notes.jsonl"]
    others[1].write_bytes(b"{")
    assert recover(tmp_path) == []
    assert [path.read_bytes() for path in others] == [b"{", b"{"]


def test_a_file_that_another_process_writes_is_left_alone(tmp_path: Path) -> None:
    segment = create(tmp_path / file_name(OKX, 0, 1), 0.0)
    segment.append(b"{}\n{half")
    part = unfinished_path(compressed_path(segment.path, "gzip"))
    part.touch()
    assert recover(tmp_path) == []
    assert segment.path.read_bytes() == b"{}\n{half"
    assert part.exists()
    segment.close()


def test_a_broken_off_compression_goes(tmp_path: Path) -> None:
    path = leave(tmp_path, b"{}\n")
    unfinished_path(compressed_path(path, "zstd")).write_bytes(b"half")
    unfinished_path(compressed_path(tmp_path / file_name(OKX, 0, 9), "gzip")).write_bytes(b"of no file")
    assert recover(tmp_path) == [path]
    assert list(tmp_path.iterdir()) == [path]


def test_of_a_file_both_plain_and_compressed_the_compressed_one_stays(tmp_path: Path) -> None:
    path = leave(tmp_path, b"{}\n")
    packed = compressed_path(path, "gzip")
    packed.write_bytes(b"whole, because it has its name")
    assert recover(tmp_path) == []
    assert list(tmp_path.iterdir()) == [packed]


def test_a_leftover_is_locked_until_it_is_let_go(tmp_path: Path) -> None:
    path = leave(tmp_path, b"{}\n")
    (leftover,) = put_in_order(tmp_path, OKX)
    assert leftover == Leftover(path, leftover.descriptor)
    assert recover(tmp_path) == []
    os.close(leftover.descriptor)
    assert recover(tmp_path) == [path]


def test_a_very_long_torn_line_is_cut(tmp_path: Path) -> None:
    path = leave(tmp_path, b"{}\n" + b"x" * (BLOCK_BYTES * 2))
    assert recover(tmp_path) == [path]
    assert path.read_bytes() == b"{}\n"


@given(st.binary(max_size=64))
def test_after_cutting_a_file_is_whole_lines_and_nothing_whole_is_missing(content: bytes) -> None:
    descriptor = os.memfd_create("leftover")
    try:
        os.write(descriptor, content)
        cut = cut_torn_line(Path("leftover"), descriptor)
        kept = os.pread(descriptor, 1000, 0)
    finally:
        os.close(descriptor)
    assert content.startswith(kept)
    assert len(kept) + cut == len(content)
    assert not kept or kept.endswith(b"\n")
    assert b"\n" not in content[len(kept) :]


def test_links_and_special_files_are_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    target = tmp_path / "of-others"
    target.write_bytes(b"no newline at the end")
    link, pipe = tmp_path / file_name(OKX, 0, 1), tmp_path / file_name(OKX, 0, 2)
    link.symlink_to(target)
    os.mkfifo(pipe)
    assert recover(tmp_path) == []
    assert target.read_bytes() == b"no newline at the end"
    assert link.is_symlink()
    assert caplog.text.count("is not a regular file") == 2


def test_folder_with_the_name_of_an_unfinished_file_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unfinished_path(compressed_path(tmp_path / file_name(OKX, 0, 1), "gzip")).mkdir()
    assert recover(tmp_path) == []
    assert "is not a regular file" in caplog.text


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_file_stays_when_something_else_has_its_compressed_name(tmp_path: Path, kind: str) -> None:
    plain = leave(tmp_path, b"{}\n")
    if kind == "link":
        compressed_path(plain, "gzip").symlink_to(plain)
    else:
        compressed_path(plain, "gzip").mkdir()
    assert recover(tmp_path) == [plain]
    assert plain.read_bytes() == b"{}\n"
