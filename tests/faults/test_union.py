"""Two replicas with faults: their union by identity, and their coverage, are the truth for each type of record."""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

import evidence
from book_ranges import check_book_ranges, check_union
from collector_thread import CollectorThread, ListSink, collector_thread, settings_for
from cut_replicas import connections_of
from exchange_words import WORDS
from market_collector.config.settings import Settings
from market_collector.feed import backfill
from market_collector.model.events import AnyData
from market_collector.model.identity import identity, union
from market_collector.model.streams import DataType
from market_collector.verify import coverage
from simulator_process import Simulator, simulator
from truth import SIDES, Truth

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280)]
AWAY_S = 2.2
"""Longer than two candles."""
SECOND_NS = 1_000_000_000


@dataclass(frozen=True)
class Recorded:
    """Records of one market by two replicas with faults, and by one without."""

    exchange: Simulator
    outputs: list[list[Any]]
    """Of the two."""
    undisturbed: list[Any]
    folder: Path
    """Files of the two."""

    def of(self, kind: str) -> list[list[Any]]:
        """The records of one type in each of the two outputs."""
        return [evidence.of_type(output, kind) for output in self.outputs]

    def merged(self, kind: str) -> list[Any]:
        """Their union by identity."""
        records: list[Any] = msgspec.to_builtins(union(*map(typed, self.of(kind))))
        return records

    def covered(self, kind: str) -> list[tuple[int, int]]:
        """The intervals in which this type is whole."""
        return [(each.from_time_ns, each.to_time_ns) for each in coverage(self.folder, kind)]


def typed(records: list[Any]) -> list[AnyData]:
    return msgspec.convert(records, list[AnyData])


def every_type(exchange: Simulator, folder: Path) -> Settings:
    for name, text in exchange.words.key.items():
        (folder / name).write_text(text)
    settings = settings_for(exchange)
    data_types = (*settings.data_types, DataType.QUOTE, DataType.BALANCE)
    return msgspec.structs.replace(settings, data_types=data_types, secret_name="key", credentials_directory=folder)


