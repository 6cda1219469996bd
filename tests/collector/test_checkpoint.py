"""Positions across restarts: never ahead of the sinks, never fatal."""

import asyncio
import errno
import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from collector_settings import settings_of
from market_collector.app import Collector
from market_collector.checkpoint import FILE, LOCK, SAMPLES_KEPT, Checkpoint, Samples
from market_collector.errors import InputError
from market_collector.feed.checkpoint_state import LinePosition, Positions
from market_collector.feed.stream_state import IdProgress
from market_collector.model.streams import DataType, Stream


def at(last: int) -> Positions:
    return Positions({"BTC-USDT/trade": LinePosition(last, 9, ((3, 4),))}, [], [], {"out": "x.jsonl:12"})


def test_saved_checkpoint_is_loaded(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "new").save(at(100))
    assert Checkpoint(tmp_path / "new").load() == at(100)


def test_the_first_run_finds_nothing(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path).load() is None


def test_unchanged_checkpoint_is_not_written_again(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save(at(100))
    (tmp_path / FILE).unlink()
    checkpoint.save(at(100))
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    "text",
    ['{"streams": {"BTC-US', '{"BTC-USDT/trade": {"trade_id": 5, "time_ns": 1}}', "", "[" * 100_000, '{"x": ' * 9_000],
)
def test_damaged_or_older_file_is_logged_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / FILE).write_text(text)
    checkpoint = Checkpoint(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert checkpoint.load() is None
    assert FILE in caplog.text
    checkpoint.save(at(100))
    assert "cannot be read, so a gap since the last run is not detected" in checkpoint.error


def test_unwritable_directory_is_logged_once_and_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    checkpoint = Checkpoint(tmp_path / "file")
    with caplog.at_level(logging.WARNING), checkpoint.held():
        checkpoint.save(at(100))
        checkpoint.save(at(101))
    assert caplog.text.count("cannot be written") == 1
    assert "cannot be written, so a crash would lose the positions: File exists" in checkpoint.error
    (tmp_path / "file").unlink()
    checkpoint.save(at(102))
    assert checkpoint.error == ""


def test_second_collector_cannot_use_the_directory(tmp_path: Path) -> None:
    message = f"{tmp_path}: process {os.getpid()} on .* uses this state directory"
    with Checkpoint(tmp_path).held(), pytest.raises(InputError, match=message), Checkpoint(tmp_path).held():
        pass
    with Checkpoint(tmp_path).held():
        pass


HOLD_AND_DIE = """
import os, pathlib, sys
from market_collector.checkpoint import Checkpoint
held = Checkpoint(pathlib.Path(sys.argv[1])).held()
held.__enter__()
os.kill(os.getpid(), 9)
"""


def test_killed_collector_locks_nobody_out(tmp_path: Path) -> None:
    """As in a pod whose container crashed."""
    killed = subprocess.run([sys.executable, "-c", HOLD_AND_DIE, str(tmp_path)], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / LOCK).exists()
    with Checkpoint(tmp_path).held():
        pass


def test_file_system_without_locks_is_used_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(lock: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", fail)
    with Checkpoint(tmp_path).held():
        pass
    assert "cannot be locked" in caplog.text


def test_positions_count_when_the_slowest_sink_has_reached_them() -> None:
    samples, marks = Samples(), list[int]()
    for last in (1, 2, 3):
        samples.take(lambda last=last: at(last), marks.append)  # type: ignore[misc]
    assert samples.acknowledged({"fast": marks[2], "slow": 0}) is None
    assert samples.by_sink == {"fast": at(3)}
    assert samples.acknowledged({"fast": marks[2], "slow": marks[1]}) == at(2)
    assert samples.acknowledged({"fast": marks[2], "slow": marks[1]}) is None
    assert samples.acknowledged({"fast": marks[2], "slow": marks[2]}) == at(3)


def test_a_sink_that_hangs_does_not_pile_up_positions() -> None:
    samples, marks = Samples(), list[int]()
    for _ in range(SAMPLES_KEPT * 2):
        samples.take(lambda: at(1), marks.append)
    assert len(marks) == SAMPLES_KEPT


def test_internal_error_of_one_checkpoint_is_shown_until_the_next(tmp_path: Path) -> None:
    collector = Collector(settings_of("ws://127.0.0.1:9", DataType.TRADE), tmp_path)
    progress = collector.ledger.streams[Stream("BTC-USDT", DataType.TRADE)]
    assert isinstance(progress, IdProgress)
    right, progress.ids = progress.ids, None  # type: ignore[assignment] # the internal error
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("market_collector.app.CHECKPOINT_S", 0.01)
        asyncio.run(_checkpoints_until(collector, lambda: collector.ledger.complaints.internal_errors >= 2))
        progress.ids = right
        assert "a crash would lose the positions: internal error: AttributeError" in collector.status().checkpoint_error
        asyncio.run(_checkpoints_until(collector, lambda: not collector.status().checkpoint_error))
    assert Checkpoint(tmp_path).load() is not None


async def _checkpoints_until(collector: Collector, is_so: Callable[[], bool]) -> None:
    task = asyncio.create_task(collector._save_checkpoints())
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)
    assert not task.done()
    task.cancel()
