"""Gaps in consecutive ids of trades and candles: found, filled and lost."""

import pytest
from msgspec.structs import replace

from feed_life import CANDLES, TRADES, Life, at, candle, emitted, gets, ledger, second_of, trade, trade_message
from market_collector.book.continuity import IdTracker
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import CandleProgress
from market_collector.model.events import (
    Disconnected,
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


def test_trade_gap_precedes_the_first_trade_beyond_it() -> None:
    life = Life(TRADES)
    life.gets(trade_message(100))
    gap, beyond = emitted(life.gets(trade_message(108, ts=2_000), 2))
    assert isinstance(gap, Gap)
    assert (gap.first_id, gap.last_id, gap.missing) == ("101", "107", 7)
    assert (gap.from_time_ns, gap.to_time_ns) == (1_000_000_000, 2_000_000_000)
    assert isinstance(beyond, Trade)


def test_gap_across_a_reconnect_is_found() -> None:
    life = Life(TRADES)
    life.gets(trade_message(100))
    life.feed.closed("reset", at(2))
    second = Feed("public", Okx(), [TRADES], life.ledger, ping_interval_s=20.0)
    second.opened(at(3))
    gap, _ = gets(second, trade_message(103), 4)
    assert isinstance(gap, Gap)
    assert (gap.first_id, gap.last_id) == ("101", "102")


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
    first, gap, beyond = book.ids.take_trades(progress, [trade(100), trade(106, time_ns=9)], at(1))
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.data_type, gap.interval) == ("BTC-USDT/trade", "trade", None)
    assert (gap.first_id, gap.last_id, gap.missing, gap.from_time_ns, gap.to_time_ns) == ("101", "105", 5, 5, 9)
    assert (first, beyond) == (trade(100), trade(106, time_ns=9))
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
    _, gap, _ = book.ids.take_trades(progress, [trade(100), trade(103)], at(1))
    assert book.ids.take_trades(progress, [trade(101)], at(4)) == [trade(101)]
    late, repaired = book.ids.take_trades(progress, [trade(102)], at(5))
    assert late == trade(102)
    assert isinstance(repaired, Repaired)
    assert isinstance(gap, Gap)
    assert (repaired.gap_id, repaired.recovered, repaired.missing) == (gap.gap_id, 2, 0)
    assert (repaired.first_id, repaired.last_id, repaired.reason) == ("101", "102", "LateRecords")
    assert (repaired.from_time_ns, repaired.to_time_ns) == (gap.from_time_ns, gap.to_time_ns)
    assert (book.gaps.repaired, book.gaps.all_open()) == (1, [])


def test_restarted_trade_ids_are_delivered_with_an_event() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1_000, time_ns=10)], at(1))
    said, first = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(2))
    assert isinstance(said, Resync)
    assert (said.reason, said.detail) == ("NumberingRestarted", "trade ids restarted at 3")
    assert first == trade(3, time_ns=20)


def test_only_the_first_gap_after_a_disconnect_has_its_reason() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1)], at(1))
    book.disconnected(1, [TRADES], "reset", at(2))
    first, _ = book.ids.take_trades(progress, [trade(4)], at(3))
    second, _ = book.ids.take_trades(progress, [trade(9)], at(6))
    assert isinstance(first, Gap)
    assert isinstance(second, Gap)
    assert (first.reason, second.reason) == ("Disconnected", "IdsMissing")


def test_later_gap_is_not_blamed_on_a_complete_reconnect() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1)], at(1))
    book.disconnected(1, [TRADES], "reset", at(2))
    book.ids.take_trades(progress, [trade(2)], at(3))
    gap, _ = book.ids.take_trades(progress, [trade(9)], at(6))
    assert isinstance(gap, Gap)
    assert gap.reason == "IdsMissing"


def test_running_candle_implies_that_earlier_candles_are_closed() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    rows = [candle(7, closed=False), candle(7, closed=True), candle(10, closed=False)]
    *before, gap, beyond = book.ids.take_candles(progress, rows, at(1))
    assert [*before, beyond] == rows
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.data_type, gap.interval) == ("BTC-USDT/candle:1m", "candle", "1m")
    assert (gap.first_id, gap.last_id, gap.missing) == ("480000000000", "540000000000", 2)
    assert (gap.from_time_ns, gap.to_time_ns) == (420_000_000_000, 600_000_000_000)
    assert book.gaps.missing_trades == 0


def test_closed_candle_is_delivered_once_and_fills_a_gap_when_late() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    book.ids.take_candles(progress, [candle(7, closed=True), candle(9, closed=True)], at(1))
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
    gap, *rest = book.ids.take_candles(progress, [candle(9, closed=True), candle(8, closed=False)], at(2))
    assert isinstance(gap, Gap)
    assert rest == [candle(9, closed=True)]


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
    assert event.reason == "CandleChanged"
    assert event.detail == (
        "closed candle 420000000000 came again with other values: open 1, high 2, low 3, close 9, volume 5"
    )
    assert book.duplicates == 3


