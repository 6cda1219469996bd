"""Meaning of REST's answers for streams without data."""

from itertools import pairwise

import pytest

from feed_life import BOOK, TICKER, TRADES, Life, ask, at, book_message, emitted, reconnects, sent, trade_message
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import ProblemKind, RestProblem
from market_collector.feed.effects import Effect, Fetch
from market_collector.feed.quiet_check import MAX_RESUBSCRIBES
from market_collector.model.events import Refused, Resync
from market_collector.model.streams import DataType, Stream, StreamState

EMPTY = b'{"code":"0","data":[]}'
GONE = b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}'
CANDLE = Stream("BTC-USDT", DataType.CANDLE, "1m")


def trades(trade_id: int) -> bytes:
    return f'{{"code":"0","data":[{{"tradeId":"{trade_id}"}}]}}'.encode()


def probed(life: Life, stream: Stream, answer: bytes | RequestFailedError, seconds: float) -> list[Effect]:
    """The effects of an answer to a probe that was sent at that time."""
    probes = [effect.stream for effect in life.feed.woken(at(seconds)) if isinstance(effect, Fetch)]
    assert stream in probes
    return life.feed.answered(ask(stream), answer, at(seconds))


@pytest.mark.parametrize("stream", [TRADES, TICKER])
def test_stream_is_quiet_at_once_when_the_exchange_has_nothing_at_all(stream: Stream) -> None:
    life = Life(stream)
    life.is_acked(stream, seconds=1)
    assert probed(life, stream, EMPTY, 3) == []
    assert life.progress(stream).state is StreamState.QUIET


def test_candles_of_an_instrument_that_never_traded_are_quiet() -> None:
    life = Life(CANDLE)
    life.gets({"event": "subscribe", "arg": {"channel": "candle1m", "instId": "BTC-USDT"}}, 1)
    probed(life, CANDLE, EMPTY, 3)
    assert life.progress(CANDLE).state is StreamState.QUIET


def test_book_that_the_exchange_lacks_is_quiet_and_keeps_the_connection() -> None:
    life = Life(BOOK)
    life.is_acked(BOOK, seconds=1)
    probed(life, BOOK, EMPTY, 3)
    assert life.progress(BOOK).state is StreamState.QUIET
    assert reconnects(life.feed.woken(at(15))) == []
    assert emitted(life.gets(book_message("snapshot", 10, -1), 16))
    assert life.progress(BOOK).state is StreamState.LIVE


def test_stream_with_data_is_quiet_when_the_exchange_has_none_any_more() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    probed(life, TRADES, EMPTY, 6)
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.QUIET


def test_first_answer_about_a_stream_without_data_does_not_call_it_stale() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.is_acked(TRADES, seconds=1)
    life.ledger.age(at(70))
    assert life.progress(TRADES).state is StreamState.STALE
    assert probed(life, TRADES, trades(5), 70) == []
    probed(life, TRADES, trades(5), 75)
    assert life.progress(TRADES).state is StreamState.QUIET


def test_answer_that_is_older_than_our_data_proves_nothing() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    assert probed(life, TRADES, trades(90), 6) == []
    life.ledger.age(at(12))
    progress = life.progress(TRADES)
    assert progress.state is StreamState.UNKNOWN
    assert progress.message.endswith("its answer is older than the last data (90 before 100)")


def test_answer_that_data_has_overtaken_changes_nothing() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    life.feed.woken(at(6))
    life.gets(trade_message(101), 6.5)
    for answer in (trades(100), GONE, RequestFailedError("HTTP 403")):
        assert emitted(life.feed.answered(ask(TRADES), answer, at(7))) == []
    progress = life.progress(TRADES)
    assert (progress.state, progress.unchecked) == (StreamState.LIVE, "no answer yet")


def test_newer_data_makes_an_unknown_stream_stale() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    probed(life, TRADES, RequestFailedError("HTTP 403"), 6)
    life.ledger.age(at(12))
    assert life.progress(TRADES).state is StreamState.UNKNOWN
    effects = probed(life, TRADES, trades(140), 12)
    (resync,) = emitted(effects)
    assert isinstance(resync, Resync)
    assert resync.detail == "silent, but the exchange has newer data (140 after 100)"