@pytest.fixture(scope="module", params=WORDS)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Each of the two replicas is away for two candles, then both are. REST has neither the trades nor the candles."""
    keys, folder = tmp_path_factory.mktemp("keys"), tmp_path_factory.mktemp("files")
    market = ("--market", "17", "--symbols", "BTC-USDT", "--rate", "300", "--start", "now")
    sinks = [ListSink(name) for name in "abc"]
    with (
        pytest.MonkeyPatch.context() as patch,
        simulator(*market, exchange=request.param) as exchange,
    ):
        patch.setattr(backfill, "GIVE_UP_AFTER_S", 1.0)
        patch.setattr(backfill, "GIVE_UP_ANSWERS", 2)
        settings = every_type(exchange, keys)
        with ExitStack() as stack:
            undisturbed, first, second = (stack.enter_context(served(settings, sinks[at])) for at in (2, 0, 1))
            exchange.post("/faults/no-history", {"symbol": "BTC-USDT", "from": 0, "to": 1 << 60})
            exchange.post("/faults/rest", {"path": exchange.words.candle_history, "first": 0, "seconds": 300})
            for victims in ((first,), (second,), (first, second), (second,)):
                be_away(exchange, victims)
                for collector in (first, second):
                    collector.is_served()
            for collector in (first, second, undisturbed):
                collector.stop()
        exchange.clear_faults()
        first_output, second_output, whole = (sink.output() for sink in sinks)
        for sink in sinks[:2]:
            (folder / f"{sink.name}.jsonl").write_bytes(b"".join(sink.lines))
        yield Recorded(exchange, [first_output, second_output], whole, folder)


@contextmanager
def served(settings: Settings, sink: ListSink) -> Iterator[CollectorThread]:
    with collector_thread(settings, sink) as collector:
        collector.is_served()
        yield collector


def be_away(exchange: Simulator, victims: Iterable[CollectorThread]) -> None:
    """Cut the connections of these collectors, and refuse new ones for a while. The account changes meanwhile."""
    cut = [connection for each in connections_of(exchange, *victims) for connection in each]
    exchange.post("/faults/refuse", {"seconds": AWAY_S})
    for connection in cut:
        exchange.post("/faults/drop", {"connection": connection})
    for number in range(4):
        exchange.post("/account/holding", {"asset": "BTC", "total": f"{time.time_ns()}.{number}"})
        time.sleep(AWAY_S / 5)


def lost_by_all(outputs: list[list[Any]], stream: str) -> list[Any]:
    """A record of the numbers that every replica reports as lost."""
    lost = set.intersection(*(evidence.lost_numbers(output, stream) for output in outputs))
    assert lost
    ranges = [(str(number), str(number)) for number in sorted(lost)]
    return [{"type": "lost", "stream": f"BTC-USDT{stream}", "ranges": ranges}]


# -- union


def test_each_replica_is_true(recorded: Recorded) -> None:
    for output in (*recorded.outputs, recorded.undisturbed):
        evidence.check(output, Truth(recorded.exchange))


def test_union_of_trades_lacks_only_those_that_both_lost(recorded: Recorded) -> None:
    merged = recorded.merged("trade")
    evidence.check_trades([*merged, *lost_by_all(recorded.outputs, "/trade")], Truth(recorded.exchange))


def test_union_of_candles_has_each_closed_one_once(recorded: Recorded) -> None:
    merged, lost = recorded.merged("candle"), lost_by_all(recorded.outputs, "/candle:1s")
    evidence.check_candles([*merged, *lost], Truth(recorded.exchange), "1s")
    assert len({candle["open_time_ns"] for candle in merged}) == len(merged)
    closed = {each["open_time_ns"] for part in recorded.of("candle") for each in part if each["closed"]}
    assert {candle["open_time_ns"] for candle in merged if candle["closed"]} == closed


def test_union_of_books_has_each_change_of_the_exchange_once(recorded: Recorded) -> None:
    if not recorded.exchange.words.has_exact_links:
        check_union(recorded.merged("orderbook"), Truth(recorded.exchange))
        return
    changes = {change["sequence"]: change for change in Truth(recorded.exchange).changes()}
    updates = [book for book in recorded.merged("orderbook") if book["action"] == "update"]
    parts = [book["sequence"] for part in recorded.of("orderbook") for book in part if book["action"] == "update"]
    assert sorted(book["sequence"] for book in updates) == sorted(set(parts))
    for book in updates:
        change = changes[book["sequence"]]
        assert (book["previous_sequence"], book["exchange_time_ns"]) == (change["previous"], time_of(change))
        assert [book[side] for side in SIDES] == [[list(level) for level in change[side]] for side in SIDES]


def test_union_of_quotes_has_the_best_prices_of_the_exchange(recorded: Recorded) -> None:
    merged, tops = recorded.merged("quote"), tops_of(recorded.exchange)
    assert len({quote["sequence"] for quote in merged}) == len(merged)
    assert all(evidence.best(quote) == tops[quote["sequence"]][1] for quote in merged)


def test_union_of_tickers_has_each_push_once(recorded: Recorded) -> None:
    """A subscription is answered with a state of its own, which other replicas need not have."""
    merged, known = recorded.merged("ticker"), evidence.of_type(recorded.undisturbed, "ticker")
    own = {*map(identity, typed([each for output in recorded.outputs for each in answers(output)]))}
    assert {*map(identity, typed(merged))} <= {*map(identity, typed(known))} | own
    assert len({ticker["exchange_time_ns"] for ticker in merged}) == len(merged)


def answers(output: list[Any]) -> Iterator[Any]:
    """The first ticker of each connection."""
    is_new = False
    for record in output:
        if record["type"] == "connected" and "BTC-USDT/ticker" in record["streams"]:
            is_new = True
        elif record["type"] == "ticker" and is_new:
            is_new = False
            yield record


def test_union_of_balances_has_each_change_once(recorded: Recorded) -> None:
    merged, known = recorded.merged("balance"), evidence.of_type(recorded.undisturbed, "balance")
    assert {*map(identity, typed(merged))} <= {*map(identity, typed(known))}
    assert len({(each["asset"], each["exchange_time_ns"]) for each in merged}) == len(merged)
    rows = recorded.exchange.get("/truth/account")
    newest = {each["asset"]: each["total"] for each in sorted(merged, key=lambda each: each["exchange_time_ns"])}
    assert newest == {asset: recorded.exchange.words.holding(row)[0] for asset, row in rows.items()}


# -- coverage


def test_coverage_of_candles_is_all_but_those_that_both_lost(recorded: Recorded) -> None:
    there = {candle["open_time_ns"] for candle in recorded.merged("candle") if candle["closed"]}
    history = [open_ms * 1_000_000 for open_ms in Truth(recorded.exchange).candles("1s")]
    expected: list[tuple[int, int]] = []
    for open_ns in sorted(each for each in history if min(there) <= each <= max(there)):
        if open_ns in there and expected and expected[-1][1] == open_ns:
            expected[-1] = (expected[-1][0], open_ns + SECOND_NS)
        elif open_ns in there:
            expected.append((open_ns, open_ns + SECOND_NS))
    assert len(expected) > 1
    assert recorded.covered("candle") == expected


def test_coverage_of_books_is_the_chains_of_the_exchange(recorded: Recorded) -> None:
    if not recorded.exchange.words.has_exact_links:
        check_book_ranges(recorded.outputs, coverage(recorded.folder, "orderbook"))
        return
    expected = book_chains(recorded)
    assert len(expected) > 1
    assert recorded.covered("orderbook") == expected


def book_chains(recorded: Recorded) -> list[tuple[int, int]]:
    """Times of the first and last state of each range of the exchange's states that all are known in some replica."""
    books = [book for part in recorded.of("orderbook") for book in part]
    linked = {book["sequence"] for book in books if book["action"] == "update"}
    shown = {book["sequence"] for book in books if book["action"] == "snapshot"}
    chains: list[tuple[int, int]] = []
    is_open = False
    for change in recorded.exchange.stream("/truth/sequences?symbol=BTC-USDT"):
        if is_open and change["sequence"] in linked:
            chains[-1] = (chains[-1][0], time_of(change))
        elif is_open := change["sequence"] in shown:
            chains.append((time_of(change), time_of(change)))
    return chains


