"""The catalogue of an exchange: all instruments that can be collected, from requests of its REST API."""

import ssl
import time
from functools import partial

from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import Exchange, Request
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
        answers = [fetch(exchange.rest_api.instruments(kind)) for kind in CAPABILITIES[exchange.name].kinds]
        found = [exchange.rest_api.read_instruments(None, answer.body, time.time_ns()) for answer in answers]
    except (RequestFailedError, FrameError) as error:
        raise RequestFailedError(f"the instruments of {exchange.name} cannot be listed: {error}") from error
    return sorted((each for group in found for each in group), key=lambda each: str(each.symbol))


def _fetch(exchange: Exchange, rest_endpoint: str | None, request: Request) -> RestAnswer:
    base = (rest_endpoint or exchange.hosts[request.host]).rstrip("/")
    tls = ssl.create_default_context() if base.startswith("https:") else None
    return fetch_in_turn(base, request, exchange.rest_api, tls)
