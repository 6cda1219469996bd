"""A public connection of one category. A request with one bad topic is refused as a whole."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from market_simulator.dialects.bybit import protocol
from market_simulator.dialects.bybit.protocol import Request
from market_simulator.dialects.bybit.symbols import SPOT
from market_simulator.dialects.bybit.upkeep import Upkeep
from market_simulator.engine.dialect import Effect, Exceeded, Market
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError
from market_simulator.engine.faults.messages import Kind, Outgoing

SPOT_ARGS: Final = 10
"""Most topics of a request on spot. Linear has no such limit."""
MOST_CHARACTERS: Final = 21_000
"""Of all topics of a connection."""


@dataclass(slots=True)
class PublicSession:
    """State of one client. `symbols` has those of the category by their native names, `channels` all topics."""

    id: str
    path: str
    category: str
    symbols: Mapping[str, str]
    channels: Container[str]
    upkeep: Upkeep
    requests: int = 0
    is_logged_in: bool = False
    topics: dict[str, Key] = field(default_factory=dict)

    @property
    def subscriptions(self) -> dict[Key, None]:
        """The topics as keys."""
        return dict.fromkeys(self.topics.values())

    def opened(self, now: float, market: Market) -> list[Effect]:
        return []

    def received(self, text: str, now: float, market: Market) -> list[Effect]:
        """Answer one text frame, and update the subscriptions."""
        self.requests += 1
        request = protocol.read(text)
        if isinstance(request, str):
            return [protocol.error(self.id, request)]
        match request.op:
            case "ping":
                self.upkeep.pinged(now)
                return [protocol.answer(self.id, request, True, "pong")]
            case "subscribe":
                return self._subscribe(request, now, market)
            case "unsubscribe":
                return self._unsubscribe(request)
        return [protocol.error(self.id, "error:invalid op")]

    def _subscribe(self, request: Request, now: float, market: Market) -> list[Effect]:
        if not request.args or not all(isinstance(topic, str) for topic in request.args):
            return [protocol.answer(self.id, request, False, protocol.INVALID_ARGS)]
        if excess := self._excess(request.args):
            return [Exceeded(excess[0]), protocol.answer(self.id, request, False, excess[1])]
        if refused := self._refusal(request.args, market):
            return [protocol.answer(self.id, request, False, refused)]
        keys = {topic: self._key(topic) for topic in request.args}
        for topic, key in keys.items():
            match market.subscribe_fault(key, now):
                case SubscribeError() as fault:
                    named = f",topic:{topic}" if fault.has_arg else ""
                    return [protocol.answer(self.id, request, False, fault.message + named)]
                case StuckSubscribe():
                    return []
        self.topics |= keys
        acknowledged: list[Effect] = [self._acknowledged(request)]
        first = [Outgoing(Kind.PRESENT, key, text) for key in keys.values() for text in market.first_pushes(key)]
        # On linear, data precede the acknowledgement [rec].
        return [*acknowledged, *first] if self.category == SPOT else [*first, *acknowledged]

    def _unsubscribe(self, request: Request) -> list[Effect]:
        for topic in request.args:
            self.topics.pop(topic, None)
        return [self._acknowledged(request)]

    def _acknowledged(self, request: Request) -> Outgoing:
        return protocol.answer(self.id, request, True, request.op if self.category == SPOT else "")

    def _refusal(self, args: list[Any], market: Market) -> str | None:
        """The reason to refuse a request that exceeds no limit, or None."""
        reasons = (self._topic_refusal(topic, market) for topic in args)
        return next((reason for reason in reasons if reason), None)

    def _excess(self, args: list[str]) -> tuple[str, str] | None:
        """The limit that a request exceeds, with the reason to refuse it, or None."""
        if self.category == SPOT and len(args) > SPOT_ARGS:
            return "topics of a request", f"args size >{SPOT_ARGS}"
        if sum(map(len, {*self.topics, *args})) > MOST_CHARACTERS:
            return "characters of all topics", "error:args exceed the maximum length"
        return None

    def _topic_refusal(self, topic: str, market: Market) -> str | None:
        key = self._key(topic)
        if topic in self.topics:
            return f"error:already subscribed,topic:{topic}"
        if key.channel not in self.channels or (self.category != SPOT and key.instrument not in market.names):
            return f"error:handler not found,topic:{topic}"
        return None if key.instrument in market.names else f"Invalid symbol :[{topic}]"

    def _key(self, topic: str) -> Key:
        channel, _, name = topic.rpartition(".")
        return Key(channel, self.symbols.get(name, ""))

    def control(self, is_pong: bool, now: float) -> list[Effect]:
        return []

    def tick(self, opened: float, alive: float, now: float) -> list[Effect]:
        return self.upkeep.tick(opened, now)

    def key_changed(self, now_ms: int) -> list[Effect]:
        return []

    def notice(self, now_ms: int) -> str:
        """There is none: connections end without an announcement."""
        return ""
