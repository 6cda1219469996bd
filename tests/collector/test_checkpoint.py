"""Positions across restarts: never ahead of the sinks, never fatal."""

import logging
from pathlib import Path

import pytest

from market_collector.checkpoint import FILE, Checkpoint, Position, resume
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Gap, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)


def ledger() -> Ledger:
    return Ledger("okx", [TRADES, Stream("BTC-USDT", DataType.TICKER)], 60.0, Moment(0, 0))


def trade(one: Ledger, number: int) -> None:
    record = Trade("okx", "BTC-USDT", number, 1, str(number), str(number), 1, "buy", "1", "1")
    one.trades(one.streams[TRADES], [record], Moment(1.0, 1))


def test_a_restart_sees_the_hole_since_the_last_run(tmp_path: Path) -> None:
    before, after = ledger(), ledger()
    trade(before, 100)
    checkpoint = Checkpoint(tmp_path / "new")
    checkpoint.advance(before, emitted=1, acknowledged=0)
    checkpoint.advance(before, emitted=1, acknowledged=1)
    resume(after, Checkpoint(tmp_path / "new").load())
    trade(after, 105)
    (gap,) = after.overdue(Moment(9.0, 9))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == ("101", "104")


def test_what_no_sink_acknowledged_is_not_saved(tmp_path: Path) -> None:
    one = ledger()
    trade(one, 100)
    checkpoint = Checkpoint(tmp_path)
    checkpoint.advance(one, emitted=1, acknowledged=0)
    trade(one, 101)
    checkpoint.advance(one, emitted=2, acknowledged=0)
    assert checkpoint.load() == {}
    checkpoint.advance(one, emitted=2, acknowledged=1)
    assert checkpoint.load() == {"BTC-USDT/trade": Position(100, 100)}


def test_a_damaged_file_is_said_and_survived(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / FILE).write_text('{"BTC-USDT/trade": {"trade_')
    with caplog.at_level(logging.WARNING):
        assert Checkpoint(tmp_path).load() == {}
    assert FILE in caplog.text


def test_a_directory_that_cannot_be_written_is_said_and_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    one = ledger()
    trade(one, 100)
    checkpoint = Checkpoint(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        checkpoint.advance(one, 1, 1)
        checkpoint.advance(one, 1, 1)
    assert "cannot be written" in caplog.text
