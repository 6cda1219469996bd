"""Trades without dense ids: unique, and whole across an interruption or reported as a gap."""

import json

import pytest

from imaginary_exchange import NAME
from imaginary_trades import PAGE, TRADES, TradeLife, at
from market_collector.errors import RequestFailedError
from market_collector.feed.checkpoint_state import LinePosition, Positions, Written, position, positions, resume
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.stream_state import IDS_KEPT
from market_collector.model.events import Gap, Lost, Record, Recording
from market_collector.model.reasons import EndReason, GapReason

FAILED = RequestFailedError("GET https://x/y: HTTP 500")


def interrupted(*, seconds: float = 2.0) -> TradeLife:
    """Trades a and b are delivered, then the only connection is lost."""
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "a", "b", seconds=1.0)
    life.lose(feed, seconds)
    life.emitted()
    return life


def test_each_trade_is_emitted_once_whatever_its_id() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "7d4e-uuid", "2290000001190010739", "7d4e-uuid", seconds=1.0)
    assert life.emitted() == ["7d4e-uuid", "2290000001190010739"]
    assert life.ledger.duplicates == 1


def test_jump_of_ids_is_no_gap() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "903", "919", "920", seconds=1.0)
    life.wakes(feed, 9.0)
    assert life.emitted() == ["903", "919", "920"]
    assert life.ledger.gaps.detected == 0


def test_window_of_ids_is_bounded() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    for number in range(IDS_KEPT + 10):
        life.gets(feed, {"trade": "BTC-USDT", "id": f"t{number}", "at": number + 1}, 1.0)
    assert len(life.progress.seen) == IDS_KEPT
    life.gets(feed, {"trade": "BTC-USDT", "id": "t10", "at": 11}, 1.0)
    assert life.ledger.duplicates == 1


def test_first_connection_is_not_interrupted() -> None:
    life = TradeLife("x")
    feed = life.connect(0.0)
    assert life.wakes(feed, 5.0) == []
    life.lose(feed, 6.0)
    again = life.connect(7.0)
    life.brings(again, "a", seconds=8.0)
    assert life.emitted() == ["a"]


def test_overlap_after_reconnect_fills_what_was_missed_before_trades_go_on() -> None:
    life = interrupted()
    life.market.trade("c", "d")
    feed = life.connect(3.0)
    life.brings(feed, "e", "f", seconds=3.1)
    assert life.emitted() == []
    life.learns(feed, 3.4)
    assert life.emitted() == ["C", "D", "whole 2-5", "e", "f"]
    assert life.ledger.gaps.detected == 0
    life.brings(feed, "f", "g", seconds=4.0)
    assert life.emitted() == ["g"]


def test_overlap_without_missing_trade_says_that_the_time_is_whole() -> None:
    life = interrupted()
    feed = life.connect(3.0)
    life.brings(feed, "c", seconds=3.1)
    life.learns(feed, 3.4)
    assert life.emitted() == ["whole 2-3", "c"]


def test_page_without_overlap_is_a_lost_gap_with_both_times() -> None:
    life = interrupted()
    life.market.trade("c", "d", "e", "f", "g", "h")
    feed = life.connect(3.0)
    life.brings(feed, "i", seconds=3.1)
    life.learns(feed, 3.4)
    assert life.emitted() == ["gap 2-5", "E", "F", "G", "H", "lost 2-5 4", "i"]
    (known,) = life.ledger.gaps.known.values()
    assert (known.gap.first_id, known.gap.missing, known.gap.reason) == (None, None, GapReason.DISCONNECTED)
    assert life.ledger.gaps.lost == 1
    assert life.ledger.gaps.lost_trades == 0


def test_symbol_faster_than_a_page_never_claims_to_be_whole() -> None:
    life = interrupted()
    life.market.trade(*(f"m{number}" for number in range(PAGE)))
    feed = life.connect(3.0)
    life.brings(feed, "y", seconds=3.1)
    life.learns(feed, 3.4)
    assert any(text.startswith("lost") for text in life.emitted())


