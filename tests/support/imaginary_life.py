"""A feed of the imaginary exchange with helpers for its inputs."""

import json
from collections.abc import Sequence
from typing import Any

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.feed.effects import Effect, Send
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.model.streams import Stream


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


class ImaginaryLife:
    """One connection, opened at 0 s."""

    def __init__(
        self, exchange: ImaginaryExchange, *streams: Stream, ping_interval_s: float = 20.0, **options: Any
    ) -> None:
        self.ledger = Ledger(NAME, streams, 60.0, at(0))
        route = exchange.route(streams[0])
        self.feed = Feed(route, exchange, streams, self.ledger, ping_interval_s=ping_interval_s, **options)
        self.opening = self.feed.opened(at(0))

    def gets(self, message: dict[str, Any], seconds: float) -> list[Effect]:
        return self.feed.received(json.dumps(message).encode(), at(seconds))

    def is_acked(self, *streams: Stream, seconds: float = 0.5) -> list[Effect]:
        return self.gets({"acknowledged": list(map(str, streams))}, seconds)


def sent(effects: Sequence[Effect]) -> list[Any]:
    return [json.loads(effect.text) for effect in effects if isinstance(effect, Send)]
