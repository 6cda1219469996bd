"""Plans which connection carries which stream, within the exchange's limit of streams per connection."""

import hashlib
from collections.abc import Iterable, Sequence
from math import ceil

import msgspec

from market_collector.exchanges.interface import Exchange
from market_collector.model.streams import Stream


class PlannedConnection(msgspec.Struct, frozen=True):
    """The streams of a route that one connection carries."""

    name: str
    """The route's name. Of a route with several connections ``public/1``, ``public/2``, ..."""
    route: str
    streams: Sequence[Stream]


def plan_connections(exchange: Exchange, streams: Iterable[Stream]) -> list[PlannedConnection]:
    """Return the connections of every route, in the order of their first streams."""
    routes: dict[str, list[Stream]] = {}
    for stream in streams:
        routes.setdefault(exchange.route(stream), []).append(stream)
    return [planned for route, carried in routes.items() for planned in _connections(exchange, route, carried)]


def _connections(exchange: Exchange, route: str, streams: Sequence[Stream]) -> list[PlannedConnection]:
    limit = exchange.routes[route].streams_per_connection
    if limit is None or len(streams) <= limit:
        return [PlannedConnection(route, route, streams)]
    groups = _spread(streams, limit)
    return [PlannedConnection(f"{route}/{number}", route, group) for number, group in enumerate(groups, 1)]


def _spread(streams: Sequence[Stream], limit: int) -> list[list[Stream]]:
    """Spread streams over as few groups as possible, so that a change of streams moves few others.

    Each stream has an order of preference for the groups (rendezvous hashing) and takes the first group with room.
    """
    groups: list[list[Stream]] = [[] for _ in range(ceil(len(streams) / limit))]
    for stream in sorted(streams, key=lambda each: _weight(each, 0)):
        preferred = sorted(range(len(groups)), key=lambda group: _weight(stream, group + 1))
        next(groups[group] for group in preferred if len(groups[group]) < limit).append(stream)
    return groups


def _weight(stream: Stream, group: int) -> bytes:
    return hashlib.blake2b(f"{group}/{stream}".encode(), digest_size=8).digest()
