"""The rules of every Binance connection: messages a second, pings of the server, and the end of its life."""

from dataclasses import dataclass, field
from typing import Final

from market_simulator.engine.dialect import Close, Effect, Exceeded
from market_simulator.engine.faults.messages import Kind, Outgoing, Wire
from market_simulator.engine.limits import Limit, Limiter

_PACE: Final = Limit(5, 1.0)
TOO_MANY: Final = (Exceeded("messages a second"), Close(1008, "Too many requests"))
PINGS_A_SILENCE: Final = 1.5
"""The server pings every 20 s and waits 60 s for a pong: a `silence_limit` of 30 s, times 2/3 and 2."""


@dataclass(slots=True)
class Upkeep:
    """State of one connection. `silence_limit` and `life` are in seconds."""

    silence_limit: float
    life: float
    _pinged: float | None = None
    _unanswered: float | None = None  # time of the oldest ping without a pong
    _limiter: Limiter = field(default_factory=Limiter)

    def allows(self, now: float) -> bool:
        """Count a message, ping or pong of the client."""
        return self._limiter.allows(_PACE, "", now)

    def ponged(self) -> None:
        self._unanswered = None

    def tick(self, opened: float, now: float) -> list[Effect]:
        """Ping, or close for a missing pong or at the end of the life."""
        if now - opened >= self.life:
            return [Close(1001, "")]
        if self._unanswered is not None and now - self._unanswered >= 2 * self.silence_limit:
            return [Close(1008, "Pong timeout", True)]
        if now - (opened if self._pinged is None else self._pinged) < self.silence_limit / PINGS_A_SILENCE:
            return []
        self._pinged, self._unanswered = now, now if self._unanswered is None else self._unanswered
        return [Outgoing(Kind.REPLY, None, str(round(now * 1000)), Wire.PING)]