def test_backfilled_candle_that_comes_with_other_values_is_an_event() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    book.ids.take_candles(progress, [candle(7, closed=True), candle(9, closed=True)], at(1))
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
    lost, said, first = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(4))
    assert isinstance(lost, Lost)
    assert lost.ranges == [("101", "102")]
    assert [type(said), type(first)] == [Resync, Trade]


def test_numbering_restart_loses_exactly_the_missing_ids() -> None:
    """Ids recovered before the restart are not lost."""
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=10), trade(104, time_ns=11)], at(1))
    book.ids.take_trades(progress, [trade(101, time_ns=10), trade(106, time_ns=12)], at(4))
    first, second, *_ = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(4.5))
    assert isinstance(first, Lost)
    assert isinstance(second, Lost)
    assert (first.ranges, second.ranges) == ([("102", "103")], [("105", "105")])
    assert (progress.ids.waiting, progress.ids.missing, book.gaps.all_open()) == ([], [], [])
    assert book.gaps.lost_trades == 3


# -- overlapping connections


def test_trade_that_skips_ids_waits_for_the_other_connection() -> None:
    """Otherwise a connection that starts ahead of the one that it replaces would open a gap each time."""
    life = Life(TRADES)
    second = second_of(life)
    life.gets(trade_message(100), 1)
    assert gets(second, trade_message(103), 2) == []
    assert [type(each) for each in emitted(life.gets(trade_message(101), 2.1))] == [Trade]
    assert [type(each) for each in emitted(life.gets(trade_message(102), 2.2))] == [Trade, Trade]
    assert life.ledger.gaps.detected == 0


def test_trade_that_no_other_connection_continues_is_beyond_a_gap() -> None:
    life = Life(TRADES)
    second = second_of(life)
    life.gets(trade_message(100, 1), 1)
    assert gets(second, trade_message(103, 5), 2) == []
    assert emitted(life.feed.woken(at(2.5))) == []
    gap, beyond = emitted(life.feed.woken(at(3.1)))
    assert isinstance(gap, Gap)
    assert isinstance(beyond, Trade)
    assert (gap.first_id, gap.last_id, gap.from_time_ns, gap.to_time_ns) == ("101", "102", 1_000_000, 5_000_000)


def test_trade_that_waits_is_taken_when_the_other_connection_ends() -> None:
    life = Life(TRADES)
    second = second_of(life)
    life.gets(trade_message(100), 1)
    gets(second, trade_message(103), 2)
    ended, gap, beyond = emitted(life.feed.closed("reset", at(2.1)))
    assert [type(each) for each in (ended, gap, beyond)] == [Disconnected, Gap, Trade]


def test_running_candle_waits_for_the_closed_one_of_the_other_connection() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = candles_of(book)
    book.opened(1, "public", [CANDLES], at(0))
    book.opened(2, "public", [CANDLES], at(0))
    book.ids.take_candles(progress, [candle(7, closed=True)], at(1))
    assert book.ids.take_candles(progress, [candle(9, closed=False)], at(2)) == []
    late, running = candle(8, closed=True), candle(9, closed=False)
    assert book.ids.take_candles(progress, [late, running], at(2.5)) == [late, running]
    assert book.ids.take_candles(progress, [candle(11, closed=False)], at(3)) == []
    gap, _ = book.ids.take_candles(progress, [candle(11, closed=False)], at(4.1))
    assert isinstance(gap, Gap)


# -- times of gaps


def test_gap_without_a_later_trade_gets_its_end_from_the_next_one() -> None:
    """REST may know newer trades before any arrives."""
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=5)], at(1))
    book.ids.expect(progress, 102, at(2))
    (gap,) = book.check_overdue(at(4))
    assert isinstance(gap, Gap)
    assert (gap.last_id, gap.from_time_ns, gap.to_time_ns) == ("102", 5, None)
    book.ids.take_trades(progress, [trade(103, time_ns=9)], at(5))
    *_, repaired = book.ids.take_trades(progress, [trade(101, time_ns=6), trade(102, time_ns=7)], at(6))
    assert isinstance(repaired, Repaired)
    assert (repaired.from_time_ns, repaired.to_time_ns) == (5, 9)


def test_gap_that_rest_knew_first_gets_its_end_from_the_next_trade() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=5)], at(1))
    book.ids.expect(progress, 102, at(2))
    gap, beyond = book.ids.take_trades(progress, [trade(103, time_ns=9)], at(2.1))
    assert isinstance(gap, Gap)
    assert isinstance(beyond, Trade)
    assert (gap.from_time_ns, gap.to_time_ns) == (5, 9)


def test_times_of_two_gaps_in_one_message_are_those_around_each() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    rows = [trade(100, time_ns=5), trade(103, time_ns=6), trade(106, time_ns=7)]
    records = book.ids.take_trades(progress, rows, at(1))
    assert [type(each) for each in records] == [Trade, Gap, Trade, Gap, Trade]
    assert [(each.from_time_ns, each.to_time_ns) for each in records if isinstance(each, Gap)] == [(5, 6), (6, 7)]


def test_trades_of_one_message_in_any_order_are_no_gap() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    rows = [trade(100), trade(103), trade(101), trade(102)]
    assert book.ids.take_trades(progress, rows, at(1)) == rows
