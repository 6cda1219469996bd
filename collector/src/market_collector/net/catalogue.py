"""The catalogue of an exchange: all instruments that can be collected, from requests of its REST API."""

import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial

from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import Exchange, Request, RestApi
from market_collector.model.events import Instrument
from market_collector.net.rest import RestAnswer, fetch_in_turn
from market_spec.exchanges import CAPABILITIES


def catalogue(exchange: Exchange, rest_endpoint: str | None = None) -> list[Instrument]:
    """Request all instruments, sorted by symbol; blocks the thread. The requests keep the budgets of the process.

    Args:
        exchange: the exchange.
        rest_endpoint: base address instead of the exchange's own.

    Raises:
        RequestFailedError: there was no answer, or an unreadable one.
    """
    fetch = partial(_fetch, exchange, rest_endpoint)
    try:
        pages = [page for kind in CAPABILITIES[exchange.name].kinds for page in _pages(exchange.rest_api, kind, fetch)]
        found = [exchange.rest_api.read_instruments(None, page, time.time_ns()) for page in pages]
    except (RequestFailedError, FrameError) as error:
        raise RequestFailedError(f"the instruments of {exchange.name} cannot be listed: {error}") from error
    return sorted((each for group in found for each in group), key=lambda each: str(each.symbol))


def _pages(rest_api: RestApi, kind: str, fetch: Callable[[Request], RestAnswer]) -> Iterator[bytes]:
    """Request all pages of the list of one kind of instruments."""
    request: Request | None = rest_api.instruments(kind)
    while request is not None:
        body = fetch(request).body
        yield body
        request = rest_api.more_instruments(body)


def _fetch(exchange: Exchange, rest_endpoint: str | None, request: Request) -> RestAnswer:
    base = (rest_endpoint or exchange.hosts[request.host]).rstrip("/")
    tls = ssl.create_default_context() if base.startswith("https:") else None
    return fetch_in_turn(base, request, exchange.rest_api, tls)
