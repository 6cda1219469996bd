"""Trades that the exchange no longer has are reported as lost with their ids, and all others are backfilled."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

import evidence
from collector_thread import ListSink, collector_thread, settings_for
from exchange_words import WORDS
from fault_cases import CUT, LOSE, Call
from market_collector.feed import backfill
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", autouse=True)
def _gives_up_soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backfill, "GIVE_UP_AFTER_S", 1.5)
        patch.setattr(backfill, "GIVE_UP_ANSWERS", 3)
        yield


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"history {name}")) for name in WORDS]
)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    market = ("--market", "11", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now")
    with simulator(*market, exchange=request.param) as running:
        yield running


def live(exchange: Simulator, calls: Iterable[Call]) -> list[Any]:
    """Run a collector with faults, and return its records. All gaps are closed before the faults end."""
    sink = ListSink()
    try:
        with collector_thread(settings_for(exchange), sink) as collector:
            collector.is_served()
            for fault, body in calls:
                exchange.post(f"/faults/{fault}", body)
            collector.comes(lambda status: status["counters"]["gapsDetected"] > 0)
            time.sleep(1.0)
            status = collector.stop()
    finally:
        exchange.clear_faults()
    records = sink.output()
    evidence.check(records, Truth(exchange))
    evidence.check_counters(records, status["counters"])
    return records


def newest(exchange: Simulator) -> int:
    """The id of the newest trade."""
    return int(exchange.get("/truth/summary")["symbols"]["BTC-USDT"]["lastTradeId"])


def test_trades_missing_from_history_are_lost_id_by_id(exchange: Simulator) -> None:
    before = Truth(exchange).swallowed()
    some = ("lose", {"channel": "trade", "chance": 0.3, "seed": 5, "seconds": 1})
    gone = {"symbol": "BTC-USDT", "swallowed": True}
    records = live(exchange, [("no-history", gone), LOSE, some])
    assert evidence.lost_numbers(records, "/trade") == Truth(exchange).swallowed() - before


def test_gap_half_in_history_is_half_lost(exchange: Simulator) -> None:
    def calls() -> Iterator[Call]:
        yield "lose", {"channel": "trade", "seconds": 60}
        before = newest(exchange)
        yield "no-history", {"symbol": "BTC-USDT", "from": before + 20, "to": before + 39}
        while newest(exchange) < before + 60:
            time.sleep(0.05)
        exchange.clear_faults("lose")

    records = live(exchange, calls())
    assert len(evidence.lost_numbers(records, "/trade")) == 20
    assert sum(record["recovered"] for record in evidence.of_type(records, "lost") if record["ranges"]) > 20


def test_gap_without_history_is_lost_completely(exchange: Simulator) -> None:
    refuse: Call = ("refuse", {"status": 503, "seconds": 1})
    records = live(exchange, [("no-history", {"symbol": "BTC-USDT", "before": 1 << 60}), refuse, CUT])
    (end,) = [end for end in evidence.of_type(records, "lost") if end["ranges"]]
    assert (end["recovered"], len(end["ranges"])) == (0, 1)
    assert end["missing"] > 100  # more than a page of history


def test_restart_of_trade_ids_is_reported_and_open_gaps_are_lost(exchange: Simulator) -> None:
    sink = ListSink()
    with collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        exchange.post("/faults/rest", {"path": exchange.words.trade_history, "status": 500, "seconds": 60})
        exchange.post(*as_call(LOSE))
        collector.comes(lambda status: status["counters"]["gapsDetected"] > 0)
        exchange.post(*as_call(LOSE))
        time.sleep(0.3)
        exchange.post("/faults/sequence-reset", {"symbol": "BTC-USDT", "trades": True})
        collector.comes(lambda status: status["counters"]["lostTrades"] > 0)
        exchange.clear_faults()
        collector.stop()
    output = sink.output()
    (place,) = [
        n for n, record in enumerate(output) if record["type"] == "resync" and record["reason"] == "NumberingRestarted"
    ]
    before, after = (
        {evidence.trade_id(r) for r in evidence.of_type(part, "trade")} for part in (output[:place], output[place:])
    )
    lost = evidence.lost_numbers(output, "/trade")
    assert len(lost) >= 30
    assert not lost & before
    assert before | {number for number in lost if number <= max(before)} == set(range(min(before), max(before) + 1))
    assert after == set(range(min(after), max(after) + 1))
    assert max(after) < min(before)
    evidence.check_gaps(output)


def as_call(call: Call) -> tuple[str, dict[str, Any]]:
    fault, body = call
    return f"/faults/{fault}", body
