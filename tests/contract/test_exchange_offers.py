"""The registry of exchanges and the source of the spec agree on what an exchange offers."""

from urllib.parse import urlsplit

import pytest

from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import Exchange
from market_collector.model.streams import DataType, Stream
from market_spec.exchanges import CAPABILITIES, DATA_TYPES
from market_spec.names import FUTURE, PERPETUAL, SPOT


@pytest.mark.parametrize("name", sorted({*EXCHANGES, *CAPABILITIES}))
def test_the_spec_has_the_capabilities_of_each_exchange(name: str) -> None:
    exchange, offer = EXCHANGES[name], CAPABILITIES[name]
    assert sorted(exchange.offers) == sorted(offer.data_types)
    assert sorted(exchange.book_depths) == sorted(offer.depths)
    assert sorted(exchange.candle_intervals) == sorted(offer.intervals)
    hosts = exchange.hosts
    assert (port(hosts["websocket"]), port(hosts["rest"])) == (offer.websocket_port, offer.rest_port)
    assert {port(address) for address in hosts.values()} == {offer.websocket_port, offer.rest_port}, "NetworkPolicy"


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_every_route_has_a_host_for_connections(exchange: Exchange) -> None:
    hosts = [exchange.hosts[route.host] for route in exchange.routes.values()]
    assert all(address.startswith("wss://") for address in hosts)
    streams = [Stream("BTC-USDT", data_type, "1m" * (data_type is DataType.CANDLE)) for data_type in exchange.offers]
    assert {exchange.route(stream) for stream in streams} <= set(exchange.routes)


@pytest.mark.parametrize("exchange", EXCHANGES.values(), ids=EXCHANGES)
def test_streams_of_a_route_have_instruments_of_one_kind(exchange: Exchange) -> None:
    """Because lists of instruments and overviews are about one kind."""
    symbols = {SPOT: "BTC-USDT", PERPETUAL: "BTC-USDT-PERP", FUTURE: "BTC-USDT-270326"}
    routes = [
        (exchange.route(Stream(symbols[kind], data_type, "1m" * (data_type is DataType.CANDLE))), kind)
        for kind in CAPABILITIES[exchange.name].kinds
        for data_type in exchange.offers - {DataType.BALANCE, DataType.QUOTE}
    ]
    assert len(dict(routes)) == len(set(routes))
    assert {route for route, _ in routes} <= set(exchange.routes)


def port(address: str) -> int:
    return urlsplit(address).port or 443


def test_the_collector_knows_every_data_type() -> None:
    assert sorted(DATA_TYPES) == sorted(DataType)
