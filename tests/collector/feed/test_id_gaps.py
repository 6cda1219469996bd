"""Gaps in consecutive ids of trades and candles: found, filled and lost."""

import json

import pytest
from msgspec.structs import replace

from feed_life import CANDLES, TRADES, Life, at, candle, emitted, gets, ledger, second_of, trade, trade_message
from market_collector.book.continuity import IdTracker
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import CandleProgress
from market_collector.model.events import (
    Gap,
    Lost,
    Repaired,
    Resync,
    Trade,
)


def candles_of(book: Ledger) -> CandleProgress:
    progress = book.ids.streams[CANDLES]
    assert isinstance(progress, CandleProgress)
    return progress


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
    progress = candles_of(book)
    rows = [candle(7, closed=False), candle(7, closed=True), candle(10, closed=False)]
    assert book.ids.take_candles(progress, rows, at(1)) == rows
    (gap,) = book.check_overdue(at(3))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing) == ("480000", "540000", 2)
    assert book.gaps.missing_trades == 0


def test_closed_candle_is_delivered_once_and_fills_a_gap_when_late() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    book.ids.take_candles(progress, [candle(7, closed=True), candle(9, closed=True)], at(1))
    book.check_overdue(at(3))
    late, repaired = book.ids.take_candles(progress, [candle(8, closed=True), candle(8, closed=True)], at(4))
    assert late == candle(8, closed=True)
    assert isinstance(repaired, Repaired)
    assert book.duplicates == 1


# -- the first records


@pytest.mark.parametrize("time_ns", [4, 5, 6])
def test_first_trades_out_of_order_are_delivered_without_an_event(time_ns: int) -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    rows = [trade(100), trade(99, time_ns=time_ns), trade(101, time_ns=7)]
    assert [record for row in rows for record in book.ids.take_trades(progress, [row], at(1))] == rows
    assert (book.check_overdue(at(9)), book.duplicates) == ([], 0)


def test_first_closed_candle_may_come_after_the_running_one() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    rows = [candle(8, closed=False), candle(7, closed=True), candle(8, closed=True)]
    assert [record for row in rows for record in book.ids.take_candles(progress, [row], at(1))] == rows
    assert (book.check_overdue(at(9)), book.duplicates) == ([], 0)


# -- late states


def test_running_candle_is_not_published_after_its_closed_one() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    late = replace(candle(7, closed=False), volume="9")
    rows = [candle(7, closed=False), candle(7, closed=True), late, candle(8, closed=False)]
    assert book.ids.take_candles(candles_of(book), rows, at(1)) == [rows[0], rows[1], rows[3]]
    assert (book.duplicates, book.check_overdue(at(9))) == (1, [])


def test_running_candle_is_not_published_after_a_newer_one() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    assert len(book.ids.take_candles(progress, [candle(8, closed=False), candle(7, closed=False)], at(1))) == 1
    assert book.ids.take_candles(progress, [candle(9, closed=True), candle(8, closed=False)], at(2))[1:] == []


def test_running_candle_of_the_last_process_is_not_published() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    progress.ids = IdTracker(7)
    assert book.ids.take_candles(progress, [candle(7, closed=False)], at(1)) == []


def test_closed_candle_with_other_values_is_an_event() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    changed = replace(candle(7, closed=True), close="9")
    assert book.ids.take_candles(progress, [candle(7, closed=True), candle(7, closed=True)], at(1))[1:] == []
    (event,) = book.ids.take_candles(progress, [changed, changed], at(2))
    assert isinstance(event, Resync)
    assert event.reason == (
        "closed candle 420000 came again with other values: open 1, high 2, low 3, close 9, volume 5"
    )
    assert book.duplicates == 3


def test_backfilled_candle_that_comes_with_other_values_is_an_event() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    book.ids.take_candles(progress, [candle(7, closed=True), candle(9, closed=True)], at(1))
    book.check_overdue(at(3))
    (known,) = book.gaps.all_open()
    book.ids.backfill(known, [replace(candle(8, closed=True), backfilled=True)], at(4))
    assert book.ids.take_candles(progress, [candle(8, closed=True)], at(5)) == []
    assert len(book.ids.take_candles(progress, [replace(candle(8, closed=True), low="0")], at(5))) == 1


def test_newest_data_stays_the_last_when_late_data_arrives() -> None:
    """REST's newest event is compared with it: an older one would make a quiet market stale."""
    book = Ledger("okx", [TRADES, CANDLES], 10.0, at(0))
    trades, candles = book.ids.streams[TRADES], candles_of(book)
    for seconds, row in enumerate([trade(100), trade(103), trade(102), trade(102)], 1):
        book.ids.take_trades(trades, [row], at(seconds))
    assert (trades.last, trades.last_at) == (trade(103), 4)
    book.ids.take_trades(trades, [trade(104), trade(101)], at(5))
    assert trades.last == trade(104)
    book.ids.take_candles(candles, [candle(8, closed=False), candle(7, closed=True)], at(6))
    assert (candles.last, candles.last_at) == (candle(8, closed=False), 6)


def test_old_states_do_not_keep_a_stream_alive() -> None:
    """Otherwise a channel that repeats itself would hide that the exchange has newer data."""
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    book.ids.take_candles(progress, [candle(8, closed=False)], at(1))
    book.ids.take_candles(progress, [candle(7, closed=False), candle(8, closed=False)], at(5))
    assert progress.last_at == 1


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
