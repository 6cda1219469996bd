import hashlib
import hmac
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.binance import account
from market_simulator.dialects.binance.connections import Upkeep
from market_simulator.dialects.binance.user_data import ApiSession
from market_simulator.engine.account import Account, ApiKey, Holding
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import SubscribeFault
from market_simulator.engine.faults.messages import Outgoing

NOW = 1_790_764_000_000
RECORDINGS = Path(__file__).parents[3] / "recordings" / "binance"
SUBSCRIBE = "userDataStream.subscribe.signature"


class Market:
    """An exchange with the first key."""

    names = frozenset({"BTC-USDT"})

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        return account.refusal(ApiKey(), login, NOW)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        return None

    def first_pushes(self, key: Key) -> list[str]:
        raise AssertionError("user data have no first push")

    def subscribers(self, key: Key) -> int:
        return 0


def signed(key: ApiKey = ApiKey(), timestamp: int = NOW, **more: Any) -> dict[str, Any]:  # noqa: B008
    params = {"apiKey": key.api_key, "timestamp": timestamp, **more}
    text = "&".join(f"{name}={params[name]}" for name in sorted(params))
    return params | {"signature": hmac.new(key.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()}


def session() -> ApiSession:
    return ApiSession("1", "/ws-api/v3", Upkeep(30.0, 60.0), lambda omits: account.status(Account(), omits))


def ask(to: ApiSession, method: str, params: Any = None) -> Any:
    (reply,) = to.received(json.dumps({"id": "u1", "method": method, "params": params or {}}), 0.0, Market())
    assert isinstance(reply, Outgoing)
    return json.loads(reply.text)


def test_signed_subscription_gets_events_and_others_do_not() -> None:
    found = session()
    reply = ask(found, SUBSCRIBE, signed())
    assert (reply["id"], reply["status"], reply["result"]) == ("u1", 200, {"subscriptionId": 0})
    assert (found.is_logged_in, list(found.subscriptions)) == (True, [account.KEY])
    assert ask(found, "session.subscriptions")["result"] == [{"subscriptionId": 0}]
    assert ask(found, "userDataStream.unsubscribe")["result"] == {}
    assert not found.is_logged_in


@pytest.mark.parametrize(
    ("params", "status", "code"),
    [
        (signed(ApiKey(api_key="other")), 401, -2015),
        (signed(ApiKey(secret_key="other")), 400, -1022),
        (signed(timestamp=NOW - 5_001), 400, -1021),
        (signed(timestamp=NOW + 1_000), 400, -1021),
        (signed() | {"signature": ""}, 400, -1102),
        (signed() | {"timestamp": "now"}, 400, -1102),
        ({}, 401, -2014),
    ],
)
def test_wrong_signature_is_refused(params: dict[str, Any], status: int, code: int) -> None:
    found = session()
    reply = ask(found, SUBSCRIBE, params)
    assert (reply["status"], reply["error"]["code"]) == (status, code)
    assert not found.subscriptions


def test_window_of_a_request_can_be_longer() -> None:
    assert ask(session(), SUBSCRIBE, signed(timestamp=NOW - 9_000, recvWindow=10_000))["status"] == 200


def test_account_status_has_the_form_of_the_recording() -> None:
    (line,) = (RECORDINGS / "ws_api_account_2026-09-30_demo.jsonl").read_text().splitlines()
    recorded = json.loads(json.loads(line)["raw"])
    reply = ask(session(), "account.status", signed(omitZeroBalances="true"))
    assert list(reply) == list(recorded)
    assert list(reply["result"]) == list(recorded["result"])
    assert [list(row) for row in reply["result"]["balances"]] == [["asset", "free", "locked"]] * 3
    assert {name for limit in reply["rateLimits"] for name in limit} == set(recorded["rateLimits"][0])


def test_balances_of_zero_are_left_out_on_request() -> None:
    made = Account()
    made.holdings["ETH"] = Holding(Decimal(0), Decimal(0), 5)
    assert [row["asset"] for row in account.status(made, False)["balances"]] == ["BTC", "ETH", "USDT"]
    assert [row["asset"] for row in account.status(made, True)["balances"]] == ["BTC", "USDT"]


def test_changed_holding_is_a_position() -> None:
    event = json.loads(account.position("BTC", Holding(Decimal("2.5"), Decimal("0.5"), NOW)))
    assert event == {"subscriptionId": 0, "event": {
        "e": "outboundAccountPosition", "E": NOW, "u": NOW, "B": [{"a": "BTC", "f": "2.00000000", "l": "0.50000000"}],
    }}  # fmt: skip


def test_new_key_ends_the_subscription() -> None:
    found = session()
    ask(found, SUBSCRIBE, signed())
    (ended,) = found.key_changed(NOW)
    assert isinstance(ended, Outgoing)
    assert json.loads(ended.text) == {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": NOW}}
    assert not found.is_logged_in


@pytest.mark.parametrize("text", ["{", "[]", '{"id":1}', '{"id":1,"method":"x","params":5}'])
def test_malformed_request_is_refused(text: str) -> None:
    (reply,) = session().received(text, 0.0, Market())
    assert isinstance(reply, Outgoing)
    assert json.loads(reply.text)["status"] == 400


def test_unknown_method_and_shutdown() -> None:
    assert ask(session(), "order.place")["error"]["code"] == -1020
    assert session().notice(5) == '{"event":{"e":"serverShutdown","E":5}}'
