"""A book that is crossed in a call auction: the records say so, and `verify` believes nothing else."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import verified
from collector_thread import CollectorThread, ListSink, collector_thread, settings_for
from exchange_words import ALL_WORDS
from market_collector.feed import book_sync
from simulator_process import Simulator, simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
CROSSED_S = 3.5
"""Longer than `verify` allows."""
NAME = "BTC-USDT/orderbook"


@pytest.mark.parametrize("name", ALL_WORDS)
def test_records_tell_verify_of_an_auction(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_sync, "AUCTION_RECHECK_S", 0.5)
    market = ("--market", "3", "--symbols", "BTC-USDT", "--rate", "200", "--start", "now")
    sink = ListSink()
    with simulator(*market, exchange=name) as exchange, collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        exchange.post("/faults/crossed", {"symbol": exchange.words.symbol, "seconds": CROSSED_S, "preopen": True})
        time.sleep(CROSSED_S)
        collector.comes(lambda status: statuses(sink)[-1] == "trading", 10, "the auction is over")
        cross_without_auction(exchange, collector)
        collector.stop()
        records = sink.output()
        evidence.check(records, Truth(exchange))
    assert statuses(sink) == ["trading", ALL_WORDS[name].paused, "trading"]
    evidence.check_verdict(verdict(tmp_path / "whole", records))
    unexplained = [each for each in records if each["type"] != "instrument"]
    assert [each["kind"] for each in findings(verdict(tmp_path / "without", unexplained))] == ["Crossed"]


def cross_without_auction(exchange: Simulator, collector: CollectorThread) -> None:
    """The collector finds the crossing, and publishes no such book."""
    before = collector.status()["counters"]["resyncs"]
    exchange.post("/faults/crossed", {"symbol": exchange.words.symbol, "seconds": CROSSED_S})
    collector.comes(lambda status: status["counters"]["resyncs"] > before, 15, "the crossing is found")
    time.sleep(CROSSED_S)


def statuses(sink: ListSink) -> list[str]:
    return [each["status"] for each in evidence.of_type(sink.output(), "instrument")]


def verdict(folder: Path, records: list[Any]) -> Any:
    """The verdict of `verify` for these records."""
    folder.mkdir()
    (folder / "records.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    return verified(folder)


def findings(document: Any) -> list[Any]:
    return [each for stream in document["streams"] if stream["stream"] == NAME for each in stream["findings"]]
