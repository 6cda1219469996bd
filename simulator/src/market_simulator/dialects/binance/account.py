"""Signatures and messages of the account. Times are milliseconds since 1970 on the exchange's clock."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Final

from market_simulator.dialects.binance.frames import compact, rounded
from market_simulator.engine.account import Account, ApiKey, Holding
from market_simulator.engine.events import Key

KEY: Final = Key("account", "")
"""The user data of the account, which belong to no instrument."""
UNAUTHORIZED: Final = frozenset({"-2014", "-2015"})
"""Errors with status 401."""
_WINDOW_MS: Final = 5_000
_AHEAD_MS: Final = 1_000


def refusal(key: ApiKey, params: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
    """Check the signed parameters of a request: the error as (code, msg), or None if they are valid."""
    signed = "&".join(f"{name}={params[name]}" for name in sorted(params) if name != "signature")
    return checked(key, str(params.get("apiKey", "")), signed, params, now_ms)


def checked(key: ApiKey, api_key: str, signed: str, params: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
    """Check the API key, the time, and the signature of the text `signed` as hexadecimal HMAC-SHA256."""
    timestamp, signature = str(params.get("timestamp", "")), str(params.get("signature", ""))
    if not api_key:
        return "-2014", "API-key format invalid."
    if not timestamp.isdecimal() or not signature:
        name = "signature" if timestamp else "timestamp"
        return "-1102", f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    if api_key != key.api_key:
        return "-2015", "Invalid API-key, IP, or permissions for action."
    if now_ms - int(timestamp) > int(params.get("recvWindow", _WINDOW_MS)) or int(timestamp) - now_ms >= _AHEAD_MS:
        return "-1021", "Timestamp for this request is outside of the recvWindow."
    expected = hmac.new(key.secret_key.encode(), signed.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        return "-1022", "Signature for this request is not valid."
    return None


def row(currency: str, holding: Holding) -> dict[str, str]:
    """A balance of `GET /api/v3/account`."""
    return {"asset": currency, "free": rounded(holding.total - holding.frozen), "locked": rounded(holding.frozen)}


def status(account: Account, omits_zero: bool) -> dict[str, Any]:
    """The account as `GET /api/v3/account` and `account.status` return it."""
    holdings = account.held() if omits_zero else sorted(account.holdings.items())
    changed_ms = max((holding.changed_ms for holding in account.holdings.values()), default=0)
    return {
        "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {
            "maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000",
        },
        "canTrade": True, "canWithdraw": True, "canDeposit": True, "brokered": False,
        "requireSelfTradePrevention": False, "preventSor": False, "updateTime": changed_ms, "accountType": "SPOT",
        "balances": [row(*each) for each in holdings], "permissions": ["SPOT"], "uid": 0,
    }  # fmt: skip


def event(**fields: Any) -> str:
    """An event of the only subscription of a connection."""
    return compact({"subscriptionId": 0, "event": fields})


def position(currency: str, holding: Holding) -> str:
    """The event with a changed balance."""
    amounts = row(currency, holding)
    balance = {"a": currency, "f": amounts["free"], "l": amounts["locked"]}
    return event(e="outboundAccountPosition", E=holding.changed_ms, u=holding.changed_ms, B=[balance])
