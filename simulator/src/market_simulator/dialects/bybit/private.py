"""A private connection: `auth`, then the topic `wallet`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from market_simulator.dialects.bybit import account, protocol
from market_simulator.dialects.bybit.protocol import Request
from market_simulator.dialects.bybit.upkeep import Upkeep
from market_simulator.engine.dialect import Close, Effect, Market
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError


@dataclass(slots=True)
class PrivateSession:
    """State of one client. `clock` returns the exchange's time in milliseconds since 1970."""

    id: str
    path: str
    upkeep: Upkeep
    clock: Callable[[], int]
    requests: int = 0
    is_logged_in: bool = False
    subscriptions: dict[Key, None] = field(default_factory=dict)

    def opened(self, now: float, market: Market) -> list[Effect]:
        return []

    def received(self, text: str, now: float, market: Market) -> list[Effect]:
        """Answer one text frame, and update the subscription."""
        self.requests += 1
        request = protocol.read(text)
        if isinstance(request, str):
            return [protocol.error(self.id, request)]
        match request.op:
            case "ping":
                self.upkeep.pinged(now)
                pong = {**request.id, "op": "pong", "args": [str(self.clock())], "conn_id": self.id}
                return [protocol.reply(pong)]
            case "auth":
                return self._log_in(request, now, market)
            case "subscribe" if self.is_logged_in:
                return self._subscribe(request, now, market)
            case "unsubscribe" if self.is_logged_in:
                self.subscriptions.clear()
                return [protocol.answer(self.id, request, True, "")]
            case "subscribe" | "unsubscribe":
                return [protocol.answer(self.id, request, False, "Request not authorized")]
        return [protocol.error(self.id, "error:invalid op")]

    def _log_in(self, request: Request, now: float, market: Market) -> list[Effect]:
        """The success has no `req_id`, as documented."""
        login: dict[str, Any] = dict(zip(("apiKey", "expires", "sign"), request.args, strict=False))
        if refused := market.login_refusal(login, now):
            return [protocol.answer(self.id, request, False, refused[1]), Close(1000, "")]
        self.is_logged_in = True
        return [protocol.reply({"success": True, "ret_msg": "", "op": "auth", "conn_id": self.id})]

    def _subscribe(self, request: Request, now: float, market: Market) -> list[Effect]:
        """There is no snapshot: the topic has changes only."""
        if unknown := [topic for topic in request.args if topic != account.KEY.channel]:
            return [protocol.answer(self.id, request, False, f"error:handler not found,topic:{unknown[0]}")]
        match market.subscribe_fault(account.KEY, now):
            case SubscribeError() as fault:
                return [protocol.answer(self.id, request, False, fault.message)]
            case StuckSubscribe():
                return []
        self.subscriptions[account.KEY] = None
        return [protocol.answer(self.id, request, True, "")]

    def control(self, is_pong: bool, now: float) -> list[Effect]:
        return []

    def tick(self, opened: float, alive: float, now: float) -> list[Effect]:
        return self.upkeep.tick(opened, now)

    def key_changed(self, now_ms: int) -> list[Effect]:
        """End the connection, because its key is no longer valid."""
        return [Close(1000, "")]

    def notice(self, now_ms: int) -> str:
        """There is none: connections end without an announcement."""
        return ""
