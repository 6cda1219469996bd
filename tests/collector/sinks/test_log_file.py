"""One file: whole batches only, whatever fails."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from limits import files_of_at_most
from market_collector.sinks.log_file import Segment, create, lock, sync_directory


@pytest.fixture
def segment(tmp_path: Path) -> Iterator[Segment]:
    segment = create(tmp_path / "a.jsonl", 5.0)
    yield segment
    segment.close()


def fail(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


def test_a_batch_is_appended_whole(segment: Segment) -> None:
    segment.append(b"one\ntwo\n")
    segment.append(b"three\n")
    assert segment.path.read_text() == "one\ntwo\nthree\n"
    assert (segment.size, segment.started_at) == (14, 5.0)


def test_new_file_is_private_to_its_user_and_group(tmp_path: Path) -> None:
    """Balances are records too. A pod's fsGroup may read them."""
    mask = os.umask(0)
    try:
        segment = create(tmp_path / "a.jsonl", 5.0)
    finally:
        os.umask(mask)
    assert segment.path.stat().st_mode & 0o777 == 0o640
    segment.close()


def test_a_batch_that_fails_leaves_nothing_behind(segment: Segment) -> None:
    segment.append(b"one\n")
    with files_of_at_most(6), pytest.raises(OSError, match="File too large"):
        segment.append(b"two\n")
    assert segment.path.read_text() == "one\n"
    segment.append(b"two\n")
    assert segment.path.read_text() == "one\ntwo\n"


def test_what_could_not_be_cut_at_once_is_cut_before_the_next_write(
    segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment.append(b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", fail)
        with files_of_at_most(6), pytest.raises(OSError, match="File too large"):
            segment.append(b"two\n")
        assert segment.path.read_text() == "one\ntw"
        with pytest.raises(OSError, match="Input/output"):
            segment.append(b"two\n")
    segment.append(b"two\n")
    assert segment.path.read_text() == "one\ntwo\n"


def test_only_synced_data_stays_in_an_abandoned_file(tmp_path: Path) -> None:
    segment = create(tmp_path / "a.jsonl", 0.0)
    segment.append(b"one\n")
    segment.sync()
    segment.append(b"two\n")
    assert not segment.is_synced
    segment.abandon()
    assert segment.path.read_text() == "one\n"


def test_an_abandoned_file_without_synced_data_goes(tmp_path: Path) -> None:
    segment = create(tmp_path / "a.jsonl", 0.0)
    segment.append(b"one\n")
    segment.abandon()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_removed_is_not_called_safe(segment: Segment) -> None:
    segment.append(b"one\n")
    segment.path.unlink()
    with pytest.raises(FileNotFoundError, match="removed while it was written"):
        segment.sync()


def test_a_name_that_is_taken_is_refused(segment: Segment) -> None:
    with pytest.raises(FileExistsError):
        create(segment.path, 0.0)


def test_an_open_file_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    segment = create(tmp_path / "a.jsonl", 0.0)
    other = os.open(segment.path, os.O_RDWR)
    assert not lock(other, without_locks=False)
    segment.close()
    assert lock(other, without_locks=False)
    os.close(other)


def test_a_lock_on_a_file_that_has_gone_is_none(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    descriptor = os.open(tmp_path / "a", os.O_RDWR)
    (tmp_path / "a").unlink()
    assert not lock(descriptor, without_locks=True)
    os.close(descriptor)


def test_where_there_are_no_locks_the_caller_decides() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.close(writer)
    assert lock(writer, without_locks=True)
    assert not lock(writer, without_locks=False)


def test_a_directory_that_is_none_cannot_be_synced(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        sync_directory(tmp_path / "a")


def test_another_process_sees_the_lock(segment: Segment) -> None:
    code = (
        "import os, sys; from market_collector.sinks.log_file import lock;"
        "sys.exit(lock(os.open(sys.argv[1], os.O_RDWR), without_locks=False))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(segment.path)], check=False).returncode == 0