def time_of(change: Any) -> int:
    return int(change["ts"]) * 1_000_000


def test_coverage_of_quotes_has_each_change_of_the_best_prices(recorded: Recorded) -> None:
    intervals = recorded.covered("quote")
    assert intervals == recorded.covered("orderbook")
    for output in recorded.outputs:
        evidence.check_quotes(output)
    if not recorded.exchange.words.has_exact_links:  # no update for each change
        return
    known = {quote["sequence"] for quote in recorded.merged("quote")}
    before = None
    for sequence, (time_ns, top) in tops_of(recorded.exchange).items():
        is_inside = any(start < time_ns <= end for start, end in intervals)
        assert not is_inside or top == before or sequence in known, sequence
        before = top


@pytest.mark.parametrize("kind", ["ticker", "balance"])
def test_coverage_of_other_types_has_each_record_of_the_undisturbed_one(recorded: Recorded, kind: str) -> None:
    """Between the first and the last record that was received within an interval."""
    merged, intervals = recorded.merged(kind), recorded.covered(kind)
    assert len(intervals) > 1
    assert sum(len(part) for part in recorded.of(kind)) > len(merged)
    known = {identity(each) for each in typed(merged)}
    for start, end in intervals:
        received = [each for part in recorded.of(kind) for each in part if start <= each["receive_time_ns"] <= end]
        times = [each["exchange_time_ns"] for each in received]
        for each in typed(evidence.of_type(recorded.undisturbed, kind)[1:]):  # the first one answers a subscription
            assert each.exchange_time_ns is not None
            if times and min(times) <= each.exchange_time_ns <= max(times):
                assert identity(each) in known, each


def tops_of(exchange: Simulator) -> dict[int, tuple[int, tuple[str | None, ...]]]:
    """The time and the best prices of each of the exchange's books, by sequence."""
    books = Truth(exchange).books()
    return {change["sequence"]: (time_of(change), evidence.best_of(book.sides)) for change, book in books}
