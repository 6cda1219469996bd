import json
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.bybit import frames
from market_simulator.dialects.bybit.public import MOST_CHARACTERS, SPOT_ARGS, PublicSession
from market_simulator.dialects.bybit.upkeep import Upkeep
from market_simulator.engine.dialect import Close, Effect, Exceeded
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.engine.faults.messages import Kind, Outgoing
from market_simulator.engine.faults.turns import Stream, Turns

RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"
PATHS = {"spot": "/v5/public/spot", "linear": "/v5/public/linear"}
SYMBOLS = {"spot": {"BTCUSDT": "BTC-USDT"}, "linear": {"BTCUSDT": "BTC-USDT-PERP"}}


class Market:
    """Each subscription gets the next of the faults, and each stream but trades has a first message."""

    names = frozenset({"BTC-USDT", "BTC-USDT-PERP"})

    def __init__(self, *faults: SubscribeFault | None) -> None:
        self.faults = list(faults)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        return self.faults.pop(0) if self.faults else None

    def first_pushes(self, key: Key) -> list[str]:
        return [] if key.channel == "publicTrade" else [f'{{"first":"{key.channel}"}}']

    def subscribers(self, key: Key) -> int:
        raise AssertionError("nobody counts subscribers")

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        raise AssertionError("public topics have no login")


def session(category: str = "spot", name: str = "c1") -> PublicSession:
    return PublicSession(name, PATHS[category], category, SYMBOLS[category], frames.CHANNELS, Upkeep(600.0))


def said(found: PublicSession, text: str, market: Market | None = None) -> list[str]:
    effects = found.received(text, 5.0, market or Market())
    assert all(isinstance(effect, Outgoing) for effect in effects)
    return [effect.text for effect in effects if isinstance(effect, Outgoing)]


def ask(found: PublicSession, op: str, *args: Any, market: Market | None = None) -> list[Any]:
    return [json.loads(text) for text in said(found, json.dumps({"req_id": "r", "op": op, "args": args}), market)]


def refusal(found: PublicSession, *args: Any) -> str:
    (reply,) = ask(found, "subscribe", *args)
    assert (reply["success"], reply["op"], reply["req_id"]) == (False, "subscribe", "r")
    return str(reply["ret_msg"])


def excess(found: PublicSession, *args: str) -> tuple[Effect, Any]:
    """The effects of a request that exceeds a limit."""
    exceeded, reply = found.received(json.dumps({"op": "subscribe", "args": args}), 0.0, Market())
    assert isinstance(reply, Outgoing)
    return exceeded, json.loads(reply.text)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "name",
    [
        "ws_spot_testnet_2026-09-13_btcusdt",
        "ws_spot_2026-08-24_btcusdt_ob50",
        "ws_linear_tickers_2026-09-30_btcusdt",
    ],
)
def test_recorded_requests_get_the_recorded_answers(name: str) -> None:
    """Byte for byte, in the order of the recording: acknowledgements, a refusal, a pong."""
    entries = lines(name)
    answers = [e["raw"] for e in entries if e["dir"] == "in" and '"conn_id"' in e["raw"]]
    found = session("linear" if "linear" in name else "spot", json.loads(answers[0])["conn_id"])
    replies = [text for e in entries if e["dir"] == "out" for text in said(found, e["raw"]) if '"conn_id"' in text]
    assert replies == answers


def test_documented_refusal_of_a_depth() -> None:
    (recorded,) = [e["raw"] for e in lines("control_frames_docs_example") if "handler not found" in e["raw"]]
    found = session("linear", json.loads(recorded)["conn_id"])
    assert said(found, '{"req_id":"1","op":"subscribe","args":["orderbook.7.BTCUSDT"]}') == [recorded]


def test_acknowledgement_precedes_data_on_spot_only() -> None:
    spot = ask(session(), "subscribe", "orderbook.50.BTCUSDT", "publicTrade.BTCUSDT")
    assert [reply.get("ret_msg", reply.get("first")) for reply in spot] == ["subscribe", "orderbook.50"]
    linear = ask(session("linear"), "subscribe", "tickers.BTCUSDT", "kline.1.BTCUSDT")
    assert [reply.get("ret_msg", reply.get("first")) for reply in linear] == ["tickers", "kline.1", ""]


def test_first_data_are_no_replies() -> None:
    effects = session().received('{"op":"subscribe","args":["tickers.BTCUSDT"]}', 0.0, Market())
    assert [effect.kind for effect in effects if isinstance(effect, Outgoing)] == [Kind.REPLY, Kind.PRESENT]


