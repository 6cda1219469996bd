"""Requests of one connection: acknowledged, unanswered, refused and retried."""

from feed_life import BOOK, TICKER, TRADES, Life, arg, at, emitted, reconnects, sent, trade_message
from market_collector.feed import subscription
from market_collector.model.events import (
    Refused,
)
from market_collector.model.streams import DataType, Stream, StreamState


def test_connection_ends_when_a_subscribe_is_unanswered() -> None:
    life = Life()
    life.is_acked(TRADES, TICKER)
    assert reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S - 0.1))) == []
    (reason,) = reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S)))
    assert "BTC-USDT/orderbook" in reason


def test_a_book_that_is_acknowledged_but_gets_no_snapshot_is_stuck() -> None:
    life = Life()
    life.is_acked(TRADES, BOOK, TICKER)
    (reason,) = reconnects(life.feed.woken(at(subscription.SUBSCRIBE_TIMEOUT_S)))
    assert "BTC-USDT/orderbook" in reason


def refusal(request_id: str, code: str = "60018") -> dict[str, str]:
    return {"event": "error", "id": request_id, "code": code, "msg": "channel:trades-all,instId:NO-SUCH doesn't exist"}


def test_one_unknown_symbol_is_found_by_halves_and_the_others_live() -> None:
    streams = [Stream(symbol, DataType.TRADE) for symbol in ("A-B", "C-D", "NO-SUCH", "E-F")]
    life = Life(*streams)
    pending = sent(life.opening)
    requests = 0
    while pending:
        request = pending.pop(0)
        requests += 1
        symbols = [a["instId"] for a in request["args"]]
        if "NO-SUCH" in symbols:
            pending += sent(life.gets(refusal(request["id"]), 2.0))
        else:
            for one in request["args"]:
                life.gets({"event": "subscribe", "arg": one}, 2.0)
    states = {stream.symbol: life.progress(stream).state for stream in streams}
    assert states.pop("NO-SUCH") is StreamState.REFUSED
    assert set(states.values()) == {StreamState.PENDING}
    assert life.progress(streams[2]).reason == "SymbolNotFound"
    assert requests == 5


def test_refused_stream_is_recorded_and_requested_again_much_later() -> None:
    life = Life(TRADES)
    (refused,) = emitted(life.gets(refusal("1"), 2))
    assert isinstance(refused, Refused)
    assert sent(life.feed.woken(at(15))) == []
    assert reconnects(life.feed.woken(at(15))) == []
    life.gets("pong", 301)
    (again,) = sent(life.feed.woken(at(2 + subscription.REFUSED_RETRY_S)))
    assert again["op"] == "subscribe"
    life.is_acked(TRADES, seconds=303)
    assert life.progress(TRADES).state is StreamState.PENDING


def test_a_refusal_that_may_pass_is_retried_soon_and_then_slower() -> None:
    life = Life(TRADES)
    life.gets(refusal("1", "60014"), 1)
    assert [r["op"] for r in sent(life.feed.woken(at(1 + subscription.RETRY_S[0])))] == ["subscribe"]
    life.gets(refusal("2", "60014"), 7)
    assert sent(life.feed.woken(at(7 + subscription.RETRY_S[0]))) == []
    assert [r["op"] for r in sent(life.feed.woken(at(7 + subscription.RETRY_S[1])))] == ["subscribe"]


def test_error_that_names_a_served_stream_refuses_it_until_it_has_data() -> None:
    life = Life(TRADES, TICKER)
    life.is_acked(TRADES, TICKER)
    life.gets(trade_message(100), 1)
    gone = {"event": "error", "code": "51001", "msg": "Instrument ID does not exist", "arg": arg(TRADES)}
    (refused,) = emitted(life.gets(gone, 2))
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.detail) == ("SymbolNotFound", "OKX error 51001: Instrument ID does not exist")
    assert life.progress(TRADES).reason == "SymbolNotFound"
    assert life.progress(TICKER).state is StreamState.PENDING
    life.gets(trade_message(101), 3)
    assert life.progress(TRADES).state is StreamState.LIVE
    assert not [text for text in sent(life.feed.woken(at(2 + subscription.REFUSED_RETRY_S))) if text != "ping"]


def test_temporary_error_does_not_end_a_served_stream() -> None:
    life = Life(TRADES)
    life.is_acked(TRADES)
    life.gets(trade_message(100), 1)
    life.gets(refusal("1", "60014"), 2)
    assert life.progress(TRADES).state is StreamState.LIVE
