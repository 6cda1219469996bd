"""A message that cannot be read hurts its stream only, which says so; so does an internal error."""

from typing import Any

import pytest

from feed_life import (
    BOOK,
    CANDLES,
    TICKER,
    TRADES,
    Life,
    arg,
    at,
    book_message,
    emitted,
    reconnects,
    sent,
    trade_message,
)
from market_collector.feed import book_sync
from market_collector.feed.effects import Effect, Send, Warn
from market_collector.feed.feed import MAX_UNREADABLE
from market_collector.feed.subscription import RETRY_S, SUBSCRIBE_TIMEOUT_S
from market_collector.model.events import Gap, Orderbook, Resync, Ticker, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import StreamState


def odd_trade(price: str = "-") -> dict[str, Any]:
    message = trade_message(2)
    message["data"][0]["px"] = price
    return message


def warnings(effects: list[Effect]) -> list[str]:
    return [effect.message for effect in effects if isinstance(effect, Warn)]


def delivers(life: Life, sequence: int = 10) -> None:
    """All streams have data: a trade, a book and a ticker."""
    life.is_acked(TRADES, BOOK, TICKER)
    life.gets(trade_message(1))
    life.gets(book_message("snapshot", sequence, -1))
    life.gets({"arg": arg(TICKER), "data": [{"last": "1", "ts": "5"}]})


def test_unreadable_messages_of_one_stream_do_not_end_the_connection() -> None:
    life = Life()
    delivers(life)
    effects = [effect for second in range(5 * MAX_UNREADABLE) for effect in life.gets(odd_trade(), 2 + second / 10)]
    assert reconnects(effects) == []
    assert warnings(effects) == ["BTC-USDT/trade: OKX frame cannot be read: '-' is not a plain decimal"]
    assert life.ledger.unreadable_frames == 5 * MAX_UNREADABLE
    (update,) = emitted(life.gets(book_message("update", 11, 10), 13))
    (ticker,) = emitted(life.gets({"arg": arg(TICKER), "data": [{"last": "1", "ts": "6"}]}, 13))
    assert (type(update), type(ticker)) == (Orderbook, Ticker)
    assert [type(each) for each in emitted(life.gets(trade_message(2), 13))] == [Trade]


def test_stream_says_that_its_messages_cannot_be_read() -> None:
    life = Life()
    life.is_acked(TRADES, TICKER)
    assert life.progress(TRADES).reason == life.progress(TICKER).reason == "NoDataYet"
    life.gets(odd_trade(), 2)
    progress = life.progress(TRADES)
    assert (progress.state, progress.reason) == (StreamState.PENDING, "Unreadable")
    assert "'-' is not a plain decimal" in progress.message
    life.gets(odd_trade(), 59)
    life.ledger.age(at(61))
    assert (progress.state, progress.reason) == (StreamState.STALE, "Unreadable")
    assert life.progress(TICKER).reason != "Unreadable"
    life.ledger.age(at(120))
    assert (progress.state, progress.reason) == (StreamState.STALE, "NoData")
    life.gets(trade_message(2), 121)
    assert (progress.state, progress.reason) == (StreamState.LIVE, "")


@pytest.mark.parametrize("length", [0, 5, 8])
def test_candle_that_is_too_short_concerns_its_stream_only(length: int) -> None:
    life = Life(TRADES, CANDLES)
    name = {"channel": "candle1m", "instId": "BTC-USDT"}
    life.gets({"event": "subscribe", "arg": name})
    life.is_acked(TRADES)
    row = ["60000", "1", "3", "0.5", "2", "10", "20", "20", "1"]
    effects = life.gets({"arg": name, "data": [row[:length]]}, 2)
    (warning,) = warnings(effects)
    assert warning.startswith(f"{CANDLES}: OKX frame cannot be read: Expected `array` of at least length 9")
    assert not emitted(effects)
    assert not reconnects(effects)
    assert (life.progress(CANDLES).reason, life.progress(TRADES).reason) == ("Unreadable", "NoDataYet")
    assert len(emitted(life.gets({"arg": name, "data": [row]}, 3))) == 1
    assert len(emitted(life.gets(trade_message(1), 3))) == 1


def test_live_stream_names_an_unreadable_message_until_it_is_old() -> None:
    life = Life(TRADES)
    life.gets(trade_message(1))
    life.gets(odd_trade(), 2)
    progress = life.progress(TRADES)
    for second, reason in ((3, "Unreadable"), (62, "Unreadable"), (63, "")):
        life.gets(trade_message(second), second)
        life.ledger.age(at(second))
        assert (progress.state, progress.reason) == (StreamState.LIVE, reason)


