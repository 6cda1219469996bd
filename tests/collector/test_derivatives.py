"""Funding rates, mark prices, open interest and liquidations of a running collector equal the simulator's.

Funding is paid 5 s after the start of the market.
"""

from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collector_program import Program, document, program, verified
from exchange_words import ALL_WORDS, BINANCE, BYBIT
from market_spec.exchanges import CAPABILITIES
from simulator_process import Simulator, simulator

pytestmark = pytest.mark.simulator
PERP = "BTC-USDT-PERP"
TYPES = ["funding", "markprice", "openinterest", "liquidation"]
MARKET = ("--market", "7", "--symbols", f"{PERP},BTC-USDT", "--rate", "200", "--start", "2026-01-01T07:59:55Z")
PAID_NS = 1_767_254_400_000_000_000
"""2026-01-01T08:00:00Z."""
LOSSLESS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "notice": [("notice", {"seconds": 4})],
    "duplicate": [("duplicate", {"count": 100})],
    "latency": [("latency", {"milliseconds": 700, "seconds": 2})],
}
"""Faults after which no record may be missing."""
FAULTS: dict[str, list[tuple[str, dict[str, Any]]]] = LOSSLESS | {
    "drop": [("drop", {})],
    "reorder": [("reorder", {"channel": "markprice", "count": 5, "seconds": 3})],
    "silence": [("silence", {"channel": "markprice", "seconds": 8})],
    "lose": [("lose", {"count": 20, "seconds": 2})],
    "corrupt": [("corrupt", {"damage": "json", "count": 10, "seconds": 2})],
    "subscribe-error": [("subscribe-error", {"count": 2}), ("drop", {})],
}
LOST_MESSAGES = {"reorder", "silence", "lose", "corrupt"}
"""Bybit's tickers are changes without numbers: a lost one is not noticed."""
VENUES = [name for name in ALL_WORDS if set(TYPES) <= set(CAPABILITIES[name].data_types)]
CASES = [(venue, fault) for venue in VENUES for fault in FAULTS if venue != BYBIT.name or fault not in LOST_MESSAGES]


@pytest.fixture
def exchange(venue: str) -> Iterator[Simulator]:
    with simulator(*MARKET, exchange=venue) as running:
        yield running


def config(exchange: Simulator) -> dict[str, Any]:
    return document(exchange, symbol=PERP, dataTypes=TYPES)


def of_type(records: list[Any], kind: str) -> list[Any]:
    return [record for record in records if record["type"] == kind]


def counts(collector: Program) -> dict[str, int]:
    records = collector.records()
    return {kind: len(of_type(records, kind)) for kind in TYPES}


def facts(exchange: Simulator, kind: str) -> list[Any]:
    return exchange.lines(f"/truth/contract?symbol={PERP}&type={kind}")


State = tuple[int, Any]
"""The time in milliseconds, and values."""


def made(records: list[Any]) -> dict[str, list[State]]:
    """The published states by type."""
    predicted = [row for row in of_type(records, "funding") if row["kind"] == "predicted"]
    return {
        "markprice": [(time_ms(row), float(row["mark_price"])) for row in of_type(records, "markprice")],
        "openinterest": [(time_ms(row), float(row["amount"])) for row in of_type(records, "openinterest")],
        "funding": [(time_ms(row), (round(float(row["rate"]), 8), row["funding_time_ns"])) for row in predicted],
    }


def expected(truth: dict[str, list[Any]], venue: str) -> dict[str, list[State]]:
    """The states that the exchange publishes, by type."""
    rates = [(row["ts_ms"], (round(float(row["rate"]), 8), row["due_ms"] * 1_000_000)) for row in truth["funding"]]
    marks = [(row["ts_ms"], float(row["price"])) for row in truth["markprice"]]
    return {
        "markprice": of_seconds(marks) if venue == BINANCE.name else marks,
        "openinterest": [(row["ts_ms"], float(row["contracts"])) for row in truth["openinterest"]],
        "funding": rates,
    }


