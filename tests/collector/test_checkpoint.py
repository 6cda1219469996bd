"""Positions across restarts: never ahead of the sinks, never fatal."""

import logging
from pathlib import Path

import pytest

from market_collector.checkpoint import FILE, SAMPLES_KEPT, Checkpoint, Samples
from market_collector.feed.checkpoint_state import LinePosition, Positions


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


@pytest.mark.parametrize("text", ['{"streams": {"BTC-US', '{"BTC-USDT/trade": {"trade_id": 5, "time_ns": 1}}', ""])
def test_damaged_or_older_file_is_logged_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    (tmp_path / FILE).write_text(text)
    with caplog.at_level(logging.WARNING):
        assert Checkpoint(tmp_path).load() is None
    assert FILE in caplog.text


def test_unwritable_directory_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING):
        Checkpoint(tmp_path / "file").save(at(100))
    assert "cannot be written" in caplog.text


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
