"""Lines of files, plain and compressed, whole and damaged."""

import gzip
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from market_collector.sinks import reader
from market_collector.sinks.compress import compress
from market_collector.sinks.reader import BUFFER_BYTES, LONGEST_LINE_BYTES, DamagedError, stored_lines

LINES = [b'{"number":%d}\n' % number for number in range(BUFFER_BYTES // 4)]
PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstandard.compress}
every_compression = pytest.mark.parametrize("ending", PACK)


@pytest.mark.parametrize("ending", ["", *PACK])
def test_lines_are_read_from_any_byte_on(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    text = b"".join(LINES)
    path.write_bytes(PACK[ending](text) if ending else text)
    assert list(stored_lines(path)) == LINES
    assert list(stored_lines(path, len(text) - len(LINES[-1]))) == LINES[-1:]
    assert list(stored_lines(path, len(text) - 3)) == [LINES[-1][-3:]]
    assert list(stored_lines(path, len(text) + 9)) == []


@every_compression
def test_compressed_files_that_were_put_together_are_one(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    path.write_bytes(b"".join(PACK[ending](line) for line in LINES[:5]))
    assert list(stored_lines(path)) == LINES[:5]


@every_compression
def test_truncated_file_yields_its_lines_and_then_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    whole = b"".join(PACK[ending](line) for line in LINES[:9]) + PACK[ending](b"".join(LINES[9:]))
    path.write_bytes(whole[:-1])
    lines = stored_lines(path)
    assert [next(lines) for _ in range(9)] == LINES[:9]
    with pytest.raises(DamagedError, match="cut off"):
        list(lines)


@every_compression
def test_uncompressed_content_is_an_error(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.jsonl{ending}"
    for content in (b"", LINES[0]):
        path.write_bytes(content)
        with pytest.raises(DamagedError):
            list(stored_lines(path))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_changed_byte_in_a_compressed_file_is_an_error(tmp_path: Path, compression: str) -> None:
    plain = tmp_path / "a.jsonl"
    plain.write_bytes(b"".join(LINES))
    path = compress(plain, compression, lambda: False)
    assert path is not None
    whole = path.read_bytes()
    for at in range(len(whole) // 3, len(whole), len(whole) // 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(DamagedError):
            list(stored_lines(path))


@pytest.mark.parametrize("ending", ["", *PACK])
def test_a_line_without_an_end_is_damage(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read only as far as the limit."""
    monkeypatch.setattr(reader, "LONGEST_LINE_BYTES", 1 << 22)
    path = tmp_path / f"a.jsonl{ending}"
    text = LINES[0] + b"x" * LONGEST_LINE_BYTES
    path.write_bytes(PACK[ending](text) if ending else text)
    tracemalloc.start()
    lines = stored_lines(path)
    assert next(lines) == LINES[0]
    with pytest.raises(DamagedError, match="a line of more than 4 MiB"):
        next(lines)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < LONGEST_LINE_BYTES / 2