@pytest.mark.parametrize("category", ["spot", "linear"])
@pytest.mark.parametrize("channel", sorted(frames.CHANNELS))
def test_topics_belong_to_the_symbol_of_the_category(category: str, channel: str) -> None:
    found = session(category)
    ask(found, "subscribe", f"{channel}.BTCUSDT")
    assert found.subscriptions == {Key(channel, SYMBOLS[category]["BTCUSDT"]): None}


def test_eleventh_topic_is_refused_on_spot_only() -> None:
    args = [f"{channel}.BTCUSDT" for channel in sorted(frames.CHANNELS)[: SPOT_ARGS + 1]]
    exceeded, reply = excess(session(), *args)
    assert (exceeded, reply["ret_msg"]) == (Exceeded("topics of a request"), "args size >10")
    assert ask(session("linear"), "subscribe", *args)[-1]["success"]


@pytest.mark.parametrize(
    ("category", "topic", "reason"),
    [
        ("spot", "orderbook.50.NOSUCHSYM", "Invalid symbol :[orderbook.50.NOSUCHSYM]"),
        ("linear", "orderbook.50.NOSUCHSYM", "error:handler not found,topic:orderbook.50.NOSUCHSYM"),
        ("spot", "orderbook.500.BTCUSDT", "error:handler not found,topic:orderbook.500.BTCUSDT"),
        ("linear", "orderbook.50.btcusdt", "error:handler not found,topic:orderbook.50.btcusdt"),
        ("spot", "kline.2.BTCUSDT", "error:handler not found,topic:kline.2.BTCUSDT"),
    ],
)
def test_one_bad_topic_refuses_the_whole_request(category: str, topic: str, reason: str) -> None:
    found = session(category)
    assert refusal(found, "publicTrade.BTCUSDT", topic) == reason
    assert not found.subscriptions


def test_topic_that_is_subscribed_is_refused_and_stays() -> None:
    found = session("linear")
    ask(found, "subscribe", "tickers.BTCUSDT")
    assert refusal(found, "kline.1.BTCUSDT", "tickers.BTCUSDT") == "error:already subscribed,topic:tickers.BTCUSDT"
    assert list(found.topics) == ["tickers.BTCUSDT"]
    assert ask(found, "unsubscribe", "tickers.BTCUSDT")[0]["success"]
    assert ask(found, "subscribe", "tickers.BTCUSDT")[-1]["success"]


def test_topics_of_a_connection_have_a_total_length() -> None:
    name = "A" * 3_000
    found = PublicSession("c", PATHS["linear"], "linear", {name: "BTC-USDT-PERP"}, frames.CHANNELS, Upkeep(600.0))
    topics = [f"{channel}.{name}" for channel in sorted(frames.CHANNELS)[:7]]
    ask(found, "subscribe", *topics[:6])
    assert sum(map(len, topics)) > MOST_CHARACTERS
    exceeded, reply = excess(found, topics[6])
    assert exceeded == Exceeded("characters of all topics")
    assert reply["ret_msg"] == "error:args exceed the maximum length"


@pytest.mark.parametrize("args", [[], [7], ["publicTrade.BTCUSDT", None]])
def test_args_must_be_topics(args: list[Any]) -> None:
    assert refusal(session(), *args) == "Params Error"


@pytest.mark.parametrize("text", ["hello", '{"op":"nope"}', "[]", '{"op":"subscribe","args":"x"}', "{}"])
def test_other_strings_are_answered_and_keep_the_connection(text: str) -> None:
    (reply,) = [json.loads(text) for text in said(session(), text)]
    assert (reply["success"], bool(reply["ret_msg"])) == (False, True)


def test_connection_without_a_ping_ends_after_ten_minutes() -> None:
    found = session()
    assert found.tick(0.0, 599.0, 599.9) == []
    assert found.tick(0.0, 599.0, 600.0) == [Close(1000, "", True)]
    found.received('{"op":"ping"}', 599.0, Market())
    assert found.tick(0.0, 0.0, 1_198.9) == []
    assert found.tick(0.0, 0.0, 1_199.0) == [Close(1000, "", True)]


def test_faults_refuse_or_ignore_a_request() -> None:
    found = session("linear")
    refused = [SubscribeError(Stream(), Turns(), "10001", "error:handler not found", has) for has in (True, False)]
    texts = [ask(found, "subscribe", "tickers.BTCUSDT", market=Market(each))[0]["ret_msg"] for each in refused]
    assert texts == ["error:handler not found,topic:tickers.BTCUSDT", "error:handler not found"]
    assert ask(found, "subscribe", "tickers.BTCUSDT", market=Market(StuckSubscribe(Stream(), Turns()))) == []
    assert not found.subscriptions


def test_connections_end_without_a_notice() -> None:
    assert session().notice(5) == ""
    assert session().key_changed(5) == []
    assert session().control(True, 5.0) == []
    assert session().opened(5.0, Market()) == []
