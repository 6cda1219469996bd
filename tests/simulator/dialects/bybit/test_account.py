import hashlib
import hmac
import json
from decimal import Decimal
from pathlib import Path

import pytest

from market_simulator.dialects.bybit import account
from market_simulator.engine.account import Account, ApiKey, Holding

RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"
KEY = ApiKey("key", "secret", "unused")
NOW_MS = 1_790_764_000_000
QUERY = "accountType=UNIFIED"


def headers(timestamp: int = NOW_MS, key: str = "key", secret: str = "secret", window: int = 5000) -> dict[str, str]:
    text = f"{timestamp}{key}{window}{QUERY}"
    sign = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    names = ("X-BAPI-API-KEY", "X-BAPI-TIMESTAMP", "X-BAPI-RECV-WINDOW", "X-BAPI-SIGN")
    return dict(zip(names, (key, str(timestamp), str(window), sign), strict=True))


def code(sent: dict[str, str], query: str = QUERY) -> str | None:
    refused = account.call_refusal(KEY, query, sent, NOW_MS)
    return refused and refused[0]


@pytest.mark.parametrize("timestamp", [NOW_MS, NOW_MS - 5_000, NOW_MS + 999])
def test_signed_call_is_accepted_within_its_window(timestamp: int) -> None:
    assert code(headers(timestamp)) is None


@pytest.mark.parametrize("timestamp", [NOW_MS - 5_001, NOW_MS + 1_000])
def test_call_outside_of_its_window_is_refused(timestamp: int) -> None:
    assert code(headers(timestamp)) == "10002"


def test_wrong_signatures_are_refused() -> None:
    assert code(headers(secret="other")) == "10004"
    assert code(headers(), QUERY + "&coin=BTC") == "10004"
    assert code(headers(key="other")) == "10003"
    assert code({}) == "10001"


def fields(name: str, place: int) -> set[str]:
    entry = json.loads((RECORDINGS / f"{name}.jsonl").read_text().splitlines()[place])
    message = json.loads(entry["raw"])
    (wallet,) = message["data"] if "data" in message else message["result"]["list"]
    return {*wallet, *(f"coin/{name}" for name in wallet["coin"][0])}


def test_change_has_the_documented_fields_and_one_coin() -> None:
    message = json.loads(account.change("BTC", Holding(Decimal("3.50"), Decimal("1"), NOW_MS)))
    assert (message["topic"], message["creationTime"]) == ("wallet", NOW_MS)
    (wallet,) = message["data"]
    (coin,) = wallet["coin"]
    assert {*wallet, *(f"coin/{name}" for name in coin)} == fields("ws_private_wallet_docs_example", -1)
    assert (coin["coin"], coin["walletBalance"], coin["locked"]) == ("BTC", "3.5", "1")


def test_balances_have_the_documented_fields_and_the_held_coins() -> None:
    holdings = {"BTC": Holding(Decimal(2), Decimal(1), 0), "ETH": Holding(Decimal(0), Decimal(0), 0)}
    found = account.balances(Account(KEY, holdings), "")
    (wallet,) = found["list"]
    assert {*wallet, *(f"coin/{name}" for name in wallet["coin"][0])} == fields("rest", -1)
    assert [coin["coin"] for coin in wallet["coin"]] == ["BTC"]
    (chosen,) = account.balances(Account(KEY, holdings), "ETH,DOGE")["list"]
    assert [(coin["coin"], coin["walletBalance"]) for coin in chosen["coin"]] == [("ETH", "0"), ("DOGE", "0")]
