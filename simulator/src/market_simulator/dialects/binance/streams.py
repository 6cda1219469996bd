"""A connection of market streams: `/ws` with raw events, `/stream` with combined ones."""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.connections import TOO_MANY, Upkeep
from market_simulator.dialects.binance.publications import CUTS, variant
from market_simulator.engine.dialect import Effect, Exceeded, Market
from market_simulator.engine.events import Key
from market_simulator.engine.faults.connections import StuckSubscribe, SubscribeError
from market_simulator.engine.faults.messages import Kind, Outgoing

MOST_STREAMS: Final = 1024
_METHODS: Final = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


@dataclass(slots=True)
class StreamSession:
    """State of one client.

    `symbols` has the symbols by their names in streams, such as `btcusdt`, and `offered` the streams of each symbol.
    A stream that does not exist is acknowledged, listed, and silent.
    """

    id: str
    path: str
    symbols: Mapping[str, str]
    offered: Container[str]
    upkeep: Upkeep
    in_url: tuple[str, ...]
    requests: int = 0
    is_combined: bool = False
    is_logged_in: bool = False
    streams: dict[str, Key] = field(default_factory=dict)

    @property
    def subscriptions(self) -> dict[Key, None]:
        """The streams as keys."""
        return dict.fromkeys(self.streams.values())

    def opened(self, now: float, market: Market) -> list[Effect]:
        """Subscribe to the streams of the URL, without an answer."""
        self._add(self.in_url)
        return []

    def received(self, text: str, now: float, market: Market) -> list[Effect]:
        """Answer one text frame, and update the subscriptions."""
        self.requests += 1
        if not self.upkeep.allows(now):
            return [*TOO_MANY]
        try:
            request = json.loads(text)
        except (ValueError, RecursionError) as error:
            return [_error(3, f"Invalid JSON: {error}")]
        method = request.get("method") if isinstance(request, dict) else None
        if method not in _METHODS:
            return [_error(2, f"Invalid request: unknown variant {method}, expected one of {', '.join(_METHODS)}")]
        params = request.get("params", [])
        if not isinstance(params, list):
            return [_error(2, "Invalid request: params must be a list", request)]
        return self._answer(method, params, request, now, market)

    def _answer(
        self, method: str, params: list[Any], request: dict[str, Any], now: float, market: Market
    ) -> list[Effect]:
        match method:
            case "SUBSCRIBE" | "UNSUBSCRIBE":
                if not params or not all(isinstance(name, str) for name in params):
                    return [_error(2, "Invalid request: params must be names of streams", request)]
                return (
                    self._subscribe(params, request, now, market)
                    if method == "SUBSCRIBE"
                    else self._remove(params, request)
                )
            case "LIST_SUBSCRIPTIONS":
                return [_result(list(self.streams), request)]
            case _ if params[:1] != ["combined"]:
                return [_error(0, f"Unknown property {params[:1]}", request)]
            case "GET_PROPERTY":
                return [_result(self.is_combined, request)]
            case _:
                return self._combine(params, request)

    def _subscribe(self, names: list[str], request: dict[str, Any], now: float, market: Market) -> list[Effect]:
        for name in names:
            match market.subscribe_fault(self._key(name), now):
                case SubscribeError() as fault:
                    return [_error(int(fault.code), fault.message, request if fault.has_arg else None)]
                case StuckSubscribe():
                    return []
        if len(self.streams.keys() | set(names)) > MOST_STREAMS:
            error = _error(2, f"Invalid request: too many streams, at most {MOST_STREAMS}", request)
            return [Exceeded("streams of a connection"), error]
        self._add(names)
        return [_result(None, request)]

    def _remove(self, names: list[str], request: dict[str, Any]) -> list[Effect]:
        for name in names:
            self.streams.pop(name, None)
        return [_result(None, request)]

    def _combine(self, params: list[Any], request: dict[str, Any]) -> list[Effect]:
        if not isinstance(params[-1], bool):
            return [_error(1, "Invalid value type: expected Boolean", request)]
        self.is_combined = params[-1]
        self._add(list(self.streams))
        return [_result(None, request)]

    def _add(self, names: Iterable[str]) -> None:
        self.streams |= {name: self._key(name) for name in names}

    def _key(self, name: str) -> Key:
        symbol, _, stream = name.partition("@")
        if symbol not in self.symbols or stream not in self.offered:
            return Key(name, "", "unknown")
        cut = int(self.id, 16) % CUTS if stream.startswith("depth") else 0
        return Key(stream, self.symbols[symbol], variant(self.is_combined, cut))

    def control(self, is_pong: bool, now: float) -> list[Effect]:
        """Count the frame as a message, and note a pong."""
        if is_pong:
            self.upkeep.ponged()
        return [] if self.upkeep.allows(now) else [*TOO_MANY]

    def tick(self, opened: float, alive: float, now: float) -> list[Effect]:
        return self.upkeep.tick(opened, now)

    def key_changed(self, now_ms: int) -> list[Effect]:
        return []

    def notice(self, now_ms: int) -> str:
        event = frames.compact({"e": "serverShutdown", "E": now_ms})
        return frames.combined("!serverShutdown", event) if self.is_combined else event


def _result(value: Any, request: Mapping[str, Any]) -> Outgoing:
    return Outgoing(Kind.REPLY, None, frames.compact({"result": value, "id": request.get("id")}))


def _error(code: int, message: str, request: Mapping[str, Any] | None = None) -> Outgoing:
    """An error. Only some of them have the id of the request."""
    named = {} if request is None else {"id": request.get("id")}
    return Outgoing(Kind.REPLY, None, frames.compact({"code": code, "msg": message, **named}))
