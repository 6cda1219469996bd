"""A connection of the WebSocket API with the user data of the account."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from market_simulator.dialects.binance import account
from market_simulator.dialects.binance.connections import Upkeep
from market_simulator.dialects.binance.frames import compact
from market_simulator.engine.dialect import Effect, Market
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError
from market_simulator.engine.faults.messages import Kind, Outgoing

_WEIGHTS: Final = {"account.status": 20, "userDataStream.subscribe.signature": 2}
_SIGNED: Final = frozenset(_WEIGHTS)


@dataclass(slots=True)
class ApiSession:
    """State of one client. `status` returns the account, without zero balances if the argument is true."""

    id: str
    path: str
    upkeep: Upkeep
    status: Callable[[bool], dict[str, Any]]
    requests: int = 0
    subscriptions: dict[Key, None] = field(default_factory=dict)
    _weight: int = 2

    @property
    def is_logged_in(self) -> bool:
        """Whether it gets user data."""
        return account.KEY in self.subscriptions

    def opened(self, now: float, market: Market) -> list[Effect]:
        return []

    def received(self, text: str, now: float, market: Market) -> list[Effect]:
        """Answer one text frame, and update the subscription."""
        self.requests += 1
        try:
            request = json.loads(text)
            request_id, method, params = request["id"], request["method"], dict(request.get("params", {}))
        except (ValueError, TypeError, KeyError, RecursionError):
            return [self._error(None, "-1000", "Malformed request")]
        self._weight += _WEIGHTS.get(method, 1)
        refused = market.login_refusal(params, now) if method in _SIGNED else None
        return [self._error(request_id, *refused)] if refused else self._answer(request_id, method, params, now, market)

    def _answer(self, request_id: Any, method: str, params: dict[str, Any], now: float, market: Market) -> list[Effect]:
        match method:
            case "userDataStream.subscribe.signature":
                return self._subscribe(request_id, now, market)
            case "userDataStream.unsubscribe":
                self.subscriptions.clear()
                return [self._result(request_id, {})]
            case "account.status":
                return [self._result(request_id, self.status(bool(params.get("omitZeroBalances"))))]
            case "session.subscriptions":
                return [self._result(request_id, [{"subscriptionId": 0} for _ in self.subscriptions])]
            case "ping":
                return [self._result(request_id, {})]
        return [self._error(request_id, "-1020", "This operation is not supported.")]

    def _subscribe(self, request_id: Any, now: float, market: Market) -> list[Effect]:
        match market.subscribe_fault(account.KEY, now):
            case SubscribeError() as fault:
                return [self._error(request_id, fault.code, fault.message)]
            case StuckSubscribe():
                return []
        self.subscriptions[account.KEY] = None
        return [self._result(request_id, {"subscriptionId": 0})]

    def control(self, is_pong: bool, now: float) -> list[Effect]:
        """Note a pong. The limit of messages holds for market streams only."""
        if is_pong:
            self.upkeep.ponged()
        return []

    def tick(self, opened: float, alive: float, now: float) -> list[Effect]:
        return self.upkeep.tick(opened, now)

    def key_changed(self, now_ms: int) -> list[Effect]:
        """End the subscription."""
        self.subscriptions.clear()
        return [Outgoing(Kind.REPLY, None, account.event(e="eventStreamTerminated", E=now_ms))]

    def notice(self, now_ms: int) -> str:
        return compact({"event": {"e": "serverShutdown", "E": now_ms}})

    def _result(self, request_id: Any, result: Any) -> Outgoing:
        return self._reply({"id": request_id, "status": 200, "result": result})

    def _error(self, request_id: Any, code: str, message: str) -> Outgoing:
        status = 401 if code in account.UNAUTHORIZED else 400
        return self._reply({"id": request_id, "status": status, "error": {"code": int(code), "msg": message}})

    def _reply(self, reply: dict[str, Any]) -> Outgoing:
        limit = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
        return Outgoing(Kind.REPLY, None, compact({**reply, "rateLimits": [{**limit, "count": self._weight}]}))
