import base64
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest

from market_simulator.dialects.okx.account import PAGE, change, refusal, snapshot
from market_simulator.engine.account import Account, ApiKey, Holding

NOW = 1_790_764_000_000


def login(key: ApiKey = ApiKey(), timestamp: str = str(NOW // 1000), **changes: str) -> dict[str, str]:  # noqa: B008
    mac = hmac.new(key.secret_key.encode(), f"{timestamp}GET/users/self/verify".encode(), hashlib.sha256)
    sign = base64.b64encode(mac.digest()).decode()
    return {"apiKey": key.api_key, "passphrase": key.passphrase, "timestamp": timestamp, "sign": sign} | changes


def pages(account: Account) -> list[Any]:
    return [json.loads(text) for text in snapshot(account, NOW)]


@pytest.mark.parametrize("late_s", [-30, 0, 30])
def test_valid_login_is_accepted_up_to_30_s_off(late_s: int) -> None:
    assert refusal(ApiKey(), login(timestamp=str(NOW // 1000 + late_s)), NOW) is None


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (login(ApiKey(api_key="other")), "60005"),
        (login(ApiKey(passphrase="other")), "60024"),
        (login(ApiKey(secret_key="other")), "60007"),
        (login(sign="nönsense"), "60007"),
        (login(timestamp=str(NOW // 1000 - 31)), "60006"),
        (login(timestamp=str(NOW // 1000 + 31)), "60006"),
        (login(timestamp="now"), "60004"),
        (login(timestamp="١٢"), "60004"),
        (login(passphrase=""), "60027"),
        ({}, "60027"),
    ],
)
def test_invalid_login_is_refused_with_okx_code(wrong: dict[str, str], code: str) -> None:
    refused = refusal(ApiKey(), wrong, NOW)
    assert refused is not None
    assert refused[0] == code


def test_new_key_replaces_the_first_one() -> None:
    key = ApiKey(secret_key="other")
    assert refusal(key, login(), NOW) == ("60007", "Invalid sign")
    assert refusal(key, login(key), NOW) is None


def test_snapshot_has_pages_and_the_last_is_marked() -> None:
    found = pages(Account())
    assert [(page["curPage"], page["lastPage"]) for page in found] == [(1, False), (2, True)]
    assert {page["eventType"] for page in found} == {"snapshot"}
    details = [row for page in found for row in page["data"][0]["details"]]
    assert [row["ccy"] for row in details] == ["BTC", "ETH", "USDT"]
    assert max(len(page["data"][0]["details"]) for page in found) == PAGE
    assert all(Decimal(row["availBal"]) + Decimal(row["frozenBal"]) == Decimal(row["cashBal"]) for row in details)


def test_change_is_pushed_for_the_changed_currency_only() -> None:
    push = json.loads(change("BTC", Holding(Decimal("2.50"), Decimal("0.5"), NOW)))
    (row,) = push["data"][0]["details"]
    assert (push["eventType"], row["ccy"], row["uTime"]) == ("event_update", "BTC", str(NOW))
    assert (row["cashBal"], row["availBal"], row["frozenBal"], row["availEq"]) == ("2.50", "2.00", "0.5", "")


def test_zero_holdings_are_omitted_and_empty_account_is_one_empty_page() -> None:
    account = Account()
    account.holdings["ETH"] = Holding(Decimal(0), Decimal(0), NOW)
    assert "ETH" not in json.dumps(pages(account))
    account.holdings.clear()
    (page,) = pages(account)
    assert (page["lastPage"], page["data"][0]["details"]) == (True, [])
