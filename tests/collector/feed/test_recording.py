"""Records of the time in which each stream was recorded."""

from feed_life import BOOK, CANDLES, TICKER, TRADES, Life, at, book_message, candle, emitted, second_of, trade_message
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import CandleProgress
from market_collector.model.events import Disconnected, Record, Recording
from records import ticker


def spans(records: list[Record]) -> dict[str, tuple[int, int]]:
    return {each.stream: (each.from_time_ns, each.to_time_ns) for each in records if isinstance(each, Recording)}


def test_streams_are_recorded_from_their_first_to_their_newest_data() -> None:
    life = Life(TRADES, BOOK)
    assert spans(life.ledger.recordings(at(1))) == {}
    life.gets(trade_message(1, ts=1_000))
    life.gets(trade_message(2, ts=3_000))
    life.gets(book_message("snapshot", 10, -1))
    expected = {str(TRADES): (1_000_000_000, 3_000_000_000), str(BOOK): (5_000_000, 5_000_000)}
    assert spans(life.ledger.recordings(at(60))) == expected


def test_recording_of_a_book_never_ends_before_it_starts() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    update = book_message("update", 11, 10)
    update["data"][0]["ts"] = "3"
    life.gets(update)
    assert spans(life.ledger.recordings(at(60))) == {str(BOOK): (5_000_000, 5_000_000)}


def test_recording_survives_a_reconnect_since_gaps_show_it() -> None:
    life = Life(TRADES)
    life.gets(trade_message(1, ts=1_000))
    assert spans(emitted(life.feed.closed("reset", at(2)))) == {}
    second = second_of(life)
    second.received(b'{"arg":{"channel":"trades-all","instId":"BTC-USDT"}}', at(3))
    assert spans(life.ledger.recordings(at(60))) == {str(TRADES): (1_000_000_000, 1_000_000_000)}


def test_candles_are_recorded_by_their_open_times() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = book.ids.streams[CANDLES]
    assert isinstance(progress, CandleProgress)
    book.ids.take_candles(progress, [candle(7, closed=False), candle(7, closed=True), candle(8, closed=False)], at(1))
    assert spans(book.recordings(at(60))) == {str(CANDLES): (420_000_000_000, 480_000_000_000)}


def test_ticker_is_recorded_while_any_connection_carries_it() -> None:
    life = Life(TICKER)
    life.progress(TICKER).last = ticker(1)
    second = second_of(life)
    assert spans(life.ledger.recordings(at(9))) == {str(TICKER): (0, 9_000_000_000)}
    assert spans(emitted(life.feed.closed("reset", at(10)))) == {}
    assert spans(emitted(second.closed("reset", at(12)))) == {str(TICKER): (0, 12_000_000_000)}
    assert spans(life.ledger.recordings(at(20))) == {}
    third = second_of(life)
    assert spans(life.ledger.recordings(at(30))) == {str(TICKER): (1_000_000_000, 30_000_000_000)}
    assert spans(emitted(third.stopped(at(31)))) == {str(TICKER): (1_000_000_000, 31_000_000_000)}


def test_stop_ends_with_the_recordings_and_the_connection() -> None:
    life = Life(TRADES, TICKER)
    life.progress(TICKER).last = ticker(1)
    life.gets(trade_message(1, ts=1_000))
    *records, end = emitted(life.feed.stopped(at(2)))
    assert set(spans(records)) == {str(TRADES), str(TICKER)}
    assert isinstance(end, Disconnected)
