"""Gaps in consecutive ids of trades and candles: found, filled and lost."""

import json

from feed_life import CANDLES, TRADES, Life, at, candle, emitted, gets, ledger, second_of, trade, trade_message
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import (
    Gap,
    Lost,
    Repaired,
    Resync,
    Trade,
)


def test_trade_gap_is_recorded_after_the_reorder_window() -> None:
    life = Life(TRADES)
    life.gets(trade_message(100))
    life.gets(trade_message(108, ts=2_000), 2)
    assert emitted(life.feed.woken(at(2.5))) == []
    (gap,) = emitted(life.feed.woken(at(3.1)))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing) == ("101", "107", 7)


def test_gap_across_a_reconnect_is_found() -> None:
    life = Life(TRADES)
    life.gets(trade_message(100))
    life.feed.closed("reset", at(2))
    second = Feed("public", Okx(), [TRADES], life.ledger, ping_interval_s=20.0)
    second.opened(at(3))
    second.received(json.dumps(trade_message(103), separators=(",", ":")).encode(), at(4))
    (gap,) = emitted(second.woken(at(6)))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == ("101", "102")


def test_two_connections_deliver_each_trade_once() -> None:
    life = Life(TRADES)
    second = second_of(life)
    life.gets(trade_message(100))
    assert gets(second, trade_message(100)) == []
    assert [type(r) for r in gets(second, trade_message(101))] == [Trade]
    assert emitted(life.gets(trade_message(101))) == []


def test_missing_trade_ids_become_a_gap_with_bounds() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100), trade(106, time_ns=9)], at(1))
    assert book.check_overdue(at(1.5)) == []
    (gap,) = book.check_overdue(at(2.5))
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.first, gap.last, gap.missing, gap.to_time_ns) == ("BTC-USDT/trade", "101", "105", 5, 9)
    assert (book.gaps.detected, book.gaps.missing_trades, book.gaps.repaired) == (1, 5, 0)
    assert [known.gap for known in book.gaps.all_open()] == [gap]


def test_duplicates_are_counted_and_not_delivered() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    assert book.ids.take_trades(progress, [trade(100), trade(101), trade(101)], at(1)) == [trade(100), trade(101)]
    assert book.duplicates == 1


def test_very_late_trades_fill_their_gap() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100), trade(103)], at(1))
    (gap,) = book.check_overdue(at(3))
    assert book.ids.take_trades(progress, [trade(101)], at(4)) == [trade(101)]
    late, repaired = book.ids.take_trades(progress, [trade(102)], at(5))
    assert late == trade(102)
    assert isinstance(repaired, Repaired)
    assert isinstance(gap, Gap)
    assert (repaired.gap_id, repaired.recovered, repaired.missing) == (gap.gap_id, 2, 0)
    assert (book.gaps.repaired, book.gaps.all_open()) == (1, [])


def test_restarted_trade_ids_are_delivered_with_an_event() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1_000, time_ns=10)], at(1))
    said, first = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(2))
    assert isinstance(said, Resync)
    assert "restarted at 3" in said.reason
    assert first == trade(3, time_ns=20)


def test_only_the_first_gap_after_a_disconnect_has_its_reason() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1)], at(1))
    book.disconnected(1, [TRADES], "reset", at(2))
    book.ids.take_trades(progress, [trade(4)], at(3))
    (first,) = book.check_overdue(at(5))
    book.ids.take_trades(progress, [trade(9)], at(6))
    (second,) = book.check_overdue(at(8))
    assert isinstance(first, Gap)
    assert isinstance(second, Gap)
    assert (first.reason, second.reason) == ("Disconnected", "IdsMissing")


def test_later_gap_is_not_blamed_on_a_complete_reconnect() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1)], at(1))
    book.disconnected(1, [TRADES], "reset", at(2))
    book.ids.take_trades(progress, [trade(2)], at(3))
    book.ids.take_trades(progress, [trade(9)], at(6))
    (gap,) = book.check_overdue(at(8))
    assert isinstance(gap, Gap)
    assert gap.reason == "IdsMissing"


def test_running_candle_implies_that_earlier_candles_are_closed() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = book.ids.streams[CANDLES]
    rows = [candle(7, closed=False), candle(7, closed=True), candle(10, closed=False)]
    assert book.ids.take_candles(progress, rows, at(1)) == rows
    (gap,) = book.check_overdue(at(3))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing) == ("480000", "540000", 2)
    assert book.gaps.missing_trades == 0


def test_closed_candle_is_delivered_once_and_fills_a_gap_when_late() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = book.ids.streams[CANDLES]
    book.ids.take_candles(progress, [candle(7, closed=True), candle(9, closed=True)], at(1))
    book.check_overdue(at(3))
    late, repaired = book.ids.take_candles(progress, [candle(8, closed=True), candle(8, closed=True)], at(4))
    assert late == candle(8, closed=True)
    assert isinstance(repaired, Repaired)
    assert book.duplicates == 1


def test_restarted_numbering_ends_gaps_of_the_old_numbering() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=10), trade(103, time_ns=11)], at(1))
    book.check_overdue(at(3))
    lost, said, first = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(4))
    assert isinstance(lost, Lost)
    assert lost.ranges == [("101", "102")]
    assert [type(said), type(first)] == [Resync, Trade]


def test_numbering_restart_loses_exactly_the_missing_ids() -> None:
    """Ids recovered before the restart are not lost. Ids still waited for are."""
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=10), trade(104, time_ns=11)], at(1))
    book.check_overdue(at(3))
    book.ids.take_trades(progress, [trade(101, time_ns=10), trade(106, time_ns=12)], at(4))
    gap, first, second, *_ = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(4.5))
    assert isinstance(gap, Gap)
    assert isinstance(first, Lost)
    assert isinstance(second, Lost)
    assert (gap.first, gap.last, first.ranges, second.ranges) == ("105", "105", [("102", "103")], [("105", "105")])
    assert (progress.ids.waiting, progress.ids.missing, book.gaps.all_open()) == ([], [], [])
    assert book.gaps.lost_trades == 3
