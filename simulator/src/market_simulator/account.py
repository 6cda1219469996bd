"""The exchange's only account: its API key, its holdings and OKX's messages about them.

Source: docs/exchanges/okx.md sections 4 and 9. Times are milliseconds since 1970 on the exchange's clock, passed as
arguments.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from market_simulator import okx
from market_simulator.events import Key

KEY: Final = Key("account", "")
"""The stream of the account, which belongs to no instrument."""
REPEATED_US: Final = 10_000_000
"""Period of the full push of the account in market time, changed or not. OKX does not document its own period."""
PAGE: Final = 2
"""Currencies on a page of a snapshot, few enough that every client has to read more than one page."""
TOLERANCE_MS: Final = 30_000
_UID: Final = "44*****584"
_ARG: Final = {"channel": KEY.channel, "uid": _UID}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Credentials of a client. They protect nothing, so they are not secret."""

    api_key: str = "simulator-api-key"
    secret_key: str = "simulator-secret-key"
    passphrase: str = "simulator-passphrase"


@dataclass(frozen=True, slots=True)
class Holding:
    """Total and frozen amount of one currency."""

    total: Decimal
    frozen: Decimal
    changed_ms: int

    def row(self, currency: str) -> dict[str, str]:
        """The row of channel `account`. In spot mode `availEq` is "" [rec]."""
        total, frozen = f"{self.total:f}", f"{self.frozen:f}"
        return {
            "ccy": currency, "eq": total, "cashBal": total, "availBal": f"{self.total - self.frozen:f}",
            "frozenBal": frozen, "ordFrozen": frozen, "availEq": "", "liab": "0", "uTime": str(self.changed_ms),
        }  # fmt: skip


def _initial_holdings() -> dict[str, Holding]:
    amounts = {"USDT": ("4750.42", "158.57"), "BTC": ("0.73", "0"), "ETH": ("12.5", "2.5")}
    return {currency: Holding(Decimal(total), Decimal(frozen), 0) for currency, (total, frozen) in amounts.items()}


@dataclass(slots=True)
class Account:
    """The key, and the holdings by currency."""

    key: ApiKey = ApiKey()
    holdings: dict[str, Holding] = field(default_factory=_initial_holdings)

    def refusal(self, login: dict[str, Any], now_ms: int) -> tuple[str, str] | None:
        """Check a login: the error as (code, msg), or None if the login is valid."""
        api_key, passphrase, timestamp, sign = (
            str(login.get(name, "")) for name in ("apiKey", "passphrase", "timestamp", "sign")
        )
        if not (api_key and passphrase and timestamp and sign):
            return "60027", "Parameter apiKey, passphrase, timestamp, sign can not be empty"
        if api_key != self.key.api_key:
            return "60005", "Invalid apiKey"
        if passphrase != self.key.passphrase:
            return "60024", "Wrong passphrase"
        if not timestamp.isascii() or not timestamp.isdigit():
            return "60004", "Invalid timestamp"
        if abs(int(timestamp) * 1000 - now_ms) > TOLERANCE_MS:
            return "60006", "Timestamp request expired"
        if not hmac.compare_digest(sign.encode(), self._signature(timestamp)):
            return "60007", "Invalid sign"
        return None

    def _signature(self, timestamp: str) -> bytes:
        text = timestamp + "GET" + "/users/self/verify"
        return base64.b64encode(hmac.new(self.key.secret_key.encode(), text.encode(), hashlib.sha256).digest())

    def change(self, currency: str, total: Decimal, frozen: Decimal, now_ms: int) -> str:
        """Set one currency, and return the push with the change."""
        self.holdings[currency] = Holding(total, frozen, now_ms)
        row = self._row(now_ms, [(currency, self.holdings[currency])])
        return okx.compact({"arg": _ARG, "eventType": "event_update", "data": [row]})

    def snapshot(self, now_ms: int) -> list[str]:
        """All holdings above 0 in pages. An empty account has one empty page."""
        held = [(currency, holding) for currency, holding in sorted(self.holdings.items()) if holding.total]
        pages = [held[at : at + PAGE] for at in range(0, len(held), PAGE)] or [[]]
        return [
            okx.compact(
                {
                    "arg": _ARG,
                    "eventType": "snapshot",
                    "curPage": number,
                    "lastPage": number == len(pages),
                    "data": [self._row(now_ms, page)],
                }
            )
            for number, page in enumerate(pages, 1)
        ]

    def _row(self, now_ms: int, held: Iterable[tuple[str, Holding]]) -> dict[str, Any]:
        return {"uTime": str(now_ms), "totalEq": "", "details": [holding.row(currency) for currency, holding in held]}
