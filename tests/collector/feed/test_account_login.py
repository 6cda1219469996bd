"""A connection with a login: order of frames, refusals of the key, and secrecy of the login."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from market_collector.exchanges.okx.channels import PRIVATE
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.account_login import ACCOUNT_REPEAT_S
from market_collector.feed.effects import CheckClock, Effect, Emit, Reconnect, RejectKey, Send, SendSigned
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Balance, Connected, Disconnected, Record, Refused
from market_collector.model.moment import Moment
from market_collector.model.streams import ACCOUNT, DataType, Stream, StreamState

STREAM = Stream(ACCOUNT, DataType.BALANCE)
STALE_AFTER_S = 30.0
ECHO = "Invalid request: my-passphrase"


def at(seconds: float) -> Moment:
    return Moment(seconds, int((1000 + seconds) * 1e9))


def records(effects: Iterable[Effect]) -> list[Record]:
    return [record for effect in effects if isinstance(effect, Emit) for record in effect.records]


class Life:
    """A private connection."""

    def __init__(self, *, store_raw: bool = False) -> None:
        self.ledger = Ledger("okx", [STREAM], STALE_AFTER_S, at(0))
        self.progress = self.ledger.streams[STREAM]
        self.feed = Feed(PRIVATE, Okx(), [STREAM], self.ledger, ping_interval_s=20.0, store_raw=store_raw)
        self.opening = self.feed.opened(at(0))

    def gets(self, message: dict[str, Any] | str, seconds: float = 1.0) -> list[Effect]:
        text = message if isinstance(message, str) else json.dumps(message)
        return self.feed.received(text.encode(), at(seconds))

    def is_served(self) -> None:
        self.gets({"event": "login", "code": "0", "msg": ""})
        self.gets({"event": "subscribe", "arg": {"channel": "account"}})
        self.gets(push("BTC"))


def push(*assets: str, total: str = "2", kind: str = "snapshot", time_ms: int = 5000) -> dict[str, Any]:
    rows = [{"ccy": a, "cashBal": total, "availBal": total, "frozenBal": "0", "uTime": str(time_ms)} for a in assets]
    return {
        "arg": {"channel": "account"}, "eventType": kind, "curPage": 1, "lastPage": True,
        "data": [{"uTime": str(time_ms), "details": rows}],
    }  # fmt: skip


def error(code: str, text: str = "no") -> dict[str, str]:
    return {"event": "error", "code": code, "msg": text}


def test_it_logs_in_first_and_asks_for_the_account_when_it_is_let_in() -> None:
    life = Life()
    assert [type(effect) for effect in life.opening] == [Emit, SendSigned]
    (asked,) = life.gets({"event": "login", "code": "0", "msg": ""})
    assert isinstance(asked, Send)
    assert json.loads(asked.text) == {"id": "1", "op": "subscribe", "args": [{"channel": "account"}]}


def test_the_account_is_live_when_all_of_it_is_there() -> None:
    life = Life()
    life.gets({"event": "login", "code": "0", "msg": ""})
    life.gets({"event": "subscribe", "arg": {"channel": "account"}})
    assert not life.feed.is_settled
    (emitted,) = records(life.gets(push("BTC")))
    assert isinstance(emitted, Balance)
    assert life.progress.state is StreamState.LIVE
    assert life.feed.is_settled
    assert life.feed.is_complete
    assert records(life.gets(push("BTC"), 2.0)) == [], "an unchanged balance is a duplicate"
    assert life.ledger.duplicates == 1


def test_an_account_without_anything_is_quiet() -> None:
    life = Life()
    life.gets({"event": "login", "code": "0", "msg": ""})
    life.gets({"event": "subscribe", "arg": {"channel": "account"}})
    assert records(life.gets(push())) == []
    assert (life.progress.state, life.progress.reason) == (StreamState.QUIET, "QuietAccount")


def test_idle_account_is_quiet_while_the_connection_is_alive() -> None:
    life = Life()
    life.is_served()
    for second in range(2, 200):
        effects = life.feed.woken(at(second))
        if any(isinstance(effect, Send) and effect.text == "ping" for effect in effects):
            life.gets("pong", second)
        life.ledger.age(at(second))
        assert life.progress.state in (StreamState.LIVE, StreamState.QUIET)
    assert life.progress.state is StreamState.QUIET


def test_without_a_sign_of_life_it_becomes_stale() -> None:
    life = Life()
    life.is_served()
    for second in (10, 50, 100):
        life.feed.woken(at(second))
        life.ledger.age(at(second))
    assert life.progress.state is StreamState.STALE


def test_a_silent_account_is_asked_for_as_a_whole_again_seldom() -> None:
    life = Life()
    life.is_served()
    life.gets("pong", ACCOUNT_REPEAT_S)
    assert not [effect for effect in life.feed.woken(at(ACCOUNT_REPEAT_S)) if isinstance(effect, Send)]
    sent = [effect.text for effect in life.feed.woken(at(ACCOUNT_REPEAT_S + 1)) if isinstance(effect, Send)]
    assert [json.loads(text)["op"] for text in sent] == ["unsubscribe", "subscribe"]
    stuck = life.feed.woken(at(ACCOUNT_REPEAT_S + 12))
    assert any(isinstance(effect, Reconnect) for effect in stuck), "no whole account came"


@pytest.mark.parametrize("code", ["60005", "60007", "60009", "60024", "60032"])
def test_a_key_that_is_wrong_is_refused_and_not_tried_again_at_once(code: str) -> None:
    life = Life()
    effects = life.gets(error(code))
    assert [type(effect) for effect in effects] == [Emit, RejectKey, Reconnect]
    (refused,) = records(effects)
    assert isinstance(refused, Refused)
    assert (life.progress.state, life.progress.reason) == (StreamState.REFUSED, "CredentialsRefused")
    assert code in life.progress.message
    closing = records(life.feed.closed("login refused", at(2), 4001))
    assert [type(record) for record in closing] == [Disconnected], "the close frame says nothing new"


def test_a_wrong_time_is_a_matter_of_the_clock_not_of_the_key() -> None:
    life = Life()
    effects = life.gets(error("60006"))
    assert [type(effect) for effect in effects] == [CheckClock, Reconnect]
    assert life.progress.state is StreamState.PENDING
    assert not [effect for effect in life.feed.closed("x", at(2), 4001) if isinstance(effect, RejectKey)]


def test_other_errors_are_tried_again() -> None:
    assert [type(effect) for effect in Life().gets(error("63999"))] == [Reconnect]


@pytest.mark.parametrize("code", [4001, 4007])
def test_these_close_codes_refuse_the_key_too(code: int) -> None:
    life = Life()
    life.is_served()
    effects = life.feed.closed("closed by the exchange", at(2), code)
    assert any(isinstance(effect, RejectKey) for effect in effects)
    assert life.progress.reason == "CredentialsRefused"


def test_on_other_connections_the_same_codes_mean_nothing() -> None:
    trades = Stream("BTC-USDT", DataType.TRADE)
    ledger = Ledger("okx", [trades], STALE_AFTER_S, at(0))
    feed = Feed("business", Okx(), [trades], ledger, ping_interval_s=20.0)
    feed.opened(at(0))
    assert [type(effect) for effect in feed.closed("x", at(1), 4001)] == [Emit]


def test_an_unanswered_login_ends_the_connection() -> None:
    effects = Life().feed.woken(at(11))
    assert any(isinstance(effect, Reconnect) for effect in effects)


def test_nothing_of_a_login_gets_into_raw_records_or_errors() -> None:
    life = Life(store_raw=True)
    effects = [*life.opening, *life.gets(error("60012", ECHO)), *life.gets("{my-passphrase")]
    assert "my-passphrase" not in repr(effects)
    assert "my-passphrase" not in repr(life.ledger.last_unreadable)
    assert [type(record).__name__ for record in records(life.opening)] == ["Connected", "Raw"]
    assert isinstance(records(life.opening)[0], Connected)


def test_raw_frames_are_kept_from_the_login_on() -> None:
    life = Life(store_raw=True)
    life.gets({"event": "login", "code": "0", "msg": ""})
    kept = records(life.gets(push("BTC")))
    assert '"ccy": "BTC"' in repr(kept)
