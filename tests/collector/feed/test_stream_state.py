"""The state of one stream by the age of its data."""

from feed_life import BOOK, TRADES, at, ledger, trade
from market_collector.model.events import (
    Ticker,
)
from market_collector.model.streams import StreamState


def test_a_stream_is_pending_then_live_then_stale_and_live_again() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    states = []
    for second in (1, 5, 15, 16):
        book.age(at(second))
        states.append((progress.state, progress.since_ns))
        if second == 1:
            progress.observe(trade(1), at(2))
    progress.observe(trade(2), at(17))
    states.append((progress.state, progress.since_ns))
    assert states == [
        (StreamState.PENDING, 0),
        (StreamState.LIVE, 2_000_000_000),
        (StreamState.STALE, 15_000_000_000),
        (StreamState.STALE, 15_000_000_000),
        (StreamState.LIVE, 17_000_000_000),
    ]


def test_pending_stream_becomes_stale() -> None:
    book = ledger()
    book.age(at(10.5))
    assert book.ids.streams[TRADES].state is StreamState.STALE


def test_stream_is_quiet_until_the_confirmation_is_old() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    progress.observe(trade(1), at(1))
    progress.confirmed_at = 9.0
    book.age(at(12))
    assert (progress.state, progress.reason) == (StreamState.QUIET, "QuietMarket")
    book.age(at(19.5))
    assert progress.state is StreamState.STALE


def test_stream_that_nobody_could_ask_about_is_unknown() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    progress.observe(trade(1), at(1))
    progress.unchecked = "HTTP 403"
    book.age(at(12))
    assert (progress.state, progress.reason) == (StreamState.UNKNOWN, "NotConfirmed")
    assert progress.message == "no data for more than 10 s, and REST cannot confirm a quiet market: HTTP 403"
    progress.unchecked = "HTTP 451"
    book.age(at(13))
    assert progress.message.endswith("HTTP 451")
    book.confirm(progress, at(14))
    assert (progress.state, progress.unchecked) == (StreamState.QUIET, "")


def test_quiet_stream_of_an_instrument_that_does_not_trade_says_so() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    progress.halt = "preopen"
    book.confirm(progress, at(1))
    assert (progress.state, progress.reason) == (StreamState.QUIET, "NotTrading")
    assert progress.message.endswith("preopen")


def test_data_of_any_type_makes_a_stream_live() -> None:
    book = ledger()
    ticker = Ticker("okx", "BTC-USDT", 1, 1, *[None] * 11)
    book.books.streams[BOOK].observe(ticker, at(3))
    assert book.books.streams[BOOK].last_wall_ns == 3_000_000_000
