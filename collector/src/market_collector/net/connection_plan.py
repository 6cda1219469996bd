"""Plans which connection carries which stream, within the exchange's limit of streams per connection.

Streams are cut in their order, so one more or less moves at most one stream from each connection to the next.
"""

from collections.abc import Iterable, Sequence

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
    """Return the connections of every route that has some, in the order of their first streams."""
    routes = _by_route(exchange, streams, are_polled=False)
    return [planned for route, carried in routes.items() for planned in _connections(exchange, route, carried)]


def polled_streams(exchange: Exchange, streams: Iterable[Stream]) -> dict[str, list[Stream]]:
    """Return the streams of each route without connections."""
    return _by_route(exchange, streams, are_polled=True)


def _by_route(exchange: Exchange, streams: Iterable[Stream], *, are_polled: bool) -> dict[str, list[Stream]]:
    routes: dict[str, list[Stream]] = {}
    for stream in streams:
        route = exchange.route(stream)
        if (exchange.routes[route].polled_every_s is not None) is are_polled:
            routes.setdefault(route, []).append(stream)
    return routes


def _connections(exchange: Exchange, route: str, streams: Sequence[Stream]) -> list[PlannedConnection]:
    limit = exchange.routes[route].streams_per_connection
    if limit is None or len(streams) <= limit:
        return [PlannedConnection(route, route, streams)]
    ordered = sorted(streams)
    groups = [ordered[at : at + limit] for at in range(0, len(ordered), limit)]
    return [PlannedConnection(f"{route}/{number}", route, group) for number, group in enumerate(groups, 1)]
