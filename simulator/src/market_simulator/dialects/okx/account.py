"""OKX's login and its messages about the account (docs/exchanges/okx.md sections 4 and 9).

Times are milliseconds since 1970 on the exchange's clock, passed as arguments.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final

from market_simulator.dialects.okx import protocol
from market_simulator.engine.account import Account, ApiKey, Holding
from market_simulator.engine.events import Key

KEY: Final = Key("account", "")
"""The stream of the account, which belongs to no instrument."""
REPEATED_US: Final = 10_000_000
"""Period of the full push of the account in market time, changed or not. OKX does not document its own period."""
PAGE: Final = 2
"""Currencies on a page of a snapshot, few enough that every client has to read more than one page."""
TOLERANCE_MS: Final = 30_000
_UID: Final = "44*****584"
_ARG: Final = {"channel": KEY.channel, "uid": _UID}


def refusal(key: ApiKey, login: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
    """Check a login: the error as (code, msg), or None if the login is valid."""
    api_key, passphrase, timestamp, sign = (
        str(login.get(name, "")) for name in ("apiKey", "passphrase", "timestamp", "sign")
    )
    if not (api_key and passphrase and timestamp and sign):
        return "60027", "Parameter apiKey, passphrase, timestamp, sign can not be empty"
    if api_key != key.api_key:
        return "60005", "Invalid apiKey"
    if passphrase != key.passphrase:
        return "60024", "Wrong passphrase"
    if not timestamp.isascii() or not timestamp.isdigit():
        return "60004", "Invalid timestamp"
    if abs(int(timestamp) * 1000 - now_ms) > TOLERANCE_MS:
        return "60006", "Timestamp request expired"
    if not hmac.compare_digest(sign.encode(), _signature(key, timestamp)):
        return "60007", "Invalid sign"
    return None


def _signature(key: ApiKey, timestamp: str) -> bytes:
    text = timestamp + "GET" + "/users/self/verify"
    return base64.b64encode(hmac.new(key.secret_key.encode(), text.encode(), hashlib.sha256).digest())


def row(currency: str, holding: Holding) -> dict[str, str]:
    """The row of channel `account`. In spot mode `availEq` is "" [rec]."""
    total, frozen = f"{holding.total:f}", f"{holding.frozen:f}"
    return {
        "ccy": currency, "eq": total, "cashBal": total, "availBal": f"{holding.total - holding.frozen:f}",
        "frozenBal": frozen, "ordFrozen": frozen, "availEq": "", "liab": "0", "uTime": str(holding.changed_ms),
    }  # fmt: skip


def change(currency: str, holding: Holding) -> str:
    """The push with a changed holding."""
    data = [_row(holding.changed_ms, [(currency, holding)])]
    return protocol.compact({"arg": _ARG, "eventType": "event_update", "data": data})


def snapshot(account: Account, now_ms: int) -> list[str]:
    """All holdings above 0 in pages. An empty account has one empty page."""
    held = account.held()
    pages = [held[at : at + PAGE] for at in range(0, len(held), PAGE)] or [[]]
    return [
        protocol.compact(
            {
                "arg": _ARG,
                "eventType": "snapshot",
                "curPage": number,
                "lastPage": number == len(pages),
                "data": [_row(now_ms, page)],
            }
        )
        for number, page in enumerate(pages, 1)
    ]


def _row(now_ms: int, held: Iterable[tuple[str, Holding]]) -> dict[str, Any]:
    return {"uTime": str(now_ms), "totalEq": "", "details": [row(currency, holding) for currency, holding in held]}
