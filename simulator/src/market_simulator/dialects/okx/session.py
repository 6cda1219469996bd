"""The protocol of one WebSocket connection without the socket: requests in, effects out."""

import json
from dataclasses import dataclass, field
from typing import Any

from market_simulator.dialects.okx import protocol as okx
from market_simulator.dialects.okx.protocol import Path
from market_simulator.engine.dialect import Close, Effect, Exceeded, Market
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError
from market_simulator.engine.faults.messages import Kind, Outgoing
from market_simulator.engine.limits import Limit, Limiter

_HOURLY = Limit(okx.REQUESTS_AN_HOUR, 3600.0)


@dataclass(slots=True)
class Session:
    """State of one client. A sliding hour has at most 480 requests (docs/exchanges/okx.md section 3).

    `silence_limit`: seconds without data or ping until close code 4004. OKX has 30.
    """

    id: str
    path: Path
    silence_limit: float = 30.0
    subscriptions: dict[Key, None] = field(default_factory=dict)
    has_subscribed: bool = False
    is_logged_in: bool = False
    requests: int = 0
    _args: int = 0
    _limiter: Limiter = field(default_factory=Limiter)

    def received(self, text: str, now: float, market: Market) -> list[Effect]:
        """Answer one text frame, and update the subscriptions."""
        if text == "ping":
            return [Outgoing(Kind.REPLY, None, okx.PONG)]
        self.requests += 1
        request = _request(text)
        if request is None:
            return [self._error("60012", f"Invalid request: {text}", None)]
        if not self._limiter.allows(_HOURLY, self.id, now):
            return [Exceeded("requests an hour"), self._error("60014", "Requests too frequent", request.id)]
        match request.op:
            case "login":
                return self._login(request, now, market)
            case "subscribe":
                return [effect for key in request.keys for effect in self._subscribe(key, request.id, now, market)]
            case _:
                return [effect for key in request.keys for effect in self._unsubscribe(key, request.id, market)]

    def opened(self, now: float, market: Market) -> list[Effect]:
        return []

    def control(self, is_pong: bool, now: float) -> list[Effect]:
        return []

    def tick(self, opened: float, alive: float, now: float) -> list[Effect]:
        """Close with 4004 without a subscription in time, or without data and pong for too long."""
        since = alive if self.has_subscribed else opened
        return [Close(okx.NO_DATA, "No data received in 30s.", True)] if now - since >= self.silence_limit else []

    def key_changed(self, now_ms: int) -> list[Effect]:
        """Close with 4007."""
        return [Close(okx.KEY_CHANGED, "API key has been updated or deleted")]

    def notice(self, now_ms: int) -> str:
        return okx.notice(self.id)

    def _login(self, request: "_Request", now: float, market: Market) -> list[Effect]:
        is_private = self.path is Path.PRIVATE
        refused = market.login_refusal(request.login, now) if is_private else ("60009", "Login failed.")
        if refused:
            return [self._error(*refused, request.id), Close(okx.LOGIN_FAILED, "Login failed")]
        self.is_logged_in = True
        return [self._reply(okx.logged_in(request.id, self.id), None)]

    def _subscribe(self, key: Key, request_id: str | None, now: float, market: Market) -> list[Effect]:
        if refused := self._refusal(key, market):
            return [self._error(*refused, request_id)]
        match market.subscribe_fault(key, now):
            case SubscribeError() as fault:
                return [self._error(fault.code, fault.message, request_id, key if fault.has_arg else None)]
            case StuckSubscribe():
                return []
        self.subscriptions[key] = None
        self.has_subscribed = True
        self._args += 1
        acknowledged: list[Effect] = [self._reply(okx.acknowledgement("subscribe", key, request_id, self.id), key)]
        if key.channel in okx.PRIVATE_CHANNELS:
            count = market.subscribers(key) + 1
            acknowledged.append(self._reply(okx.connection_count(key.channel, count, self.id), None))
        first: list[Effect] = [Outgoing(Kind.PRESENT, key, text) for text in market.first_pushes(key)]
        # On OKX a push can precede the acknowledgement (docs/exchanges/okx.md section 4). Here it does so for every
        # second arg, so that a client that cannot handle it fails on every run.
        return first + acknowledged if self._args % 2 == 0 else acknowledged + first

    def _unsubscribe(self, key: Key, request_id: str | None, market: Market) -> list[Effect]:
        if refused := self._refusal(key, market):
            return [self._error(*refused, request_id)]
        self.subscriptions.pop(key, None)
        return [self._reply(okx.acknowledgement("unsubscribe", key, request_id, self.id), key)]

    def _refusal(self, key: Key, market: Market) -> tuple[str, str] | None:
        return okx.refusal(self.path, key, market.names, self.is_logged_in)

    def _error(self, code: str, message: str, request_id: str | None, key: Key | None = None) -> Outgoing:
        return self._reply(okx.error(code, message, request_id, self.id, key), None)

    def _reply(self, text: str, key: Key | None) -> Outgoing:
        return Outgoing(Kind.REPLY, key, text)


@dataclass(frozen=True, slots=True)
class _Request:
    op: str
    id: str | None
    keys: tuple[Key, ...]
    login: dict[str, Any]


def _key(arg: dict[str, Any]) -> Key:
    return Key(str(arg["channel"]), str(arg.get("instId") or arg.get("instType", "")))


def _request(text: str) -> _Request | None:
    """Parse a request. Returns None if it is invalid."""
    try:
        message: Any = json.loads(text)
        op, args, request_id = message["op"], message["args"], message.get("id")
        login = dict(args[0]) if op == "login" else {}
        keys = () if op == "login" else tuple(_key(arg) for arg in args)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return None
    is_known = op in ("subscribe", "unsubscribe", "login") and isinstance(args, list) and bool(args)
    is_id = request_id is None or (isinstance(request_id, str) and request_id.isalnum() and len(request_id) <= 32)
    return _Request(op, request_id, keys, login) if is_known and is_id else None