def test_stream_with_newer_data_stays_stale_during_the_next_probe() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    probed(life, TRADES, trades(140), 6)
    life.feed.woken(at(11))
    life.ledger.age(at(11.5))
    assert life.progress(TRADES).state is StreamState.STALE


def test_stream_that_stays_stale_is_requested_again_after_growing_delays() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    requested = []
    for second in range(6, 200):
        life.gets("pong", second)
        for _ in [effect for effect in life.feed.woken(at(second)) if isinstance(effect, Fetch)]:
            if sent(life.feed.answered(ask(TRADES), trades(100 + second), at(second))):
                requested.append(second)
                life.is_acked(TRADES, seconds=second)
        life.ledger.age(at(second))
    delays = [after - before for before, after in pairwise(requested)]
    assert delays[0] >= 5
    assert delays == sorted(delays)
    assert delays[-1] >= 60


def test_many_stale_streams_need_another_connection() -> None:
    streams = [Stream(f"S{number}-USDT", DataType.TRADE) for number in range(MAX_RESUBSCRIBES + 1)]
    life = Life(*streams, stale_after_s=10.0)
    for stream in streams:
        message = trade_message(100)
        life.gets(message | {"arg": message["arg"] | {"instId": stream.symbol}}, 1)
    life.ledger.age(at(12))
    effects = []
    for stream in streams:
        life.feed._subscriptions[stream].probed_at = 12.0
        effects.append(life.feed.answered(ask(stream), trades(140), at(12)))
    assert [bool(sent(each)) for each in effects] == [True] * MAX_RESUBSCRIBES + [False]
    (reason,) = reconnects(effects[-1])
    assert "the exchange has newer data (140 after 100)" in reason


def test_cause_of_an_earlier_silence_is_not_repeated() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    probed(life, TRADES, RequestFailedError("HTTP 403"), 6)
    life.gets(trade_message(101), 20)
    life.feed.woken(at(26))
    life.ledger.age(at(31))
    assert life.progress(TRADES).message.endswith("no answer yet")


# -- delisted and listed again


def delisted() -> Life:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    (refused,) = emitted(probed(life, TRADES, GONE, 6))
    assert isinstance(refused, Refused)
    return life


def test_a_delisted_instrument_is_refused_in_the_exchange_s_words() -> None:
    life = delisted()
    progress = life.progress(TRADES)
    assert (progress.state, progress.reason) == (StreamState.REFUSED, "SymbolNotFound")
    assert progress.message.startswith("OKX error 51001: Instrument ID does not exist")
    assert emitted(probed(life, TRADES, GONE, 11)) == [], "a repeated refusal is not recorded"
    life.ledger.age(at(100))
    assert progress.state is StreamState.REFUSED


def test_refusal_may_come_as_an_http_error() -> None:
    life = Life(TRADES, stale_after_s=10.0)
    life.gets(trade_message(100), 1)
    probed(life, TRADES, RequestFailedError("HTTP 400", RestProblem(ProblemKind.NO_SYMBOL), GONE), 6)
    assert life.progress(TRADES).reason == "SymbolNotFound"


@pytest.mark.parametrize("answer", [trades(100), trades(3), EMPTY])
def test_instrument_that_is_listed_again_is_subscribed_again(answer: bytes) -> None:
    life = delisted()
    effects = probed(life, TRADES, answer, 11)
    assert [request["op"] for request in sent(effects)] == ["unsubscribe", "subscribe"]
    assert life.progress(TRADES).state is StreamState.PENDING


def test_data_of_a_delisted_instrument_makes_it_live() -> None:
    life = delisted()
    life.gets(trade_message(101), 8)
    assert life.progress(TRADES).state is StreamState.LIVE


def test_delisted_book_without_snapshot_keeps_the_connection() -> None:
    life = Life(BOOK)
    life.is_acked(BOOK, seconds=1)
    probed(life, BOOK, GONE, 3)
    assert life.progress(BOOK).state is StreamState.REFUSED
    assert reconnects(life.feed.woken(at(15))) == []