def test_gap_is_opened_when_rest_is_slower_than_the_window() -> None:
    life = interrupted()
    life.market.trade("c")
    feed = life.connect(3.0)
    life.brings(feed, "d", seconds=3.1)
    fetch = life.asks(feed, 3.3)
    assert life.wakes(feed, 4.2) == []
    assert life.emitted() == ["gap 2-4", "d"]
    life.brings(feed, "e", seconds=4.3)
    life.answers(feed, fetch, life.market.recent(), 4.4)
    assert life.emitted() == ["e", "C", "filled 2-4 1"]
    assert life.progress.interruption is None


def test_gap_that_rest_denies_too_late_is_lost() -> None:
    life = interrupted()
    life.market.trade("c", "d", "e", "f", "g")
    feed = life.connect(3.0)
    life.brings(feed, "h", seconds=3.1)
    fetch = life.asks(feed, 3.3)
    life.wakes(feed, 4.2)
    life.answers(feed, fetch, life.market.recent(), 4.4)
    assert life.emitted() == ["gap 2-8", "h", "D", "E", "F", "G", "lost 2-4 4"]


def test_page_older_than_the_connection_is_requested_again() -> None:
    """A lagging cache shows the trades before the interruption: nothing is proved."""
    life = interrupted()
    life.market.trade("c")
    stale = json.dumps(life.market.rows[:2]).encode()
    feed = life.connect(3.0)
    life.brings(feed, "d", seconds=3.1)
    life.answers(feed, life.asks(feed, 3.3), stale, 3.4)
    assert life.emitted() == []
    assert life.wakes(feed, 3.5) == []
    life.learns(feed, 3.95)
    assert life.emitted() == ["C", "whole 2-4", "d"]


def test_page_without_a_trade_that_a_connection_brought_is_not_believed() -> None:
    life = TradeLife()
    first = life.connect(0.0)
    life.brings(first, "a", "b", "c", "d", seconds=1.0)
    life.lose(first, 2.0)
    life.market.trade("e")
    second = life.connect(3.0)
    life.brings(second, "f", seconds=3.1)
    life.emitted()
    partial = json.dumps([row for row in life.market.rows if row[0] not in "ce"]).encode()
    life.answers(second, life.asks(second, 3.3), partial, 3.4)
    assert life.emitted() == []
    life.learns(second, 3.95)
    assert life.emitted() == ["E", "whole 4-6", "f"]


@pytest.mark.parametrize("absent", ["c", "e"])
def test_page_without_a_trade_next_to_an_interruption_is_not_believed(absent: str) -> None:
    """The last trade before it, or the first one after it: the page has others before and after that."""
    life = TradeLife()
    first = life.connect(0.0)
    life.brings(first, "a", "b", "c", seconds=1.0)
    life.lose(first, 2.0)
    life.market.trade("d")
    second = life.connect(3.0)
    life.brings(second, "e", seconds=3.1)
    life.emitted()
    life.market.trade("f")
    partial = json.dumps([row for row in life.market.rows if row[0] not in ("d", absent)]).encode()
    life.answers(second, life.asks(second, 3.3), partial, 3.4)
    assert life.emitted() == []
    life.learns(second, 3.95)
    assert life.emitted() == ["D", "whole 3-5", "e"]


def test_page_without_a_block_trade_is_believed() -> None:
    """REST may not list trades of special kinds."""
    life = TradeLife("a", "b", "block", "d")
    first = life.connect(0.0)
    life.brings(first, "a", "b", seconds=1.0)
    life.gets(first, {"trade": "BTC-USDT", "id": "block", "at": 3, "kind": "block"}, 1.1)
    life.brings(first, "d", seconds=1.2)
    life.lose(first, 2.0)
    second = life.connect(3.0)
    life.brings(second, "f", seconds=3.1)
    life.emitted()
    page = json.dumps([row for row in life.market.rows if row[0] != "block"]).encode()
    life.answers(second, life.asks(second, 3.3), page, 3.4)
    assert life.emitted() == ["whole 4-5", "f"]


