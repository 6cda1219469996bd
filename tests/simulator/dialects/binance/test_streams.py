import json
from typing import Any

import pytest

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.connections import TOO_MANY, Upkeep
from market_simulator.dialects.binance.streams import MOST_STREAMS, StreamSession
from market_simulator.engine.dialect import Close, Effect, Exceeded
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.engine.faults.messages import Outgoing, Wire
from market_simulator.engine.faults.turns import Stream, Turns


class Market:
    """Each subscription gets the next of the faults."""

    names = frozenset({"BTC-USDT"})

    def __init__(self, *faults: SubscribeFault | None) -> None:
        self.faults = list(faults)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        return self.faults.pop(0) if self.faults else None

    def first_pushes(self, key: Key) -> list[str]:
        raise AssertionError("no stream has a first push")

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        raise AssertionError("streams have no login")

    def subscribers(self, key: Key) -> int:
        return 0


def session(*in_url: str, is_combined: bool = False, name: str = "00000001") -> StreamSession:
    made = StreamSession(
        name, "/ws", {"btcusdt": "BTC-USDT"}, frames.STREAMS, Upkeep(30.0, 86_400.0), in_url, is_combined=is_combined
    )
    assert made.opened(0.0, Market()) == []
    return made


def ask(to: StreamSession, method: str, *params: Any, now: float = 0.0, market: Market | None = None) -> list[Any]:
    text = json.dumps({"method": method, "params": list(params), "id": 7})
    return said(to.received(text, now, market or Market()))


def said(effects: list[Effect]) -> list[Any]:
    return [json.loads(effect.text) if isinstance(effect, Outgoing) else effect for effect in effects]


def test_streams_of_the_url_are_subscribed_without_an_answer() -> None:
    assert list(session("btcusdt@trade", is_combined=True).subscriptions) == [Key("trade", "BTC-USDT", "combined/0")]


def test_request_has_one_answer_and_unknown_streams_are_acknowledged() -> None:
    found = session()
    assert ask(found, "SUBSCRIBE", "btcusdt@trade", "nonsense@trade") == [{"result": None, "id": 7}]
    assert ask(found, "LIST_SUBSCRIPTIONS") == [{"result": ["btcusdt@trade", "nonsense@trade"], "id": 7}]
    assert list(found.subscriptions) == [Key("trade", "BTC-USDT", "raw/0"), Key("nonsense@trade", "", "unknown")]
    assert ask(found, "UNSUBSCRIBE", "nonsense@trade") == [{"result": None, "id": 7}]
    assert list(found.streams) == ["btcusdt@trade"]


def test_depth_is_cut_by_connection() -> None:
    cuts = {next(iter(session("btcusdt@depth@100ms", name=f"{n:08x}").subscriptions)).variant for n in range(9)}
    assert cuts == {"raw/0", "raw/1", "raw/2"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"method":"SUBSCRIBEX","params":["a@trade"],"id":1}', 2),
        ('{"method":"SUBSCRIBE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"a@trade","id":1}', 2),
        ('{"method":"SET_PROPERTY","params":["other",true],"id":1}', 0),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1),
    ],
)
def test_invalid_request_is_answered_with_its_code(text: str, code: int) -> None:
    (error,) = said(session().received(text, 0.0, Market()))
    assert error["code"] == code


def test_connection_can_be_made_combined() -> None:
    found = session("btcusdt@trade")
    assert ask(found, "SET_PROPERTY", "combined", True) == [{"result": None, "id": 7}]
    assert ask(found, "GET_PROPERTY", "combined") == [{"result": True, "id": 7}]
    assert list(found.subscriptions) == [Key("trade", "BTC-USDT", "combined/0")]


def test_more_streams_than_allowed_are_refused() -> None:
    found = session()
    names = [f"s{number}@trade" for number in range(MOST_STREAMS)]
    assert ask(found, "SUBSCRIBE", *names) == [{"result": None, "id": 7}]
    exceeded, error = ask(found, "SUBSCRIBE", "one@trade")
    assert (exceeded, error["code"], len(found.streams)) == (Exceeded("streams of a connection"), 2, MOST_STREAMS)
    assert ask(found, "SUBSCRIBE", names[0]) == [{"result": None, "id": 7}]


def test_sixth_message_of_a_second_closes_pongs_included() -> None:
    found = session()
    for _ in range(4):
        assert ask(found, "LIST_SUBSCRIPTIONS", now=5.0) != [*TOO_MANY]
    assert found.control(True, 5.5) == []
    too_many = [Exceeded("messages a second"), Close(1008, "Too many requests")]
    assert ask(found, "LIST_SUBSCRIPTIONS", now=5.9) == too_many
    assert ask(found, "LIST_SUBSCRIPTIONS", now=6.1) != [*TOO_MANY]


def test_server_pings_and_closes_without_a_pong() -> None:
    found = session()
    assert found.tick(0.0, 0.0, 19.9) == []
    (ping,) = found.tick(0.0, 0.0, 20.0)
    assert isinstance(ping, Outgoing)
    assert (ping.wire, bool(ping.text)) == (Wire.PING, True)
    found.control(True, 21.0)
    assert len(found.tick(0.0, 0.0, 40.0)) == len(found.tick(0.0, 0.0, 60.0)) == 1
    assert found.tick(0.0, 0.0, 99.0) != [Close(1008, "Pong timeout", True)]
    assert found.tick(0.0, 0.0, 100.0) == [Close(1008, "Pong timeout", True)]


def test_connection_ends_after_its_life() -> None:
    assert session().tick(10.0, 0.0, 86_410.0) == [Close(1001, "")]


def test_shutdown_notice_has_the_form_of_the_connection() -> None:
    assert session().notice(5) == '{"e":"serverShutdown","E":5}'
    assert session(is_combined=True).notice(5) == '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":5}}'


def test_faults_refuse_or_ignore_a_subscription() -> None:
    found, refused = session(), SubscribeError(Stream(), Turns(), "2", "no", True)
    assert ask(found, "SUBSCRIBE", "btcusdt@trade", market=Market(refused)) == [{"code": 2, "msg": "no", "id": 7}]
    assert ask(found, "SUBSCRIBE", "btcusdt@trade", market=Market(StuckSubscribe(Stream(), Turns()))) == []
    assert not found.streams
