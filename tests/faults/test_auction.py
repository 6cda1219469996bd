"""A book that is crossed in a call auction: the records say so, and `verify` believes nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

import evidence
from collector_program import verified
from collector_thread import ListSink, collector_thread, settings_for
from exchange_words import MARKETS
from market_collector.feed import book_sync
from simulator_process import simulator
from truth import Truth

pytestmark = [pytest.mark.faults, pytest.mark.timeout(280)]
CROSSED_S = 3.5
"""Longer than `verify` allows."""


@pytest.mark.parametrize("name", MARKETS)
def test_records_tell_verify_of_an_auction(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_sync, "AUCTION_RECHECK_S", 0.5)
    words, sink = MARKETS[name], ListSink()
    market = ("--market", "3", "--symbols", words.symbol, "--rate", "200", "--start", "now")
    with simulator(*market, exchange=name) as exchange, collector_thread(settings_for(exchange), sink) as collector:
        collector.is_served()
        exchange.post("/faults/crossed", {"symbol": words.symbol, "seconds": CROSSED_S, "preopen": True})
        collector.comes(lambda status: statuses(sink)[-1] == words.paused, what="the auction is known")
        collector.comes(lambda status: statuses(sink)[-1] == "trading", CROSSED_S + 10, "the auction is over")
        collector.stop()
        records = sink.output()
        evidence.check(records, Truth(exchange, words.symbol))
    assert statuses(sink) == ["trading", words.paused, "trading"]
    evidence.check_verdict(verdict(tmp_path / "whole", records))
    unexplained = [each for each in records if each["type"] != "instrument"]
    assert [each["kind"] for each in findings(verdict(tmp_path / "without", unexplained))] == ["Crossed"]


def statuses(sink: ListSink) -> list[str]:
    return [each["status"] for each in evidence.of_type(sink.output(), "instrument")]


def verdict(folder: Path, records: list[Any]) -> Any:
    """The verdict of `verify` for these records."""
    folder.mkdir()
    (folder / "records.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    return verified(folder)


def findings(document: Any) -> list[Any]:
    return [each for stream in document["streams"] for each in stream["findings"]]