def test_no_trade_is_lost_because_rest_does_not_list_the_newest_one() -> None:
    life = interrupted()
    feed = life.connect(3.0)
    life.gets(feed, {"trade": "BTC-USDT", "id": "block", "at": 3, "kind": "block"}, 3.1)
    for second in range(4, 60):
        for fetch in life.wakes(feed, float(second)):
            life.answers(feed, fetch, life.market.recent(), second + 0.1)
    assert life.emitted() == ["gap 2-3", "block"]
    life.brings(feed, "c", seconds=60.5)
    life.learns(feed, 100.0)
    assert life.emitted() == ["c", "filled 2-3 0"]


def test_page_that_lacks_only_a_block_trade_is_not_requested_again() -> None:
    """An earlier connection brought it after the interruption."""
    life = interrupted()
    first = life.connect(3.0)
    life.gets(first, {"trade": "BTC-USDT", "id": "block", "at": 3, "kind": "block"}, 3.1)
    life.lose(first, 3.2)
    second = life.connect(3.3)
    life.learns(second, 5.0)
    assert life.wakes(second, 60.0) == []


def test_page_that_stays_old_is_given_up() -> None:
    life = interrupted()
    stale = life.market.recent()
    feed = life.connect(3.0)
    life.brings(feed, "d", seconds=3.1)
    for second in range(4, 60):
        for fetch in life.wakes(feed, float(second)):
            life.answers(feed, fetch, stale, second + 0.1)
    assert life.emitted() == ["gap 2-3", "d", "lost 2-3 0"]
    assert life.progress.interruption is None


def test_quiet_stream_is_filled_before_its_first_trade_and_proved_with_it() -> None:
    life = interrupted()
    life.market.trade("c")
    feed = life.connect(3.0)
    assert life.wakes(feed, 3.5) == []
    life.learns(feed, 4.1)
    assert life.emitted() == ["C"]
    assert life.wakes(feed, 9.0) == []
    life.brings(feed, "d", seconds=10.0)
    life.learns(feed, 10.1)
    assert life.emitted() == ["whole 3-4", "d"]


def test_quiet_stream_reports_what_a_page_does_not_reach() -> None:
    life = interrupted()
    life.market.trade("c", "d", "e", "f", "g", "h")
    feed = life.connect(3.0)
    life.learns(feed, 4.1)
    assert life.emitted() == ["gap 2-4", "D", "E", "F", "G", "H", "lost 2-4 5"]
    life.brings(feed, "i", seconds=10.0)
    life.learns(feed, 10.1)
    assert life.emitted() == ["whole 8-9", "i"]


def test_failed_request_proves_nothing_and_is_repeated() -> None:
    life = interrupted()
    life.market.trade("c")
    feed = life.connect(3.0)
    life.brings(feed, "d", seconds=3.1)
    life.answers(feed, life.asks(feed, 3.3), FAILED, 3.4)
    life.answers(feed, life.asks(feed, 4.0), b"not JSON", 4.05)
    life.wakes(feed, 4.2)
    assert life.emitted() == ["gap 2-4", "d"]
    life.learns(feed, 6.0)
    assert life.emitted() == ["C", "filled 2-4 1"]


@pytest.mark.parametrize(("brought", "ends"), [(IDS_KEPT - 1, []), (IDS_KEPT, ["lost 2-3 0"])])
def test_gap_is_lost_when_no_page_can_reach_it_any_more(brought: int, ends: list[str]) -> None:
    """As in a country from which the exchange refuses REST, while the connection works."""
    life = interrupted()
    feed = life.connect(3.0)
    life.brings(feed, "t0", seconds=3.1)
    life.answers(feed, life.asks(feed, 3.3), FAILED, 3.4)
    for number in range(1, brought):
        life.gets(feed, {"trade": "BTC-USDT", "id": f"t{number}", "at": number + 3}, 3.4)
    fetch = life.asks(feed, 4.6)
    assert life.emitted()[0] == "gap 2-3"
    life.answers(feed, fetch, FAILED, 4.7)
    assert life.emitted() == ends
    assert (life.progress.interruption is None) == bool(ends)


