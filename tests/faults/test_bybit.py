"""Each fault with Bybit, whose trade ids are not dense: all trades are there, or in a gap with both times."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from msgspec.structs import replace

import unnumbered_evidence
from collector_program import document, program, stored, verified
from collector_thread import ListSink, collector_thread, settings_for
from exchange_words import BYBIT
from fault_cases import AGAIN, CUT, GAP, LOSE, REPAIRED, Case, cases
from market_collector.exchanges.bybit import answers
from market_collector.exchanges.bybit.exchange import Bybit
from market_collector.exchanges.interface import Heartbeat
from market_collector.model.schema_0 import record_decoder
from market_collector.verify.merge import streams
from market_collector.verify.report import RangeState
from replica_checks import check
from simulator_process import Simulator, simulator
from truth import SIDES, Tracked, Truth

pytestmark = [pytest.mark.faults]
SYMBOLS = ("BTC-USDT", "BTC-USDT-PERP")
WORKERS = 4
DEPTH = 200
SKEWED = frozenset({"skew-ahead", "skew-behind"})
SKEW_NS = 5_000_000_000
WITHOUT_STATES = SKEWED | {"crossed", "crossed-briefly", "crossed-in-an-auction", "sequence-reset"}
"""Cases after which the truth does not have all states of the book by time."""


def of_bybit(case: Case) -> Case:
    """The case with its effects here. A lost message of trades shows nothing, so a cut connection takes its place."""
    loses = case.name.startswith(("rest-", "skew-"))
    calls = [CUT if call == LOSE and loses else call for call in case.calls]
    shows = AGAIN if loses else () if set(case.shows) & {*GAP, *REPAIRED} else case.shows
    return Case(case.name, calls, shows)


NOT_HERE = frozenset({"notice", "rest-partial"})
"""Bybit announces no end of a connection. A page that lacks rows between others cannot be noticed without dense ids."""
CASES = [of_bybit(case) for case in cases(BYBIT) if case.name not in NOT_HERE]


@pytest.fixture(scope="module", autouse=True)
def _impatience() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answers, "BUSY_PAUSE_S", 0.5)
        beat = Heartbeat(ping=Bybit.heartbeat.ping, max_interval_s=1.0, always=True, dead_after_s=1.5)
        patch.setattr(Bybit, "heartbeat", beat)
        yield


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[None]]]:
    """All selected cases, started at once. Each has its own simulator while it runs."""
    chosen = {item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")}
    with ExitStack() as stack:
        exchanges: SimpleQueue[Simulator] = SimpleQueue()
        for seed in range(WORKERS):
            market = ("--market", str(seed), "--symbols", ",".join(SYMBOLS), "--rate", "40", "--start", "now")
            exchanges.put(stack.enter_context(simulator(*market, exchange="bybit")))
        pool = stack.enter_context(ThreadPoolExecutor(WORKERS))
        yield {case.name: pool.submit(in_turn, exchanges, case) for case in CASES if case.name in chosen}


def in_turn(exchanges: "SimpleQueue[Simulator]", case: Case) -> None:
    exchange = exchanges.get()
    try:
        try_out(exchange, case)
    finally:
        exchange.clear_faults()
        exchanges.put(exchange)


def try_out(exchange: Simulator, case: Case) -> None:
    """Run a collector with one fault, and check its output."""
    sink = ListSink()
    settings = replace(settings_for(exchange), symbols=SYMBOLS)
    with collector_thread(settings, sink) as collector:
        collector.is_served()
        before = collector.status()["counters"]
        case.happen(exchange)
        time.sleep(1.0)
        collector.comes(lambda status: shows(case, before, status["counters"]), 15, f"{case.name} shows {case.shows}")
        exchange.clear_faults()
        collector.stop()
    assert (collector.left, collector.complaints) == ([], [])
    check_verdict(sink.lines)
    records = sink.output()
    for symbol in SYMBOLS:
        of_symbol = [record for record in records if record["symbol"] == symbol]
        unnumbered_evidence.check_gaps(of_symbol)
        fills = exchange.lines(f"/truth/trades?symbol={symbol}")
        skew_ns = SKEW_NS if case.name in SKEWED else 0
        unnumbered_evidence.check_trades(of_symbol, fills, swallowed(exchange, symbol, fills), skew_ns=skew_ns)
        if case.name not in WITHOUT_STATES:
            unnumbered_evidence.check_books(of_symbol, states(exchange, symbol))


def check_verdict(lines: list[bytes]) -> None:
    """Check that `market-collector verify` finds an account of each interruption, and each record once."""
    for report in streams([check("pod", *map(record_decoder(), lines))]):
        assert not report.counts[RangeState.UNREPORTED], report.reckoning.missing_ranges
        assert not report.reckoning.findings, report.reckoning.findings
        assert not report.reckoning.duplicates, report.stream


def swallowed(exchange: Simulator, symbol: str, fills: list[Any]) -> set[str]:
    """The ids of fills in messages that nobody got."""
    numbers = Truth(exchange, symbol).swallowed()
    return {fill["execId"] for fill in fills if BYBIT.read_fill(fill).id in numbers}


def states(exchange: Simulator, symbol: str) -> dict[int, set[int]]:
    """The digests of the windows of all states by time."""
    found: dict[int, set[int]] = {}
    changes = exchange.stream(f"/truth/changes?symbol={symbol}")
    first = next(changes)
    state = exchange.get(f"/truth/book?symbol={symbol}&sequence={first['sequence']}")
    book = Tracked({side: {price: amount for price, amount, *_ in state[side]} for side in SIDES})
    found.setdefault(int(first["ts"]) * 1_000_000, set()).add(unnumbered_evidence.window(book.sides, DEPTH))
    for change in changes:
        book.apply(change)
        found.setdefault(int(change["ts"]) * 1_000_000, set()).add(unnumbered_evidence.window(book.sides, DEPTH))
    return found


def shows(case: Case, before: dict[str, Any], now: dict[str, Any]) -> bool:
    return all(now[name] > before[name] for name in case.shows)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_nothing_is_lost_or_wrong_after(name: str, outcomes: dict[str, Future[None]]) -> None:
    outcomes[name].result(250)


def test_killed_collector_accounts_for_each_interruption(tmp_path: Path) -> None:
    """It is killed while it streams, and while a gap is open. The next process reads its output back."""
    data, state = tmp_path / "data", tmp_path / "state"
    data.mkdir()
    market = ("--market", "9", "--symbols", SYMBOLS[0], "--rate", "20", "--start", "now")
    with simulator(*market, exchange="bybit") as exchange:
        sinks = [{"name": "files", "type": "file", "file": {"directory": str(data)}}]
        spec = document(exchange, dataTypes=["trade", "orderbook"], sinks=sinks)
        for fault in ("", "refuse", ""):
            with program(tmp_path, spec, "--state-dir", str(state)) as collector:
                collector.comes_to_rest(within_s=60)
                if fault:
                    exchange.post(f"/faults/{fault}", {"status": 503, "count": 1_000})
                    exchange.post("/faults/drop", {})
                    time.sleep(1.0)
                collector.process.kill()
                collector.process.wait(5)
            exchange.clear_faults()
        with program(tmp_path, spec, "--state-dir", str(state)) as collector:
            collector.comes_to_rest(within_s=60)
            assert collector.stop() == 0
        records = stored(data)
        fills = exchange.lines(f"/truth/trades?symbol={SYMBOLS[0]}")
        unnumbered_evidence.check_trades(records, fills, set())
        unnumbered_evidence.check_books(records, states(exchange, SYMBOLS[0]))
    (trades,) = [each for each in verified(data)["streams"] if each["stream"].endswith("/trade")]
    assert (trades["holes"]["unreported"], trades["duplicates"], trades["findings"]) == (0, 0, [])
