"""Codec of Bybit's private connection with its login, and the signatures (docs/exchanges/bybit.md, section 9).

Loaded only when balances are collected.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from itertools import count

import msgspec
from msgspec import structs

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.bybit.balances import Wallet, account_of
from market_collector.exchanges.bybit.channels import Answer, read_answer, read_fields
from market_collector.exchanges.decimals import Milliseconds
from market_collector.exchanges.interface import (
    Ack,
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
from market_collector.model.streams import Stream

TOPIC = "wallet"
EXPIRES_MS = 10_000
"""Time for which a login is valid."""
WINDOW_MS = 5_000
"""Age up to which the exchange accepts a request."""
TIME_WORDS = ("request expired", "invalid request, please check your server timestamp")
KEY_WORDS = ("api key", "your api key", "error sign", "permission denied", "user authentication", "unmatched ip")
"""Beginnings of the words of refused logins, which have no code. What follows may repeat the request."""


class WalletPush(msgspec.Struct, gc=False):
    """The changed coins, with absolute amounts.

    ``{"id":"592324...","topic":"wallet","creationTime":1700034722104,"data":[Wallet]}``
    """

    creationTime: Milliseconds
    data: list[Wallet]


read_wallet = msgspec.json.Decoder(WalletPush).decode


class BybitSigner:
    """Signs logins and REST requests with HMAC-SHA256, as hexadecimal text."""

    fields: tuple[str, ...] = ("apiKey", "secretKey")
    token_life_s = 0.0

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        """Build the login frame, the only signed one: ``{"op":"auth","args":["KEY",1662350400000,"SIGN"]}``."""
        api_key, secret_key = credentials
        expires_ms = stamp.time_ns // 1_000_000 + EXPIRES_MS
        args = [api_key, expires_ms, sign(secret_key, f"GET/realtime{expires_ms}")]
        return json.dumps({"op": "auth", "args": args}, separators=(",", ":"))

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        """Add the headers with key, time and signature."""
        api_key, secret_key = credentials
        time_ms = str(stamp.time_ns // 1_000_000)
        query = request.path.partition("?")[2]
        signature = sign(secret_key, f"{time_ms}{api_key}{WINDOW_MS}{query}")
        signed = (
            ("X-BAPI-API-KEY", api_key),
            ("X-BAPI-TIMESTAMP", time_ms),
            ("X-BAPI-RECV-WINDOW", str(WINDOW_MS)),
            ("X-BAPI-SIGN", signature),
        )
        return structs.replace(request, headers=(*request.headers, *signed))

    def token_request(self) -> None:
        """Bybit has no tokens."""

    def read_token(self, body: bytes) -> str:
        """Bybit has no tokens."""
        return ""


def sign(secret_key: str, text: str) -> str:
    """Return the HMAC-SHA256 of a text as hexadecimal text."""
    return hmac.digest(secret_key.encode(), text.encode(), hashlib.sha256).hex()


class BybitAccount:
    """Codec of one connection, which carries one stream."""

    path = "/v5/private"

    def __init__(self, streams: Iterable[Stream]) -> None:
        (self._stream,) = streams
        self._ids = count(1)
        self._is_logged_in = False

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the subscribe frame. The account itself comes over REST."""
        return [self._request("subscribe")]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the unsubscribe frame."""
        return [self._request("unsubscribe")]

    def _request(self, verb: str) -> str:
        return json.dumps({"req_id": str(next(self._ids)), "op": verb, "args": [TOPIC]}, separators=(",", ":"))

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode a frame in two passes, which is fast enough for the few frames of this connection."""
        try:
            fields = read_fields(frame)
            if "topic" in fields:
                push = read_wallet(frame)
                return (account_of(self._stream, push.data, push.creationTime, receive_time_ns, is_whole=False),)
            return (self._answer(read_answer(frame)),)
        except UNREADABLE as error:
            stream = self._stream if self._is_logged_in else None
            raise FrameError(f"Bybit frame cannot be read: {error}", stream) from error

    def _answer(self, answer: Answer) -> Message:
        match answer.op:
            case "ping" | "pong":
                return Pong()
            case "auth" if answer.success:
                self._is_logged_in = True
                return LoggedIn()
            case "subscribe" if answer.success:
                return Ack((self._stream,))
            case "subscribe":
                return Refusal((self._stream,), "ExchangeError", f"Bybit: {answer.ret_msg}", is_permanent=False)
            case "unsubscribe":
                return Info()
        return _login_refusal(answer.ret_msg)


def _login_refusal(words: str) -> LoginRefusal:
    """Describe the error without Bybit's own words, which may repeat the request."""
    words = words.lower()
    if words.startswith(TIME_WORDS):
        message = "Bybit refuses the login: the time of the signature is wrong"
        return LoginRefusal(message, is_permanent=False, is_about_time=True)
    if words.startswith(KEY_WORDS):
        message = "Bybit refuses the login: apiKey is not known or lacks the permission, or secretKey is wrong"
        return LoginRefusal(message, is_permanent=True)
    return LoginRefusal("Bybit refuses the login: try again", is_permanent=False)
