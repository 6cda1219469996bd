"""Signatures and messages of the account. Times are milliseconds since 1970 on the exchange's clock."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from market_simulator.dialects.bybit.frames import compact
from market_simulator.engine.account import Account, ApiKey, Holding
from market_simulator.engine.events import Key
from market_simulator.engine.quantities import plain

KEY: Final = Key("wallet", "")
"""The topic of the account, which belongs to no instrument."""
_AHEAD_MS: Final = 1_000
_WINDOW_MS: Final = 5_000
_ZERO: Final = (
    "accountIMRate", "accountIMRateByMp", "accountMMRate", "accountMMRateByMp", "accountLTV", "totalInitialMargin",
    "totalInitialMarginByMp", "totalMaintenanceMargin", "totalMaintenanceMarginByMp", "totalPerpUPL",
)  # fmt: skip
_TOTALS: Final = ("totalEquity", "totalWalletBalance", "totalMarginBalance", "totalAvailableBalance")


def refusal(key: ApiKey, login: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
    """Check a login: the error as (code, message), or None if it is valid."""
    api_key, expires, sign = (str(login.get(name, "")) for name in ("apiKey", "expires", "sign"))
    if not (api_key and sign and expires.isdecimal()):
        return "10001", "Params Error"
    if api_key != key.api_key:
        return "10003", "API key is invalid."
    if int(expires) <= now_ms:
        return "10002", "Request expired"
    return None if _is_signed(key, f"GET/realtime{expires}", sign) else ("10004", "Error sign")


def call_refusal(key: ApiKey, query: str, headers: Mapping[str, str], now_ms: int) -> tuple[str, str] | None:
    """Check the headers of a signed call with this query string: the error as (code, message), or None."""
    api_key, timestamp = headers.get("X-BAPI-API-KEY", ""), headers.get("X-BAPI-TIMESTAMP", "")
    window, sign = headers.get("X-BAPI-RECV-WINDOW", str(_WINDOW_MS)), headers.get("X-BAPI-SIGN", "")
    if not (api_key and sign and timestamp.isdecimal() and window.isdecimal()):
        return "10001", "Request parameter error."
    if api_key != key.api_key:
        return "10003", "API key is invalid."
    if not now_ms - int(window) <= int(timestamp) < now_ms + _AHEAD_MS:
        now = f"req_timestamp[{timestamp}],server_timestamp[{now_ms}],recv_window[{window}]"
        return "10002", f"invalid request, please check your server timestamp or recv_window param. {now}"
    is_signed = _is_signed(key, timestamp + api_key + window + query, sign)
    return None if is_signed else ("10004", "error sign! please check your signature generation algorithm.")


def _is_signed(key: ApiKey, text: str, sign: str) -> bool:
    """Whether it is the hexadecimal HMAC-SHA256 of a string."""
    expected = hmac.new(key.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(sign.encode(), expected.encode())


def row(currency: str, holding: Holding) -> dict[str, Any]:
    """A coin of the unified account. What does not apply is ""."""
    total, frozen = plain(holding.total), plain(holding.frozen)
    return {
        "coin": currency, "equity": total, "usdValue": "", "walletBalance": total, "availableToWithdraw": "",
        "availableToBorrow": "", "borrowAmount": "0", "accruedInterest": "0", "totalOrderIM": "",
        "totalPositionIM": "", "totalPositionMM": "", "unrealisedPnl": "0", "cumRealisedPnl": "0", "bonus": "0",
        "collateralSwitch": True, "marginCollateral": True, "locked": frozen, "spotHedgingQty": "0", "spotBorrow": "0",
    }  # fmt: skip


def wallet(held: Iterable[tuple[str, Holding]]) -> dict[str, Any]:
    """The unified account with these coins. There are no prices, so its totals are ""."""
    rates, totals = dict.fromkeys(_ZERO, "0"), dict.fromkeys(_TOTALS, "")
    return rates | totals | {"accountType": "UNIFIED", "coin": [row(*each) for each in held]}


def change(currency: str, holding: Holding) -> str:
    """The message with a changed coin."""
    digest = hashlib.sha256(f"{currency}/{holding}".encode()).hexdigest()
    head = {"id": digest[:32], "topic": KEY.channel, "creationTime": holding.changed_ms}
    return compact({**head, "data": [wallet([(currency, holding)])]})


def balances(account: Account, coins: str) -> dict[str, Any]:
    """The result of `GET /v5/account/wallet-balance`, for all coins that are held or for those in `coins`."""
    wanted = [name for name in coins.split(",") if name]
    none = Holding(Decimal(0), Decimal(0), 0)
    held = [(name, account.holdings.get(name, none)) for name in wanted] if wanted else account.held()
    return {"list": [wallet(held)]}
