"""Codec of OKX v5's private connection: the login and channel ``account`` (docs/exchanges/okx.md).

Loaded only when balances are collected.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Annotated

import msgspec

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.decimals import Milliseconds, check_decimals
from market_collector.exchanges.interface import (
    AccountUpdate,
    Ack,
    CloseNotice,
    Credentials,
    Info,
    LoggedIn,
    LoginRefusal,
    Message,
    Pong,
    Refusal,
    Request,
    Stamp,
)
from market_collector.exchanges.okx.events import REFUSALS, Event, read_event
from market_collector.exchanges.okx.rows import NAME, decode_row
from market_collector.model.events import Balance
from market_collector.model.streams import Stream

CHANNEL = "account"
LOGIN_REFUSALS = {
    "60005": "the API key is not known",
    "60007": "the signature is wrong: secretKey does not belong to apiKey",
    "60009": "the login failed",
    "60024": "the passphrase is wrong",
    "60032": "the API key does not exist",
}
"""Permanent error codes of the key. All others are temporary (60014 too frequent, 63999 internal, ...)."""
TIME_CODES = frozenset({"60004", "60006"})


class Kind(msgspec.Struct, gc=False):
    """The fields that distinguish a push from an event."""

    event: str = ""
    eventType: str = ""


class Detail(msgspec.Struct, gc=False):
    """Balance of one currency. Amounts are "" if the account's mode does not have them.

    ``{"ccy":"USDT","eq":"4892.95","cashBal":"4750.42","availBal":"4734.37","frozenBal":"158.57",
    "uTime":"1705449605015",...}``
    """

    ccy: Annotated[str, msgspec.Meta(min_length=1)]
    cashBal: str | None = None
    availBal: str | None = None
    frozenBal: str | None = None
    uTime: Milliseconds | None = None


class AccountRow(msgspec.Struct, gc=False):
    """An account: ``{"uTime":"1705564213903","totalEq":"55868.06","details":[Detail, ...],...}``."""

    details: list[Detail]
    uTime: Milliseconds | None = None


class AccountPush(msgspec.Struct, gc=False):
    """A snapshot or an update of the account.

    ``{"arg":{"channel":"account","uid":"44*****584"},"eventType":"snapshot","curPage":1,"lastPage":true,
    "data":[AccountRow]}``

    A snapshot lists the currencies with a non-zero balance, on several pages if there are many. An ``event_update``
    lists the changed currencies.
    """

    eventType: str
    data: list[AccountRow]
    curPage: int = 1
    lastPage: bool = True


read_kind = msgspec.json.Decoder(Kind).decode


def login(credentials: Credentials, time_ns: int) -> str:
    """Return the login frame.

    ``{"op":"login","args":[{"apiKey":"...","passphrase":"...","timestamp":"1538054050","sign":"..."}]}``

    The timestamp is in seconds and may differ from OKX's time by 30 s.
    """
    api_key, secret_key, passphrase = credentials
    timestamp = str(time_ns // 1_000_000_000)
    signed = {"apiKey": api_key, "passphrase": passphrase, "timestamp": timestamp}
    args = [signed | {"sign": sign(secret_key, timestamp)}]
    return json.dumps({"op": "login", "args": args}, separators=(",", ":"))


def sign(secret_key: str, timestamp: str) -> str:
    """Return the Base64 of the HMAC-SHA256 over time, verb and path."""
    text = f"{timestamp}GET/users/self/verify"
    return base64.b64encode(hmac.digest(secret_key.encode(), text.encode(), hashlib.sha256)).decode()


class OkxSigner:
    """Signs logins, the only use of the key."""

    fields: tuple[str, ...] = ("apiKey", "secretKey", "passphrase")
    token_life_s = 0.0

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        """Build the login frame, the only signed one."""
        return login(credentials, stamp.time_ns)

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        """No request is signed."""
        return request

    def token_request(self) -> None:
        """OKX has no tokens."""

    def read_token(self, body: bytes) -> str:
        """OKX has no tokens."""
        return ""


class OkxAccount:
    """Codec of one private connection, which carries one stream."""

    path = "/ws/v5/private"

    def __init__(self, streams: Iterable[Stream]) -> None:
        (self._stream,) = streams
        self._ids = count(1)
        self._is_logged_in = False
        self._pages: list[AccountRow] = []
        """Pages received so far of an incomplete snapshot."""

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Without further parameters, OKX pushes changes and regular snapshots."""
        return [self._request("subscribe")]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the unsubscribe frame."""
        return [self._request("unsubscribe")]

    def _request(self, verb: str) -> str:
        request = {"id": str(next(self._ids)), "op": verb, "args": [{"channel": CHANNEL}]}
        return json.dumps(request, separators=(",", ":"))

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode a frame in up to two passes, which is fast enough for the few frames of this connection."""
        if frame == b"pong":
            return (Pong(),)
        try:
            kind = read_kind(frame)
            if kind.event:
                return (self._event(read_event(frame)),)
            return (self._push(decode_row(frame, AccountPush), receive_time_ns),)
        except UNREADABLE as error:
            stream = self._stream if self._is_logged_in else None
            raise FrameError(f"OKX frame cannot be read: {error}", stream) from error

    # -- events

    def _event(self, event: Event) -> Message:
        match event.event:
            case "login" if event.code == "0":
                self._is_logged_in = True
                return LoggedIn()
            case "login" | "error" if not self._is_logged_in:
                return _login_refusal(event.code)
            case "error" | "channel-conn-count-error":
                return self._refusal(event)
            case "subscribe":
                self._pages.clear()
                return Ack((self._stream,))
            case "notice" if event.code == "64008":
                return CloseNotice(event.msg)
            case "unsubscribe" | "notice" | "channel-conn-count":
                return Info()
        raise FrameError("OKX sent an event on the private connection that is not in its documentation")

    def _refusal(self, event: Event) -> Message:
        if event.code == "60011":  # login needed
            return _login_refusal(event.code)
        text = f"OKX error {event.code}: {event.msg}" if event.code else "OKX: too many connections with this channel"
        # 60018 means a symbol elsewhere; an account has none, so it can only mean the channel
        reason = "ChannelNotOffered" if event.code == "60018" else REFUSALS.get(event.code, "ExchangeError")
        return Refusal((self._stream,), reason, text, event.code in REFUSALS)

    # -- pushes

    def _push(self, push: AccountPush, receive_time_ns: int) -> Message:
        if push.eventType == "event_update":
            return self._account_update(push.data, receive_time_ns, is_whole=False)
        if push.eventType != "snapshot":
            raise FrameError(
                f"OKX sent the account with eventType {push.eventType!r}; known: snapshot, event_update", self._stream
            )
        if push.curPage == 1:
            self._pages.clear()
        self._pages += push.data
        if not push.lastPage:
            return Info()
        pages, self._pages = self._pages, []
        return self._account_update(pages, receive_time_ns, is_whole=True)

    def _account_update(self, rows: Sequence[AccountRow], receive_time_ns: int, *, is_whole: bool) -> AccountUpdate:
        symbol = self._stream.symbol
        balances = [_balance(symbol, detail, receive_time_ns) for row in rows for detail in row.details]
        time_ns = max((row.uTime * 1_000_000 for row in rows if row.uTime is not None), default=receive_time_ns)
        return AccountUpdate(self._stream, balances, time_ns, is_whole)


def _login_refusal(code: str) -> LoginRefusal:
    """Describe the error without OKX's own message, which for error 60012 repeats the request with its passphrase."""
    meaning = LOGIN_REFUSALS.get(code, "the time of the signature is wrong" if code in TIME_CODES else "try again")
    return LoginRefusal(f"OKX error {code or '(none)'} at login: {meaning}", code in LOGIN_REFUSALS, code in TIME_CODES)


def _balance(symbol: str, row: Detail, receive_time_ns: int) -> Balance:
    """Make the record from OKX's cash balance and its available and frozen parts.

    Only the cash balance may be negative: it is so for a currency that the account owes.

    Raises:
        ValueError: an amount is no plain decimal.
    """
    total, available, locked = row.cashBal or None, row.availBal or None, row.frozenBal or None
    check_decimals((total and total.removeprefix("-"), available, locked))
    time_ns = None if row.uTime is None else row.uTime * 1_000_000
    return Balance(NAME, symbol, time_ns, receive_time_ns, row.ccy, total, available, locked)