def test_planned_change_interrupts_nothing() -> None:
    life = TradeLife()
    old = life.connect(0.0)
    life.brings(old, "a", seconds=1.0)
    new = life.connect(2.0)
    life.brings(old, "b", "c", seconds=3.0)
    life.brings(new, "b", "c", "d", seconds=3.1)
    life.lose(old, 4.0)
    life.brings(new, "e", seconds=5.0)
    assert life.emitted() == ["a", "b", "c", "d", "e"]
    assert life.wakes(new, 9.0) == []


def test_message_that_one_of_two_connections_lacks_is_not_missing() -> None:
    life = TradeLife()
    one, two = life.connect(0.0), life.connect(0.0)
    life.brings(one, "a", "c", seconds=1.0)
    life.brings(two, "a", "b", "c", seconds=1.1)
    assert life.emitted() == ["a", "c", "b"]


def test_connection_lost_before_its_successor_serves_is_an_interruption() -> None:
    life = TradeLife()
    old = life.connect(0.0)
    life.brings(old, "a", seconds=1.0)
    new = life.connect(2.0, is_acked=False)
    life.lose(old, 3.0)
    life.market.trade("b")
    life.brings(new, "c", seconds=3.1)
    life.learns(new, 3.2)
    assert life.emitted() == ["a", "B", "whole 1-3", "c"]


def test_second_interruption_needs_a_page_beyond_it() -> None:
    life = interrupted()
    life.market.trade("c")
    first = life.connect(3.0)
    life.brings(first, "d", seconds=3.1)
    life.lose(first, 3.2)
    life.market.trade("e")
    second = life.connect(3.3)
    life.brings(second, "f", seconds=3.4)
    life.learns(second, 3.5)
    assert life.emitted() == ["C", "whole 2-6", "d", "E", "f"]


def test_request_of_a_lost_connection_is_repeated_by_another() -> None:
    life = interrupted()
    first, second = life.connect(3.0), life.connect(3.0)
    life.brings(first, "c", seconds=3.1)
    life.asks(first, 3.2)
    assert life.wakes(second, 3.2) == []
    life.lose(first, 3.3)
    life.learns(second, 3.4)
    assert life.emitted() == ["whole 2-3", "c"]


def test_unreadable_message_leaves_the_stream_interrupted() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "a", seconds=1.0)
    life.market.trade("b")
    life.ledger.trades.interrupt(life.progress, 1, GapReason.UNREADABLE, at(2.0), is_served=True)
    life.brings(feed, "c", seconds=2.1)
    life.learns(feed, 2.2)
    assert life.emitted() == ["a", "B", "whole 1-3", "c"]


def test_lost_messages_of_a_connection_leave_trades_interrupted() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "a", seconds=1.0)
    life.market.trade("b")
    life.gets(feed, {"lost": "number 7 after 5"}, 2.0)
    life.brings(feed, "c", seconds=2.1)
    life.learns(feed, 2.2)
    assert life.emitted() == ["a", "B", "whole 1-3", "c"]


def resubscribed() -> tuple[TradeLife, Feed]:
    """Trades a and b are delivered, then the stream is unsubscribed and subscribed. Trade c was on the way."""
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "a", "b", seconds=1.0)
    life.emitted()
    life.keep(feed._requests.resubscribe([TRADES], at(2.0)))
    life.brings(feed, "c", seconds=2.05)
    return life, feed


def test_trade_on_the_way_does_not_answer_a_new_subscription() -> None:
    """Trades until the answer may be missing, so a page must reach beyond the answer."""
    life, feed = resubscribed()
    assert life.wakes(feed, 2.1) == []
    life.market.trade("d")
    life.gets(feed, {"acknowledged": [str(TRADES)]}, 2.2)
    assert life.wakes(feed, 2.3) == []
    life.brings(feed, "e", seconds=2.4)
    life.learns(feed, 2.5)
    assert life.emitted() == ["whole 2-5", "c", "D", "e"]
    assert life.progress.interruption is None


