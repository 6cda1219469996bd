"""Codec of Binance's WebSocket API, which sends the changes of the account, and the signatures.

Loaded only when balances are collected.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec
from msgspec import structs

from market_collector.errors import UNREADABLE, FrameError
from market_collector.exchanges.binance.balances import Asset, BalanceRow, account_of
from market_collector.exchanges.binance.channels import SHUTDOWN
from market_collector.exchanges.binance.errors import KEY_CODES, TIME_CODES, TOO_MANY_CODES, Problem
from market_collector.exchanges.decimals import Milliseconds
from market_collector.exchanges.interface import (
    Ack,
    CloseNotice,
    Credentials,
    Info,
    LoginRefusal,
    Lost,
    Message,
    Refusal,
    Request,
    Stamp,
    Unknown,
)
from market_collector.model.streams import Stream

SUBSCRIBE, UNSUBSCRIBE = "userDataStream.subscribe.signature", "userDataStream.unsubscribe"
OTHER_EVENTS = frozenset({"balanceUpdate", "externalLockUpdate", "executionReport", "listStatus"})
"""Events without absolute balances. The first two are followed by an `outboundAccountPosition`."""


class Reply(msgspec.Struct, gc=False):
    """``{"id":"1","status":200,"result":{"subscriptionId":0}}``, or an ``error`` instead of the result."""

    status: int
    id: str | None = None
    error: Problem | None = None


class EventHead(msgspec.Struct, gc=False):
    """The type of an event."""

    e: str


class Notice(msgspec.Struct, gc=False):
    """``{"subscriptionId":0,"event":{"e":"balanceUpdate",...}}``; the id is absent if it is about the connection."""

    event: EventHead


class PositionRow(msgspec.Struct, gc=False):
    """Free and locked amount of an asset: ``{"a":"BTC","f":"0.01485691","l":"0.00000000"}``."""

    a: Asset
    f: str
    l: str  # noqa: E741 - the exchange's name


class Position(msgspec.Struct, gc=False):
    """The assets that may have changed.

    ``{"e":"outboundAccountPosition","E":1564034571105,"u":1564034571073,"B":[PositionRow, ...]}``

    ``u`` is the time of the account's last update.
    """

    u: Milliseconds
    B: list[PositionRow]


class PositionPush(msgspec.Struct, gc=False):
    """Wire type: ``{"subscriptionId":0,"event":Position}``."""

    event: Position


read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
read_reply = msgspec.json.Decoder(Reply).decode
read_notice = msgspec.json.Decoder(Notice).decode
read_position = msgspec.json.Decoder(PositionPush).decode


class BinanceSigner:
    """Signs the subscription and REST requests with HMAC-SHA256, as hexadecimal text."""

    fields: tuple[str, ...] = ("apiKey", "secretKey")
    token_life_s = 0.0

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        """Add key, time and signature to a subscription. Other requests need none."""
        request = json.loads(text)
        if request["method"] == SUBSCRIBE:
            api_key, secret_key = credentials
            params = {"apiKey": api_key, "timestamp": stamp.time_ns // 1_000_000}
            request["params"] = params | {"signature": sign(secret_key, _query(params))}
        return _compact(request)

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        """Add time and signature to the query, and the key as a header."""
        api_key, secret_key = credentials
        path, _, query = request.path.partition("?")
        query = f"{query}&timestamp={stamp.time_ns // 1_000_000}"
        signed = f"{path}?{query}&signature={sign(secret_key, query)}"
        return structs.replace(request, path=signed, headers=(*request.headers, ("X-MBX-APIKEY", api_key)))

    def token_request(self) -> None:
        """Binance has no tokens."""

    def read_token(self, body: bytes) -> str:
        """Binance has no tokens."""
        return ""


def sign(secret_key: str, text: str) -> str:
    """Return the HMAC-SHA256 of a query as hexadecimal text."""
    return hmac.digest(secret_key.encode(), text.encode(), hashlib.sha256).hex()


def _query(params: Mapping[str, Any]) -> str:
    return "&".join(f"{name}={params[name]}" for name in sorted(params))


def _compact(request: Mapping[str, Any]) -> str:
    return json.dumps(request, separators=(",", ":"))


class BinanceAccount:
    """Codec of one connection, which carries one stream."""

    path = "/ws-api/v3"

    def __init__(self, streams: Iterable[Stream]) -> None:
        (self._stream,) = streams
        self._ids = count(1)
        self._subscribing: set[str] = set()
        """Ids of the subscribe requests without an answer."""

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the unsigned subscription. The account itself comes over REST."""
        request_id = str(next(self._ids))
        self._subscribing.add(request_id)
        return [_compact({"id": request_id, "method": SUBSCRIBE, "params": {}})]

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Build the request that ends the subscription."""
        return [_compact({"id": str(next(self._ids)), "method": UNSUBSCRIBE})]

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decode a frame in two passes, which is fast enough for the few frames of this connection."""
        try:
            fields = read_fields(frame)
            if "event" in fields:
                return (self._event(read_notice(frame).event.e, frame, receive_time_ns),)
            return (self._answer(read_reply(frame)),)
        except UNREADABLE as error:
            raise FrameError(f"Binance frame cannot be read: {error}", self._stream) from error

    def _event(self, kind: str, frame: bytes, receive_time_ns: int) -> Message:
        match kind:
            case "outboundAccountPosition":
                position = read_position(frame).event
                rows = [BalanceRow(row.a, row.f, row.l) for row in position.B]
                return account_of(self._stream, rows, position.u, receive_time_ns, is_whole=False)
            case "eventStreamTerminated":
                return Lost("Binance ended the subscription of the account")
            case _ if kind == SHUTDOWN:
                return CloseNotice("the server shuts down")
        return Info() if kind in OTHER_EVENTS else Unknown(kind)

    def _answer(self, reply: Reply) -> Message:
        """Only a subscription needs its answer. An error without an id is about it too: no other request fails."""
        is_about_stream = reply.id is None or reply.id in self._subscribing
        self._subscribing.discard(reply.id or "")
        if reply.error is None or not is_about_stream:
            return Ack((self._stream,) if is_about_stream else ())
        return self._refusal(reply.error.code)

    def _refusal(self, code: int) -> Message:
        """Describe the error without Binance's own message, which may repeat the request."""
        if code in KEY_CODES:
            return LoginRefusal(f"Binance error {code}: {KEY_CODES[code]}", is_permanent=True)
        if code in TIME_CODES:
            message = f"Binance error {code}: the time of the signature is wrong"
            return LoginRefusal(message, is_permanent=False, is_about_time=True)
        words = "too many requests" if code in TOO_MANY_CODES else "try again"
        message = f"Binance error {code} at the subscription of the account: {words}"
        return Refusal((self._stream,), "ExchangeError", message, is_permanent=False)
