"""A finished file becomes a compressed one, and is never in neither."""

import gzip
import os
from pathlib import Path

import pytest
import zstandard

from market_collector.sinks.compress import READ_BYTES, compress
from market_collector.sinks.names import compressed_path, unfinished_path

TEXT = b'{"type": "trade"}\n' * 50_000


def unpack(path: Path) -> bytes:
    packed = path.read_bytes()
    return (
        gzip.decompress(packed) if path.suffix == ".gz" else zstandard.ZstdDecompressor().stream_reader(packed).read()
    )


@pytest.mark.parametrize(("compression", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_a_file_is_replaced_by_its_compressed_form(tmp_path: Path, compression: str, ending: str) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(TEXT)
    plain.chmod(0o640)
    packed = compress(plain, compression, lambda: False)
    assert packed == tmp_path / f"a.jsonl{ending}"
    assert list(tmp_path.iterdir()) == [packed]
    assert unpack(packed) == TEXT
    assert packed.stat().st_mode & 0o777 == 0o640
    assert packed.stat().st_size < len(TEXT) / 50


def test_stopping_leaves_the_plain_file(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(b"x" * (READ_BYTES * 2))
    answers = iter([False, True])
    assert compress(plain, "zstd", lambda: next(answers)) is None
    assert list(tmp_path.iterdir()) == [plain]


def test_a_failure_leaves_the_plain_file(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(TEXT)
    (tmp_path / "a.jsonl.gz").mkdir()  # the rename fails
    with pytest.raises(IsADirectoryError):
        compress(plain, "gzip", lambda: False)
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "a.jsonl.gz"]
    assert plain.read_bytes() == TEXT


def test_an_earlier_attempt_is_written_over(tmp_path: Path) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(TEXT)
    (tmp_path / "a.jsonl.gz.part").write_bytes(b"half")
    packed = compress(plain, "gzip", lambda: False)
    assert packed is not None
    assert unpack(packed) == TEXT


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    plain, target = tmp_path / "a.jsonl", tmp_path / "of-others"
    plain.write_bytes(TEXT)
    target.write_bytes(b"kept")
    unfinished_path(compressed_path(plain, "gzip")).symlink_to(target)
    packed = compress(plain, "gzip", lambda: False)
    assert packed is not None
    assert unpack(packed) == TEXT
    assert target.read_bytes() == b"kept"


def test_a_link_is_not_compressed(tmp_path: Path) -> None:
    plain, target = tmp_path / "a.jsonl", tmp_path / "of-others"
    target.write_bytes(b"secret")
    plain.symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        compress(plain, "gzip", lambda: False)
    assert sorted(tmp_path.iterdir()) == [plain, target]