def test_trade_on_the_way_is_in_a_gap_when_no_page_reaches_beyond_it() -> None:
    life, feed = resubscribed()
    life.wakes(feed, 3.2)
    assert life.emitted() == ["gap 2-3", "c"]
    life.market.trade("d", "e", "f", "g", "h", "i")
    life.gets(feed, {"acknowledged": [str(TRADES)]}, 3.3)
    life.brings(feed, "j", seconds=3.4)
    life.learns(feed, 3.5)
    assert life.emitted() == ["j", "F", "G", "H", "I", "lost 2-6 4"]


def test_page_after_the_answer_proves_a_quiet_stream_whole() -> None:
    life, feed = resubscribed()
    life.gets(feed, {"acknowledged": [str(TRADES)]}, 2.2)
    life.market.trade("d")
    life.learns(feed, 3.3)
    assert life.emitted() == ["gap 2-3", "c", "D", "filled 2-3 1"]


def test_trade_on_the_way_of_one_connection_is_no_sign_of_another() -> None:
    """The first connection is subscribed again. The second one streams, and lacks a message between c and e."""
    life = TradeLife()
    first, second = life.connect(0.0), life.connect(0.0)
    life.brings(first, "a", "b", seconds=1.0)
    life.keep(first._requests.resubscribe([TRADES], at(2.0)))
    life.gets(second, {"lost": "number 7 after 5"}, 2.1)
    life.market.trade("c", "d")
    life.brings(first, "c", seconds=2.2)
    assert life.wakes(second, 2.3) == []
    life.brings(second, "e", seconds=2.4)
    life.learns(second, 2.5)
    assert life.emitted() == ["a", "b", "whole 2-5", "c", "D", "e"]


def test_stop_and_start_in_one_process_is_an_interruption() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, "a", seconds=1.0)
    life.keep(feed.stopped(at(2.0)))
    life.emitted()
    life.market.trade("b")
    again = life.connect(3.0)
    life.brings(again, "c", seconds=3.1)
    life.learns(again, 3.2)
    assert life.emitted() == ["B", "whole 1-3", "c"]


# -- what a sink dropped


def test_trades_that_a_sink_dropped_are_a_lost_gap_of_that_sink() -> None:
    life = TradeLife()
    life.brings(life.connect(0.0), "a", seconds=1.0)
    gap, lost = life.ledger.on_sink_loss(Loss("files", str(TRADES), 7), at(2.0))
    assert isinstance(gap, Gap)
    assert isinstance(lost, Lost)
    assert (gap.reason, gap.missing, lost.reason) == (GapReason.DROPPED, None, EndReason.NOT_IN_HISTORY)
    assert life.ledger.gaps.all_open() == []


def test_lost_messages_cause_one_request_for_recent_trades_at_a_time() -> None:
    life = interrupted()
    feed = life.connect(3.0)
    for number in range(20):
        seconds = 3.1 + number / 100
        life.brings(feed, f"t{number}", seconds=seconds)
        life.gets(feed, {"lost": "number"}, seconds)
    assert len(life.wakes(feed, 3.4)) == 1


def test_page_from_before_an_earlier_connection_proves_nothing() -> None:
    """It was cached before trade d, which a connection brought that is lost already."""
    life = interrupted()
    cached = life.market.recent()
    first = life.connect(3.0)
    life.market.trade("c")
    life.brings(first, "d", seconds=3.1)
    life.lose(first, 3.2)
    second = life.connect(3.3)
    life.answers(second, life.asks(second, 4.4), cached, 4.5)
    life.market.trade("e")
    life.learns(second, 6.0)
    assert life.emitted() == ["gap 2-4", "d", "C", "E", "filled 2-4 2"]


def test_stop_leaves_a_gap_up_to_the_first_trade_that_waits() -> None:
    life = interrupted()
    feed = life.connect(3.0)
    life.market.trade("c")
    life.brings(feed, "d", seconds=3.1)
    life.keep(feed.stopped(at(3.2)))
    assert life.emitted() == ["gap 2-4", "d", "whole 1-2"]


# -- the checkpoint


def resumed(line: LinePosition, written: Written | None = None) -> tuple[TradeLife, list[Record]]:
    """The next process, with the checkpoint of the last one."""
    ledger = Ledger(NAME, [TRADES], 60.0, at(0), has_dense_trade_ids=False)
    saved = Positions({str(TRADES): line}, [], [], {})
    effects = resume(ledger, saved, written or Written({}, {}, {}, ()), at(100))
    return TradeLife(ledger=ledger), [record for effect in effects for record in effect.records]