def test_unreadable_messages_prove_that_a_stream_is_not_silent() -> None:
    """Probes and another subscription would not help."""
    life = Life(TRADES)
    life.is_acked(TRADES)
    for second in range(1, 200):
        life.gets(odd_trade(), second)
        assert [effect for effect in life.feed.woken(at(second + 0.5)) if not isinstance(effect, Send)] == []


def test_pending_stream_says_whether_it_is_connected() -> None:
    life = Life(TRADES, CANDLES)
    assert life.progress(TRADES).reason == "Subscribing"
    life.is_acked(TRADES)
    assert (life.progress(TRADES).reason, life.progress(CANDLES).reason) == ("NoDataYet", "Subscribing")
    life.feed.closed("gone", at(2))
    assert (life.progress(TRADES).reason, life.progress(TRADES).message) == ("NotConnected", "gone")


# -- books


def test_book_that_got_a_bad_level_resyncs() -> None:
    life = Life()
    delivers(life)
    effects = life.gets(book_message("update", 11, 10, price="1.2.3"), 2)
    gap, resync = emitted(effects)
    assert isinstance(gap, Gap)
    assert isinstance(resync, Resync)
    assert (gap.after_sequence, gap.reason, resync.reason) == (10, "Unreadable", "Unreadable")
    assert [request["op"] for request in sent(effects)] == ["unsubscribe", "subscribe"]
    assert emitted(life.gets(book_message("update", 12, 11), 3)) == []
    assert any(isinstance(each, Orderbook) for each in emitted(life.gets(book_message("snapshot", 13, -1), 4)))


def test_bad_levels_again_and_again_do_not_end_the_connection() -> None:
    life = Life()
    delivers(life)
    requests = []
    for second in range(2, 300):
        effects = [*life.gets(book_message("update", 11, 10, price="x"), second), *life.feed.woken(at(second + 0.1))]
        assert reconnects(effects) == []
        if any(request["op"] == "subscribe" for request in sent(effects) if request != "ping"):
            requests.append(second)
            life.is_acked(BOOK, seconds=second + 0.2)
            life.gets(book_message("snapshot", 10, -1), second + 0.3)
        life.gets(trade_message(second), second + 0.4)
    assert len(requests) > book_sync.MAX_RESYNCS
    assert requests[-1] - requests[-2] >= RETRY_S[-1]


def test_book_whose_snapshot_cannot_be_read_is_requested_again_later() -> None:
    life = Life(TRADES, BOOK)
    life.is_acked(TRADES, BOOK)
    life.gets(book_message("snapshot", 10, -1, price="nan"), 1)
    effects = [effect for second in range(2, 6) for effect in life.feed.woken(at(second))]
    assert sent(effects) == []
    effects = life.feed.woken(at(1 + RETRY_S[0]))
    assert [request["op"] for request in sent(effects)] == ["unsubscribe", "subscribe"]
    life.is_acked(BOOK, seconds=7)
    life.gets(book_message("snapshot", 10, -1, price="nan"), 7)
    assert reconnects(life.feed.woken(at(8 + SUBSCRIBE_TIMEOUT_S))) == []
    life.is_acked(BOOK, seconds=19)
    assert emitted(life.gets(book_message("snapshot", 10, -1), 20)) != []
    assert reconnects(life.feed.woken(at(21 + SUBSCRIBE_TIMEOUT_S))) == []


# -- internal errors


def test_internal_error_in_a_deadline_check_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life()
    delivers(life)

    def fails(now: Moment) -> list[Effect]:
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr(life.feed._book_sync, "check_crossed", fails)
    (ping, warning) = (effect for effect in life.feed.woken(at(30)) if isinstance(effect, Send | Warn))
    assert ping == Send("ping")
    assert isinstance(warning, Warn)
    assert isinstance(warning.error, ZeroDivisionError)
    assert warnings(life.feed.woken(at(31))) == []


def test_internal_error_in_a_message_hurts_its_stream_only(monkeypatch: pytest.MonkeyPatch) -> None:
    life = Life()
    delivers(life)

    def fails(*_: object) -> list[Effect]:
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr(life.feed, "_on_books", fails)
    effects = life.gets(book_message("update", 11, 10), 2)
    assert reconnects(effects) == []
    assert [type(each) for each in emitted(effects)] == [Gap, Resync]
    assert life.progress(BOOK).reason == "Unreadable"
    assert emitted(life.gets(trade_message(2), 2)) != []
