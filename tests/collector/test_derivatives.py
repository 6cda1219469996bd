"""Funding rates, mark prices, open interest and liquidations of a running collector equal the simulator's.

Funding is paid 10 s after the start of the market.
"""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collector_program import Program, document, program, verified
from simulator_process import Simulator, simulator

pytestmark = pytest.mark.simulator
NATIVE, PERP = "BTC-USDT-SWAP", "BTC-USDT-PERP"
TYPES = ["funding", "markprice", "openinterest", "liquidation"]
MARKET = ("--market", "7", "--symbols", f"{NATIVE},BTC-USDT", "--rate", "200", "--start", "2026-01-01T07:59:50Z")
PAID_NS = 1_767_254_400_000_000_000
"""2026-01-01T08:00:00Z."""
LOSSLESS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "notice": [("notice", {"seconds": 2})],
    "duplicate": [("duplicate", {"count": 100})],
    "latency": [("latency", {"milliseconds": 700, "seconds": 2})],
}
"""Faults after which no record may be missing."""
FAULTS: dict[str, list[tuple[str, dict[str, Any]]]] = LOSSLESS | {
    "drop": [("drop", {})],
    "reorder": [("reorder", {"channel": "markprice", "count": 5})],
    "silence": [("silence", {"channel": "markprice", "seconds": 8})],
    "lose": [("lose", {"count": 20})],
    "corrupt": [("corrupt", {"damage": "json", "count": 10})],
    "subscribe-error": [("subscribe-error", {"code": "63999", "count": 2}), ("drop", {})],
}


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


def config(exchange: Simulator) -> dict[str, Any]:
    return document(exchange, symbol=PERP, dataTypes=TYPES)


def of_type(records: list[Any], kind: str) -> list[Any]:
    return [record for record in records if record["type"] == kind]


def counts(collector: Program) -> dict[str, int]:
    records = collector.records()
    return {kind: len(of_type(records, kind)) for kind in TYPES}


def facts(exchange: Simulator, kind: str) -> list[Any]:
    return exchange.lines(f"/truth/contract?symbol={NATIVE}&type={kind}")


Fact = tuple[Any, ...]
"""The time in milliseconds, and values."""


def marks(rows: list[Any]) -> list[Fact]:
    return [(row["exchange_time_ns"] // 1_000_000, row["mark_price"]) for row in rows]


def interests(rows: list[Any]) -> list[Fact]:
    return [(row["exchange_time_ns"] // 1_000_000, float(row["amount"])) for row in rows]


def rates(rows: list[Any]) -> list[Fact]:
    predicted = [row for row in rows if row["kind"] == "predicted"]
    return [(row["exchange_time_ns"] // 1_000_000, row["rate"], str(row["funding_time_ns"])) for row in predicted]


def check_states(found: list[Fact], truth: list[Fact], *, is_whole: bool) -> None:
    """Each published state is the exchange's, once and in order; with ``is_whole`` none is missing."""
    assert found
    assert all(before[0] < after[0] for before, after in pairwise(found))
    first, last = truth.index(found[0]), truth.index(found[-1])
    missing = set(truth[first:last]) - set(found)
    assert set(found) <= set(truth)
    assert not missing or not is_whole


def check_settled(records: list[Any], truth: list[Any]) -> None:
    """The rate of each payment comes once, also of the one that was before the start."""
    settled = {row["funding_time_ns"]: row["rate"] for row in records if row["kind"] == "settled"}
    assert len(settled) == sum(row["kind"] == "settled" for row in records)
    assert max(settled) == PAID_NS
    assert settled[PAID_NS] == truth[-1]["settled"]


def check_liquidations(records: list[Any], truth: list[Any], *, is_whole: bool) -> None:
    """Each is the largest of its second."""
    by_second: dict[int, list[Any]] = {}
    for row in truth:
        by_second.setdefault(row["ts_ms"] // 1000, []).append(row)
    found = {record["exchange_time_ns"] // 1_000_000_000: record for record in records}
    assert len(found) == len(records) > 0
    for second, record in found.items():
        assert float(record["amount"]) == max(float(row["contracts"]) for row in by_second[second])
        assert record["complete"] is False
        assert record["position"] == ("long" if record["side"] == "sell" else "short")
    missing = {second for second in by_second if min(found) <= second <= max(found)} - set(found)
    assert not missing or not is_whole


@pytest.mark.parametrize("fault", FAULTS)
def test_data_of_derivatives_equals_the_exchanges(exchange: Simulator, tmp_path: Path, fault: str) -> None:
    with program(tmp_path, config(exchange)) as collector:
        collector.comes(collector.is_ready)
        for name, body in FAULTS[fault]:
            exchange.post(f"/faults/{name}", body)
        collector.comes(
            lambda: any(row["funding_time_ns"] > PAID_NS for row in of_type(collector.records(), "funding"))
        )
        before = counts(collector)
        collector.comes(lambda: all(n > before[kind] for kind, n in counts(collector).items() if kind != "funding"))
        collector.comes_to_rest(30)
        truth = {kind: facts(exchange, kind) for kind in TYPES}
        assert collector.stop() == 0
    is_whole = fault in LOSSLESS
    end_ms = truth["markprice"][-1]["ts_ms"]
    records = [row for row in collector.records() if (row["exchange_time_ns"] or 0) <= end_ms * 1_000_000]
    made = {kind: of_type(records, kind) for kind in TYPES}
    check_states(marks(made["markprice"]), [(r["ts_ms"], r["price"]) for r in truth["markprice"]], is_whole=is_whole)
    amounts = [(row["ts_ms"], float(row["contracts"])) for row in truth["openinterest"]]
    check_states(interests(made["openinterest"]), amounts, is_whole=is_whole)
    due = [(row["ts_ms"], row["rate"], str(row["due_ms"] * 1_000_000)) for row in truth["funding"]]
    check_states(rates(made["funding"]), due, is_whole=is_whole)
    check_settled(made["funding"], truth["funding"])
    check_liquidations(made["liquidation"], truth["liquidation"], is_whole=is_whole)
    report = verified(collector.output)
    assert report["verdict"] == "complete", report
    assert {each["stream"] for each in report["streams"]} == {f"{PERP}/{kind}" for kind in TYPES}
