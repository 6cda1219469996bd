"""Repeated warnings: one at first, then a count at most once a minute."""

from feed_life import at
from market_collector.feed.complaints import REPEAT_S, Complaints
from market_collector.feed.effects import Warn


def test_first_warning_is_logged_and_later_ones_are_counted() -> None:
    complaints = Complaints()
    assert complaints.warn("BTC-USDT/trade", "bad", at(0)) == [Warn("bad")]
    assert [complaints.warn("BTC-USDT/trade", "bad", at(second)) for second in range(1, 60)] == [[]] * 59
    assert complaints.warn("BTC-USDT/trade", "worse", at(REPEAT_S)) == [Warn("worse (59 more since the last warning)")]
    assert complaints.warn("BTC-USDT/trade", "bad", at(REPEAT_S + 1)) == []


def test_subjects_do_not_share_their_warnings() -> None:
    complaints = Complaints()
    complaints.warn("BTC-USDT/trade", "bad", at(0))
    assert complaints.warn("ETH-USDT/trade", "bad", at(1)) == [Warn("bad")]


def test_late_repetition_has_no_count_when_nothing_was_suppressed() -> None:
    complaints = Complaints()
    complaints.warn("BTC-USDT/trade", "bad", at(0))
    assert complaints.warn("BTC-USDT/trade", "bad", at(REPEAT_S)) == [Warn("bad")]