def of_seconds(states: list[State]) -> list[State]:
    """The states at each full second, as Binance publishes them."""
    times = [time for time, _ in states]
    seconds = range(times[0] // 1000 + 1, times[-1] // 1000 + 1)
    return [(second * 1000, states[bisect_right(times, second * 1000) - 1][1]) for second in seconds]


def time_ms(record: Any) -> int:
    return int(record["exchange_time_ns"] // 1_000_000)


def check_states(found: list[State], truth: list[State], *, is_whole: bool) -> None:
    """Each published state is the exchange's at that time, and in order; with ``is_whole`` none is missing."""
    assert found
    assert all(before[0] < after[0] for before, after in pairwise(found))
    times = [time for time, _ in truth]
    for time, value in found:
        assert value == truth[bisect_right(times, time) - 1][1]
    missing = {time for time in times if found[0][0] < time < found[-1][0]} - {time for time, _ in found}
    assert not missing or not is_whole


def check_settled(records: list[Any], truth: list[Any]) -> None:
    """The rate of each payment comes once, also of the one that was before the start."""
    settled = {row["funding_time_ns"]: row["rate"] for row in records if row["kind"] == "settled"}
    assert len(settled) == sum(row["kind"] == "settled" for row in records)
    assert max(settled) == PAID_NS
    assert Decimal(settled[PAID_NS]) == Decimal(truth[-1]["settled"])


def check_liquidations(records: list[Any], truth: list[Any], *, is_partial: bool, is_whole: bool) -> None:
    """Each is the exchange's, and there once; with ``is_partial`` only the largest of a second are."""
    rows = largest_of_seconds(truth) if is_partial else truth
    wanted = {(row["ts_ms"], float(row["contracts"]), row["side"]) for row in rows}
    found = [(time_ms(record), float(record["amount"]), record["side"]) for record in records]
    assert len(found) == len(set(found)) > 0
    assert set(found) <= wanted
    assert {record["complete"] for record in records} == {not is_partial}
    assert all(record["position"] == {"sell": "long", "buy": "short"}[record["side"]] for record in records)
    missing = {row for row in wanted if found[0] < row < found[-1]} - set(found)
    assert not missing or not is_whole


def largest_of_seconds(truth: list[Any]) -> list[Any]:
    largest: dict[int, Any] = {}
    for row in truth:
        second = row["ts_ms"] // 1000
        if second not in largest or float(row["contracts"]) >= float(largest[second]["contracts"]):
            largest[second] = row
    return list(largest.values())


@pytest.mark.parametrize(("venue", "fault"), CASES)
def test_data_of_derivatives_equals_the_exchanges(exchange: Simulator, tmp_path: Path, fault: str) -> None:
    with program(tmp_path, config(exchange)) as collector:
        collector.comes(collector.is_ready)
        for name, body in FAULTS[fault]:
            code = {"code": exchange.words.temporary_error} if name == "subscribe-error" else {}
            exchange.post(f"/faults/{name}", body | code)
        collector.comes(
            lambda: any(row["funding_time_ns"] > PAID_NS for row in of_type(collector.records(), "funding"))
        )
        before = counts(collector)
        collector.comes(lambda: all(n > before[kind] for kind, n in counts(collector).items() if kind != "funding"))
        collector.comes_to_rest(30)
        truth = {kind: facts(exchange, kind) for kind in TYPES}
        assert collector.stop() == 0
    is_whole, name = fault in LOSSLESS, exchange.words.name
    end_ns = truth["markprice"][-1]["ts_ms"] * 1_000_000
    records = [row for row in collector.records() if (row["exchange_time_ns"] or 0) <= end_ns]
    states = expected(truth, name)
    for kind, found in made(records).items():
        is_polled = name == BINANCE.name and kind == "openinterest"
        check_states(found, states[kind], is_whole=is_whole and not is_polled)
    if name != BYBIT.name:
        check_settled(of_type(records, "funding"), truth["funding"])
    is_partial = "liquidation" in CAPABILITIES[name].partial_types
    liquidations = of_type(records, "liquidation")
    check_liquidations(liquidations, truth["liquidation"], is_partial=is_partial, is_whole=is_whole)
    report = verified(collector.output)
    assert report["verdict"] == "complete", report
    assert {each["stream"] for each in report["streams"]} == {f"{PERP}/{kind}" for kind in TYPES}