def test_checkpoint_has_the_newest_ids_and_their_time() -> None:
    life = TradeLife()
    feed = life.connect(0.0)
    life.brings(feed, *"abcdefghijkl", seconds=1.0)
    assert position(life.progress) == LinePosition(time_ns=12, ids=tuple("efghijkl"))


def test_checkpoint_lacks_trades_that_wait() -> None:
    life = interrupted()
    life.brings(life.connect(3.0), "c", seconds=3.1)
    assert position(life.progress) == LinePosition(time_ns=2, ids=("a", "b"))
    life.ledger.check_overdue(at(9.0))
    assert position(life.progress) == LinePosition(time_ns=3, ids=("c",))


def test_restart_continues_where_the_page_overlaps() -> None:
    life, _ = resumed(LinePosition(time_ns=3, ids=("b", "c")))
    life.market.trade(*"abcd")
    feed = life.connect(101.0)
    life.brings(feed, "e", seconds=101.1)
    life.learns(feed, 101.2)
    assert life.emitted() == ["D", "whole 3-5", "e"]


def test_restart_after_too_long_is_a_lost_gap() -> None:
    life, _ = resumed(LinePosition(time_ns=3, ids=("b", "c")))
    life.market.trade(*"abcdefghi")
    feed = life.connect(101.0)
    life.brings(feed, "j", seconds=101.1)
    life.learns(feed, 101.2)
    assert life.emitted() == ["gap 3-6", "F", "G", "H", "I", "lost 3-6 4", "j"]
    (known,) = life.ledger.gaps.known.values()
    assert known.gap.reason == GapReason.RESTARTED


def test_restart_knows_trades_that_were_written_after_the_checkpoint() -> None:
    written = Written({}, {}, {}, (), {}, {str(TRADES): [("d", 4)]})
    life, _ = resumed(LinePosition(time_ns=3, ids=("b", "c")), written)
    life.market.trade(*"abcd")
    feed = life.connect(101.0)
    life.brings(feed, "e", seconds=101.1)
    life.learns(feed, 101.2)
    assert life.emitted() == ["whole 4-5", "e"]


def test_gap_that_a_killed_process_left_open_is_lost() -> None:
    before = interrupted()
    before.brings(before.connect(3.0), "c", seconds=3.1)
    before.ledger.check_overdue(at(9.0))
    after = Ledger(NAME, [TRADES], 60.0, at(0), has_dense_trade_ids=False)
    effects = resume(after, positions(before.ledger, [], {}), Written({}, {}, {}, ()), at(100))
    (lost,) = [record for effect in effects for record in effect.records]
    assert isinstance(lost, Lost)
    assert after.gaps.all_open() == []


# -- recording records


def test_recording_ends_where_an_interruption_is_not_proved() -> None:
    life = interrupted()
    life.brings(life.connect(3.0), "c", seconds=3.1)
    (recording,) = life.ledger.recordings(at(60.0))
    assert isinstance(recording, Recording)
    assert (recording.from_time_ns, recording.to_time_ns) == (1, 2)


@pytest.mark.parametrize("order", ["before", "after"])
def test_late_answer_does_not_end_a_later_interruption(order: str) -> None:
    life = interrupted()
    first = life.connect(3.0)
    life.brings(first, "c", seconds=3.1)
    early = life.market.recent()
    fetch = life.asks(first, 3.2)
    life.gets(first, {"lost": "number"}, 3.3)
    if order == "before":
        life.answers(first, fetch, early, 3.35)
    life.market.trade("d")
    life.brings(first, "e", seconds=3.4)
    if order == "after":
        life.answers(first, fetch, early, 3.45)
    life.answers(first, life.asks(first, 4.0), life.market.recent(), 4.05)
    texts = life.emitted()
    assert [text for text in texts if not text.startswith(("whole", "gap", "repaired"))] == ["c", "D", "e"]
    assert life.progress.interruption is None
