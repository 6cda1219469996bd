import json
from typing import Any

import pytest

from market_simulator.dialects.okx.protocol import Path
from market_simulator.dialects.okx.session import Session
from market_simulator.engine.dialect import Close, Effect, Exceeded
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.engine.faults.messages import Kind, Outgoing
from market_simulator.engine.faults.turns import Stream, Turns


class Market:
    """Two instruments. Every stream except trades has a state. Each subscription gets the next of the faults."""

    names = frozenset({"BTC-USDT", "ETH-USDT"})

    def __init__(self, *faults: SubscribeFault | None) -> None:
        self.faults = list(faults)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        return self.faults.pop(0) if self.faults else None

    def first_pushes(self, key: Key) -> list[str]:
        return [] if key.channel == "trades" else [json.dumps({"present": key.channel})]

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        return None if login.get("apiKey") == "good" else ("60005", "Invalid apiKey")

    def subscribers(self, key: Key) -> int:
        return 2


def request(*channels: str, op: str = "subscribe", instrument: str = "BTC-USDT", **more: object) -> str:
    return json.dumps({"op": op, "args": [{"channel": c, "instId": instrument} for c in channels], **more})


def said(effects: list[Effect]) -> list[Any]:
    return [json.loads(effect.text) if isinstance(effect, Outgoing) else effect for effect in effects]


@pytest.fixture
def session() -> Session:
    return Session("a4d3ae55", Path.PUBLIC)


def test_each_argument_is_acknowledged_every_second_one_after_its_data(session: Session) -> None:
    answers = said(session.received(request("books", "tickers", "books5", "trades", id="7"), 0.0, Market()))
    kinds = [answer["arg"]["channel"] if "event" in answer else f"data {answer['present']}" for answer in answers]
    assert kinds == ["books", "data books", "data tickers", "tickers", "books5", "data books5", "trades"]
    acknowledged = [answer for answer in answers if "event" in answer]
    assert {(a["id"], a["event"], a["connId"]) for a in acknowledged} == {("7", "subscribe", "a4d3ae55")}
    assert list(session.subscriptions) == [Key(c, "BTC-USDT") for c in ("books", "tickers", "books5", "trades")]


def test_unknown_streams_are_refused_one_by_one_and_the_others_accepted(session: Session) -> None:
    answers = said(session.received(request("trades", "nonsense", id="7"), 0.0, Market()))
    assert [(a["event"], a.get("code"), a["id"]) for a in answers] == [
        ("subscribe", None, "7"),
        ("error", "60018", "7"),
    ]
    assert "arg" not in answers[1]
    (error,) = said(session.received(request("trades", instrument="NO-NO"), 0.0, Market()))
    assert error["code"] == "60018"
    assert "channel:trades,instId:NO-NO" in error["msg"]


def test_unsubscribing_is_acknowledged_and_ends_the_subscription(session: Session) -> None:
    session.received(request("trades", "books"), 0.0, Market())
    (answer,) = said(session.received(request("trades", op="unsubscribe", id="8"), 0.0, Market()))
    assert (answer["event"], answer["arg"]["channel"], answer["id"]) == ("unsubscribe", "trades", "8")
    assert list(session.subscriptions) == [Key("books", "BTC-USDT")]
    (refused,) = said(session.received(request("nonsense", op="unsubscribe"), 0.0, Market()))
    assert refused["code"] == "60018"


def test_second_subscription_gets_the_current_state_again(session: Session) -> None:
    for _ in range(2):
        assert len(session.received(request("books"), 0.0, Market())) == 2


def test_text_ping_is_answered_with_text_pong_and_is_no_request(session: Session) -> None:
    assert session.received("ping", 0.0, Market()) == [Outgoing(Kind.REPLY, None, "pong")]
    assert session.requests == 0


@pytest.mark.parametrize(
    "text",
    [
        "{", "null", "[]", '"x"', "{}", '{"op":"subscribe"}', '{"op":"subscribe","args":[]}', '{"op":"fly","args":[{}]}',
        '{"op":"subscribe","args":{"channel":"trades"}}', '{"op":"subscribe","args":["trades"]}',
        '{"op":"subscribe","argss":[{"channel":"tickers","instId":"BTC-USDT"}]}', '{"op":["subscribe"],"args":[1]}',
        '{"id":5,"op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}',
        '{"id":"a-b","op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}',
    ],
)  # fmt: skip
def test_invalid_request_is_answered_with_60012_and_repeated(session: Session, text: str) -> None:
    (answer,) = said(session.received(text, 0.0, Market()))
    assert (answer["event"], answer["code"], answer["msg"]) == ("error", "60012", f"Invalid request: {text}")


def test_the_481st_request_of_an_hour_is_too_many(session: Session) -> None:
    for _ in range(480):
        session.received(request("trades"), 100.0, Market())
    exceeded, refused = said(session.received(request("trades"), 3699.0, Market()))
    (allowed,) = said(session.received(request("trades"), 3700.0, Market()))
    assert (exceeded, refused["code"], allowed["event"]) == (Exceeded("requests an hour"), "60014", "subscribe")


def test_private_path_needs_a_login_and_closes_after_a_wrong_one() -> None:
    session = Session("x", Path.PRIVATE)
    (refused,) = said(session.received(request("account"), 0.0, Market()))
    assert refused["code"] == "60011"
    login = json.dumps({"op": "login", "args": [{"apiKey": "k", "passphrase": "p", "timestamp": "1", "sign": "s"}]})
    failed, close = said(session.received(login, 0.0, Market()))
    assert failed["code"] == "60005"
    assert close == Close(4001, "Login failed")


def test_an_argument_without_an_instrument_does_not_exist(session: Session) -> None:
    (answer,) = said(session.received('{"op":"subscribe","args":[{"channel":"trades"}]}', 0.0, Market()))
    assert answer["code"] == "60018"


@pytest.mark.parametrize("has_arg", [True, False])
def test_a_subscription_can_be_answered_with_an_error(session: Session, has_arg: bool) -> None:
    market = Market(SubscribeError(Stream(), Turns(), "64007", "Internal error", has_arg))
    error, *others = said(session.received(request("trades", "books", id="7"), 0.0, market))
    assert (error["event"], error["code"], error["msg"], error["id"]) == ("error", "64007", "Internal error", "7")
    assert error.get("arg") == ({"channel": "trades", "instId": "BTC-USDT"} if has_arg else None)
    assert len(others) == 2
    assert list(session.subscriptions) == [Key("books", "BTC-USDT")]


def test_a_stuck_subscription_is_not_answered_and_the_next_one_is(session: Session) -> None:
    market = Market(StuckSubscribe(Stream(), Turns()))
    assert session.received(request("books"), 0.0, market) == []
    assert not session.subscriptions
    assert len(session.received(request("books"), 0.0, market)) == 2
