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
    finer = replace(instrument(5), price_increment="0.01")
    assert known.update([finer, other]) == [finer]


def test_delisted_instrument_is_published_once_until_it_is_listed_again() -> None:
    known, gone = Instruments(), replace(instrument(3), status="delisted")
    known.update([instrument(1)])
    assert known.remove({"BTC-USDT", "NEVER-LISTED"}, Moment(3.0, at(3))) == [gone]
    assert known.remove({"BTC-USDT"}, Moment(4.0, at(4))) == []
    assert known.repeat(Moment(5.0, at(5))) == [replace(gone, receive_time_ns=at(5))]
    assert known.update([instrument(6)]) == [instrument(6)]


def test_repetition_is_valid_since_the_same_time() -> None:
    known = Instruments()
    assert known.repeat(Moment(1.0, at(1))) == []
    known.update([instrument(1), instrument(1, symbol="ETH-USDT")])
    assert known.repeat(Moment(1.0, at(9))) == [
        replace(instrument(1), receive_time_ns=at(9)),
        replace(instrument(1, symbol="ETH-USDT"), receive_time_ns=at(9)),
    ]
