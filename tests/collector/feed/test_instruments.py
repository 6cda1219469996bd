"""Descriptions of instruments."""

from msgspec.structs import replace

from market_collector.feed.instruments import Instruments
from market_collector.model.moment import Moment
from records import at, instrument


def test_new_and_changed_instruments_are_published_once() -> None:
    known, other = Instruments(), instrument(1, symbol="ETH-USDT")
    assert known.update([instrument(1), other]) == [instrument(1), other]
    assert known.update([instrument(2), replace(other, receive_time_ns=at(2))]) == []
    assert known.update([instrument(3, status="halted"), other]) == [instrument(3, status="halted")]
    assert known.update([instrument(4)]) == [instrument(4)]


def test_repetition_is_valid_since_the_same_time() -> None:
    known = Instruments()
    assert known.repeat(Moment(1.0, at(1))) == []
    known.update([instrument(1), instrument(1, symbol="ETH-USDT")])
    assert known.repeat(Moment(1.0, at(9))) == [
        replace(instrument(1), receive_time_ns=at(9)),
        replace(instrument(1, symbol="ETH-USDT"), receive_time_ns=at(9)),
    ]
