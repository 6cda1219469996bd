"""Quotes of a running collector equal the simulator's top of book."""

import time
from collections.abc import Iterator

import pytest

import evidence
from collector_settings import settings_of
from collector_thread import ListSink, collector_thread
from exchange_words import ALL_WORDS, OKX
from market_collector.model.streams import DataType
from simulator_process import MARKET, Simulator, simulator
from truth import Truth

pytestmark = pytest.mark.simulator


@pytest.fixture(params=ALL_WORDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with simulator(*MARKET, exchange=request.param) as running:
        yield running


def test_quotes_equal_the_top_of_the_exchanges_book_after_faults(exchange: Simulator) -> None:
    sink = ListSink()
    settings = settings_of(
        exchange.websocket, DataType.ORDERBOOK, DataType.QUOTE, rest=exchange.rest, sinks=(), backoff_initial_s=0.05,
        exchange=exchange.words.name,
    )  # fmt: skip
    with collector_thread(settings, sink) as collector:
        collector.is_served()
        for _ in range(2):
            _quotes_come(sink, 20)
            connection = exchange.get("/state")["connections"][0]["id"]
            exchange.post("/faults/drop", {"connection": connection})
            collector.is_served()
        _quotes_come(sink, 20)
        collector.stop()
    records = sink.output()
    evidence.check_books(records, Truth(exchange))
    evidence.check_quotes(records)
    quotes, books = evidence.of_type(records, "quote"), evidence.of_type(records, "orderbook")
    assert len(evidence.of_type(records, "gap")) == 2
    assert 60 < len(quotes) <= len(books)
    if exchange.words.name == OKX.name:  # others batch changes, so that each update may change the best prices
        assert len(quotes) < len(books)


def _quotes_come(sink: ListSink, count: int) -> None:
    deadline, wanted = time.monotonic() + 30, len(evidence.of_type(sink.output(), "quote")) + count
    while len(evidence.of_type(sink.output(), "quote")) < wanted:
        assert time.monotonic() < deadline
        time.sleep(0.02)
