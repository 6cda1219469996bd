"""Books of which an exchange shows only the best levels: nothing beyond them is published, and they are renewed."""

import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

import evidence
from book_ranges import check_known_books
from collector_thread import ListSink, collector_thread, settings_for
from exchange_words import BINANCE
from fault_cases import BOOKS, CUT, Call
from market_collector.feed import book_sync
from market_collector.model.streams import DataType
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]
DEPTH = 50
"""The snapshot has twice as many of the market's 400 levels."""
FAULTS: list[Call] = [("lose", BOOKS | {"count": 1}), CUT, ("notice", {"seconds": 4})]


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    market = ("--market", "37", "--symbols", "BTC-USDT", "--rate", "1000", "--start", "now")
    with simulator(*market, exchange=BINANCE.name) as running:
        yield running


def test_book_has_all_levels_down_to_its_worst_one(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_sync, "RENEWAL_S", 0.5)
    sink = ListSink()
    settings = replace(settings_for(exchange), data_types=(DataType.ORDERBOOK,), book_depth=DEPTH)
    with collector_thread(settings, sink) as collector:
        for fault, body in FAULTS:
            time.sleep(2)
            collector.is_served()
            exchange.post(f"/faults/{fault}", body)
            time.sleep(1)
        exchange.clear_faults()
        collector.stop()
    records = sink.output()
    check_known_books(records, Truth(exchange))
    books, gaps = evidence.of_type(records, "orderbook"), evidence.of_type(records, "gap")
    starts = [book for book in books if book["action"] == "snapshot"]
    assert {(len(book["bids"]), len(book["asks"])) for book in starts[:1]} == {(2 * DEPTH, 2 * DEPTH)}
    reasons = [gap["reason"] for gap in gaps if gap["reason"] != "OutOfRange"]  # a slow machine may be left behind
    assert reasons == ["SequenceGap", "Disconnected"], "of the first two faults"
    assert len(starts) > 1 + len(gaps) + 1, "one for the successor, and renewals"
