"""The registry of exchanges and the source of the spec agree on what an exchange offers."""

from urllib.parse import urlsplit

import pytest

from market_collector.exchanges import EXCHANGES
from market_collector.model.streams import DataType
from market_spec.exchanges import CAPABILITIES, DATA_TYPES, INTERVALS


@pytest.mark.parametrize("name", sorted({*EXCHANGES, *CAPABILITIES}))
def test_the_spec_has_the_capabilities_of_each_exchange(name: str) -> None:
    exchange, offer = EXCHANGES[name], CAPABILITIES[name]
    assert sorted(exchange.offers) == sorted(offer.data_types)
    assert sorted(exchange.book_depths) == sorted(offer.depths)
    assert sorted(exchange.candle_intervals) == sorted(INTERVALS)
    hosts = exchange.hosts
    assert (port(hosts["websocket"]), port(hosts["rest"])) == (offer.websocket_port, offer.rest_port)


def port(address: str) -> int:
    return urlsplit(address).port or 443


def test_the_collector_knows_every_data_type() -> None:
    assert sorted(DATA_TYPES) == sorted(DataType)
