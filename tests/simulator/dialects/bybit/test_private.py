import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.bybit import account
from market_simulator.dialects.bybit.private import PrivateSession
from market_simulator.dialects.bybit.upkeep import Upkeep, own_limit
from market_simulator.engine.account import ApiKey
from market_simulator.engine.dialect import Close, Effect
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.engine.faults.messages import Outgoing
from market_simulator.engine.faults.turns import Stream, Turns

RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"
KEY = ApiKey("key", "secret", "unused")
NOW_MS = 1_790_764_000_000
CONN = "cejreaspqfh3sjdnldmg-p"


class Market:
    names: frozenset[str] = frozenset()

    def __init__(self, *faults: SubscribeFault) -> None:
        self.faults = list(faults)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        return self.faults.pop(0) if self.faults else None

    def first_pushes(self, key: Key) -> list[str]:
        raise AssertionError("the wallet has no first message")

    def subscribers(self, key: Key) -> int:
        raise AssertionError("nobody counts subscribers")

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        return account.refusal(KEY, login, NOW_MS)


def session() -> PrivateSession:
    return PrivateSession(CONN, "/v5/private", Upkeep(600.0), lambda: NOW_MS)


def ask(found: PrivateSession, op: str, *args: Any, market: Market | None = None) -> list[Effect]:
    return found.received(json.dumps({"req_id": "w1", "op": op, "args": args}), 5.0, market or Market())


def text(effect: Effect) -> str:
    assert isinstance(effect, Outgoing)
    return effect.text


def credentials(expires: int = NOW_MS + 10_000, key: str = "key", secret: str = "secret") -> tuple[Any, ...]:
    sign = hmac.new(secret.encode(), f"GET/realtime{expires}".encode(), hashlib.sha256).hexdigest()
    return key, expires, sign


def documented(name: str, op: str) -> str:
    lines = map(json.loads, (RECORDINGS / f"{name}.jsonl").read_text().splitlines())
    chosen = [e["raw"] for e in lines if e["dir"] == "in" and "private" in e["url"]]
    return str(next(raw for raw in chosen if f'"op":"{op}"' in raw))


def test_login_and_subscription_are_answered_as_documented() -> None:
    found = session()
    answers = [*ask(found, "auth", *credentials()), *ask(found, "subscribe", "wallet")]
    expected = [documented("ws_private_wallet_docs_example", op) for op in ("auth", "subscribe")]
    assert [text(answer) for answer in answers] == expected
    assert found.is_logged_in
    assert found.subscriptions == {Key("wallet", ""): None}


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        ((), "Params Error"),
        (("key", "soon", "x"), "Params Error"),
        (credentials(key="other"), "API key is invalid."),
        (credentials(expires=NOW_MS), "Request expired"),
        (credentials(secret="other"), "Error sign"),
    ],
)
def test_wrong_login_is_refused_and_closed(args: tuple[Any, ...], reason: str) -> None:
    found = session()
    answer, close = ask(found, "auth", *args)
    assert json.loads(text(answer))["ret_msg"] == reason
    assert close == Close(1000, "")
    assert not found.is_logged_in
    if reason == "Params Error":
        recorded = json.loads(documented("control_frames_docs_example", "auth"))
        assert list(json.loads(text(answer))) == list(recorded)


@pytest.mark.parametrize("op", ["subscribe", "unsubscribe"])
def test_topics_need_a_login(op: str) -> None:
    (answer,) = ask(session(), op, "wallet")
    assert json.loads(text(answer))["ret_msg"] == "Request not authorized"


def test_pong_has_another_form_than_on_public_connections() -> None:
    recorded = documented("control_frames_docs_example", "pong")
    pong = json.loads(recorded)
    found = PrivateSession(pong["conn_id"], "/v5/private", Upkeep(600.0), lambda: int(pong["args"][0]))
    (answer,) = found.received('{"req_id":"100002","op":"ping"}', 5.0, Market())
    assert text(answer) == recorded


def test_other_topics_and_strings_are_refused() -> None:
    found = session()
    ask(found, "auth", *credentials())
    (answer,) = ask(found, "subscribe", "wallet", "order")
    assert json.loads(text(answer))["ret_msg"] == "error:handler not found,topic:order"
    assert not found.subscriptions
    assert [
        json.loads(text(each))["success"] for each in (*ask(found, "nope"), *found.received("x", 5.0, Market()))
    ] == [
        False,
        False,
    ]


def test_faults_refuse_or_ignore_the_wallet() -> None:
    found = session()
    ask(found, "auth", *credentials())
    (answer,) = ask(found, "subscribe", "wallet", market=Market(SubscribeError(Stream(), Turns(), "1", "no", False)))
    assert json.loads(text(answer))["ret_msg"] == "no"
    assert ask(found, "subscribe", "wallet", market=Market(StuckSubscribe(Stream(), Turns()))) == []
    assert not found.subscriptions


def test_subscription_ends_on_request() -> None:
    found = session()
    ask(found, "auth", *credentials())
    ask(found, "subscribe", "wallet")
    assert json.loads(text(ask(found, "unsubscribe", "wallet")[0]))["success"]
    assert not found.subscriptions


def test_new_key_ends_the_connection() -> None:
    assert session().key_changed(NOW_MS) == [Close(1000, "")]
    assert session().notice(NOW_MS) == ""
    assert session().control(False, 5.0) == session().opened(5.0, Market()) == []


@pytest.mark.parametrize(
    ("query", "seconds"),
    [("", 600.0), ("max_active_time=1m", 60.0), ("x=1&max_active_time=45s", 45.0), ("max_active_time=5s", 30.0),
     ("max_active_time=99m", 600.0), ("max_active_time=fast", 600.0)],
)  # fmt: skip
def test_client_chooses_how_long_it_may_be_silent(query: str, seconds: float) -> None:
    assert own_limit(query, 600.0) == seconds


def test_silent_client_is_closed() -> None:
    found = PrivateSession("c", "/v5/private", Upkeep(45.0), lambda: NOW_MS)
    assert found.tick(10.0, 0.0, 54.9) == []
    assert found.tick(10.0, 0.0, 55.0) == [Close(1000, "", True)]
