"""Two replicas with faults: their union by identity, and their coverage, are the truth for each type of record."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import evidence
from book_ranges import check_book_ranges, check_union
from collector_thread import CollectorThread, ListSink, collector_thread, settings_for
from cut_replicas import cut
from exchange_words import ALL_WORDS, ExchangeWords
from market_collector.config.settings import Settings
from market_collector.feed import backfill, unnumbered
from market_collector.model.events import AnyData
from market_collector.model.identity import identity, union
from market_collector.model.streams import DataType
from market_collector.verify import coverage
from simulator_process import Simulator, simulator
from truth import SIDES, Sides, Tracked, Truth

pytestmark = [pytest.mark.faults, pytest.mark.long, pytest.mark.timeout(280)]
AWAY_S = 2.2
"""Longer than two candles of a second."""
AROUND_CLOSE_S = 6.6
"""Of an absence around the close of a long candle, which a slow machine starts late."""


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

    @property
    def interval(self) -> str:
        """The interval of the candles."""
        return self.exchange.words.interval

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


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(f"union {name}")) for name in ALL_WORDS]
)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Each of the two replicas misses closed candles, then both do. REST has neither the trades nor the candles."""
    keys, folder = tmp_path_factory.mktemp("keys"), tmp_path_factory.mktemp("files")
    lead_s = lead_of(ALL_WORDS[request.param])
    start = datetime.fromtimestamp(time.time() + lead_s, UTC).isoformat()
    market = ("--market", "17", "--symbols", "BTC-USDT", "--rate", "300", "--start", start)
    sinks, candles = [ListSink(name) for name in "abc"], f"/candle:{ALL_WORDS[request.param].interval}"
    with (
        pytest.MonkeyPatch.context() as patch,
        simulator(*market, exchange=request.param) as exchange,
    ):
        for module in (backfill, unnumbered):
            patch.setattr(module, "GIVE_UP_AFTER_S", 1.0)
            patch.setattr(module, "GIVE_UP_ANSWERS", 2)
        settings = every_type(exchange, keys)
        with ExitStack() as stack:
            undisturbed, first, second = (stack.enter_context(served(settings, sinks[at])) for at in (2, 0, 1))
            exchange.post("/faults/no-history", {"symbol": "BTC-USDT", "from": 0, "to": 1 << 60})
            exchange.post("/faults/rest", {"path": exchange.words.candle_history, "first": 0, "seconds": 300})
            absences = [(first,), (second,), (first, second), (second,)]
            while absences:
                victims = absences.pop(0)
                if victims != (first,):
                    wait_for_close(exchange, lead_s)
                be_away(exchange, victims)
                for collector in (first, second):
                    collector.is_served()
                if len(victims) == 2 and not numbers_lost_by_all([sink.output() for sink in sinks[:2]], candles):
                    absences.insert(0, victims)  # a slow machine was too late for the close
            change_account(exchange)
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


def be_away(exchange: Simulator, victims: Sequence[CollectorThread]) -> None:
    """Cut the connections of these collectors, and refuse new ones for a while. The account changes meanwhile."""
    away_s = AROUND_CLOSE_S if has_long_candles(exchange.words) else AWAY_S
    exchange.post("/faults/refuse", {"seconds": away_s})
    cut(exchange, *victims)
    for _ in range(4):
        change_account(exchange)
        time.sleep(away_s / 5)


def change_account(exchange: Simulator) -> None:
    exchange.post("/account/holding", {"asset": "BTC", "total": f"{time.time_ns()}.5"})


def lead_of(words: ExchangeWords) -> float:
    """By how many seconds the exchange's clock is ahead, so that a long candle closes soon after its start."""
    return (25 - time.time()) % 60 if has_long_candles(words) else 0.0


def has_long_candles(words: ExchangeWords) -> bool:
    """Whether an absence of `AWAY_S` need not have the close of a candle."""
    return words.interval == "1m"


def wait_for_close(exchange: Simulator, lead_s: float) -> None:
    """Wait until a candle closes in the middle of an absence, if not always one does."""
    if has_long_candles(exchange.words):
        time.sleep((60 - AROUND_CLOSE_S / 2 - time.time() - lead_s) % 60)


def lost_by_all(outputs: list[list[Any]], stream: str) -> list[Any]:
    """A record of the numbers that every replica reports as lost."""
    lost = numbers_lost_by_all(outputs, stream)
    assert lost
    ranges = [(str(number), str(number)) for number in sorted(lost)]
    return [{"type": "lost", "stream": f"BTC-USDT{stream}", "ranges": ranges}]


def numbers_lost_by_all(outputs: list[list[Any]], stream: str) -> set[int]:
    return set.intersection(*(evidence.lost_numbers(output, stream) for output in outputs))


# -- union


def test_each_replica_is_true(recorded: Recorded) -> None:
    for output in (*recorded.outputs, recorded.undisturbed):
        evidence.check(output, Truth(recorded.exchange))


def test_union_of_trades_lacks_only_those_that_both_lost(recorded: Recorded) -> None:
    merged, has_ids = recorded.merged("trade"), recorded.exchange.words.has_dense_ids
    lost = lost_by_all(recorded.outputs, "/trade") if has_ids else times_lost_by_all(recorded.outputs)
    evidence.check_trades([*merged, *lost], Truth(recorded.exchange))
    numbers = {evidence.trade_id(trade) for trade in merged}
    assert len(numbers) <= max(numbers) - min(numbers), "none is lost"


def times_lost_by_all(outputs: list[list[Any]]) -> list[Any]:
    """Records of the times of trades that both replicas report as lost."""
    first, second = map(evidence.lost_times, outputs)
    common = [(max(a, c), min(b, d)) for a, b in first for c, d in second]
    spans = [(start, end) for start, end in common if start <= end]
    assert spans
    return [{"type": "lost", "stream": "BTC-USDT/trade", "from_time_ns": a, "to_time_ns": b} for a, b in spans]


def test_union_of_candles_has_each_closed_one_once(recorded: Recorded) -> None:
    merged, lost = recorded.merged("candle"), lost_by_all(recorded.outputs, f"/candle:{recorded.interval}")
    evidence.check_candles([*merged, *lost], Truth(recorded.exchange), recorded.interval)
    assert len({candle["open_time_ns"] for candle in merged}) == len(merged)
    closed = {each["open_time_ns"] for part in recorded.of("candle") for each in part if each["closed"]}
    assert {candle["open_time_ns"] for candle in merged if candle["closed"]} == closed


def test_union_of_books_has_each_change_of_the_exchange_once(recorded: Recorded) -> None:
    if not recorded.exchange.words.has_exact_links:
        check_union(recorded.merged("orderbook"), Truth(recorded.exchange))
        return
    changes = {change["sequence"]: change for change, _ in book_states(recorded)}
    updates = [book for book in recorded.merged("orderbook") if book["action"] == "update"]
    parts = [book["sequence"] for part in recorded.of("orderbook") for book in part if book["action"] == "update"]
    assert sorted(book["sequence"] for book in updates) == sorted(set(parts))
    for book in updates:
        change = changes[book["sequence"]]
        assert (book["previous_sequence"], book["exchange_time_ns"]) == (change["previous"], change["time_ns"])
        assert [book[side] for side in SIDES] == [[list(level) for level in change[side]] for side in SIDES]


def book_states(recorded: Recorded) -> Iterator[tuple[Any, Sides]]:
    """The exchange's changes of the book, each with the book after it.

    Where messages have numbers of their own, the undisturbed replica's are taken. It has no gap, and
    `test_each_replica_is_true` compares it with the exchange.
    """
    if recorded.exchange.words.book_depth is None:
        for change, book in Truth(recorded.exchange).books():
            yield change | {"time_ns": int(change["ts"]) * 1_000_000}, book.sides
        return
    assert not [each for each in evidence.of_type(recorded.undisturbed, "gap") if "orderbook" in each["stream"]]
    first, *updates = evidence.of_type(recorded.undisturbed, "orderbook")
    tracked = Tracked({side: dict(first[side]) for side in SIDES})
    yield record_as_change(first), tracked.sides
    for update in updates:
        assert update["action"] == "update"
        tracked.apply(update)
        yield record_as_change(update), tracked.sides


def record_as_change(record: Any) -> Any:
    return record | {"previous": record["previous_sequence"], "time_ns": record["exchange_time_ns"]}


def test_union_of_quotes_has_the_best_prices_of_the_exchange(recorded: Recorded) -> None:
    merged, tops = recorded.merged("quote"), tops_of(recorded)
    assert len({quote["sequence"] for quote in merged}) == len(merged)
    assert all(evidence.best(quote) == tops[quote["sequence"]][1] for quote in merged)


def test_union_of_tickers_has_each_push_once(recorded: Recorded) -> None:
    """A subscription is answered with a state of its own, which other replicas need not have.

    Where a ticker is made of two topics, it stays for changes of the other topic, until the next message of its own.
    """
    merged, known = recorded.merged("ticker"), evidence.of_type(recorded.undisturbed, "ticker")
    has_parts = not recorded.exchange.words.has_whole_tickers
    own = answers_in_parts(recorded) if has_parts else [each for output in recorded.outputs for each in answers(output)]
    assert {*map(identity, typed(merged))} <= {*map(identity, typed([*known, *own]))}
    pushed = [each for each in merged if not (has_parts and each in own)]
    assert most_at_a_time(pushed) <= most_at_a_time(known)


def most_at_a_time(tickers: list[Any]) -> int:
    """One, except where a ticker is made of two topics."""
    return max(Counter(ticker["exchange_time_ns"] for ticker in tickers).values())


def answers(output: list[Any]) -> Iterator[Any]:
    """The first ticker of each connection."""
    is_new = False
    for record in output:
        if record["type"] == "connected" and "BTC-USDT/ticker" in record["streams"]:
            is_new = True
        elif record["type"] == "ticker" and is_new:
            is_new = False
            yield record


DAY = ("last", "open_24h", "high_24h", "low_24h", "volume_24h", "quote_volume_24h")


def answers_in_parts(recorded: Recorded) -> list[Any]:
    """The first tickers of each connection, as long as they have the same last 24 hours."""
    found = []
    for output in recorded.outputs:
        firsts, first = {id(each) for each in answers(output)}, None
        for ticker in evidence.of_type(output, "ticker"):
            first = ticker if id(ticker) in firsts else first
            if first is not None and [ticker[name] for name in DAY] == [first[name] for name in DAY]:
                found.append(ticker)
            else:
                first = None
    return found


def test_union_of_balances_has_each_change_once(recorded: Recorded) -> None:
    merged, known = recorded.merged("balance"), evidence.of_type(recorded.undisturbed, "balance")
    pushed = {*map(identity, typed(known))}
    own = [each for each in merged if identity(typed([each])[0]) not in pushed]
    if recorded.exchange.words.has_times_of_changes:
        assert not own
    else:
        check_answers(own, recorded)
    assert len({(each["asset"], each["exchange_time_ns"]) for each in merged}) == len(merged)
    rows = recorded.exchange.get("/truth/account")
    newest = {each["asset"]: each["total"] for each in sorted(merged, key=lambda each: each["exchange_time_ns"])}
    assert newest == {asset: recorded.exchange.words.holding(row)[0] for asset, row in rows.items()}


def check_answers(balances: list[Any], recorded: Recorded) -> None:
    """Check balances with the times of answers: each is what the undisturbed replica knows of its time.

    An answer follows each new connection, so an asset has no more of them.
    """
    known = evidence.of_type(recorded.undisturbed, "balance")
    for each in balances:
        earlier = [one for one in known if one["asset"] == each["asset"]]
        newest = max((one for one in earlier if one["exchange_time_ns"] <= each["exchange_time_ns"]), key=time_of)
        assert [newest[name] for name in AMOUNTS] == [each[name] for name in AMOUNTS], (newest, each)
    connected = [each for output in recorded.outputs for each in evidence.of_type(output, "connected")]
    answers = sum("account/balance" in each["streams"] for each in connected)
    assert 0 < max(Counter(each["asset"] for each in balances).values()) <= answers


AMOUNTS = ("total", "available", "locked")


def time_of(record: Any) -> int:
    return int(record["exchange_time_ns"])


# -- coverage


def test_coverage_of_trades_has_each_fill_but_those_that_both_lost(recorded: Recorded) -> None:
    merged, intervals = recorded.merged("trade"), recorded.covered("trade")
    there = {evidence.trade_id(trade) for trade in merged}
    fills = list(Truth(recorded.exchange).fills(min(there), max(there)))
    assert len(intervals) > 1
    for fill in fills:
        if fill.id not in there:
            assert not any(start < fill.time_ns < end for start, end in intervals), fill
    outside = [fill for fill in fills if not any(start <= fill.time_ns <= end for start, end in intervals)]
    assert outside
    if recorded.exchange.words.has_dense_ids:
        assert not there & {fill.id for fill in outside}
    else:
        spans = [(each["from_time_ns"], each["to_time_ns"]) for each in times_lost_by_all(recorded.outputs)]
        assert all(any(start <= fill.time_ns <= end for start, end in spans) for fill in outside)


def test_coverage_of_candles_is_all_but_those_that_both_lost(recorded: Recorded) -> None:
    there = {candle["open_time_ns"] for candle in recorded.merged("candle") if candle["closed"]}
    history = [open_ms * 1_000_000 for open_ms in Truth(recorded.exchange).candles(recorded.interval)]
    length_ns = evidence.LENGTHS[recorded.interval]
    expected: list[tuple[int, int]] = []
    for open_ns in sorted(each for each in history if min(there) <= each <= max(there)):
        if open_ns in there and expected and expected[-1][1] == open_ns:
            expected[-1] = (expected[-1][0], open_ns + length_ns)
        elif open_ns in there:
            expected.append((open_ns, open_ns + length_ns))
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
    for change, _ in book_states(recorded):
        if is_open and change["sequence"] in linked:
            chains[-1] = (chains[-1][0], change["time_ns"])
        elif is_open := change["sequence"] in shown:
            chains.append((change["time_ns"], change["time_ns"]))
    return chains


def test_coverage_of_quotes_has_each_change_of_the_best_prices(recorded: Recorded) -> None:
    intervals = recorded.covered("quote")
    assert intervals == recorded.covered("orderbook")
    for output in recorded.outputs:
        evidence.check_quotes(output)
    if not recorded.exchange.words.has_exact_links:  # no update for each change
        return
    known = {quote["sequence"] for quote in recorded.merged("quote")}
    before = None
    for sequence, (time_ns, top) in tops_of(recorded).items():
        is_inside = any(start < time_ns <= end for start, end in intervals)
        assert not is_inside or top == before or sequence in known, sequence
        before = top


@pytest.mark.parametrize("kind", ["ticker", "balance"])
def test_coverage_of_other_types_has_each_record_of_the_undisturbed_one(recorded: Recorded, kind: str) -> None:
    """Between the first and the last record that was received within an interval.

    A state that is made of an answer of its own is not the first.
    """
    merged, intervals = recorded.merged(kind), recorded.covered(kind)
    has_parts = kind == "ticker" and not recorded.exchange.words.has_whole_tickers
    own = answers_in_parts(recorded) if has_parts else []
    assert len(intervals) > 1
    assert sum(len(part) for part in recorded.of(kind)) > len(merged)
    known = {identity(each) for each in typed(merged)}
    for start, end in intervals:
        received = [each for part in recorded.of(kind) for each in part if start <= each["receive_time_ns"] <= end]
        times = [each["exchange_time_ns"] for each in received if each not in own]
        for each in typed(evidence.of_type(recorded.undisturbed, kind)[1:]):  # the first one answers a subscription
            assert each.exchange_time_ns is not None
            if times and min(times) <= each.exchange_time_ns <= max(times):
                assert identity(each) in known, each


def tops_of(recorded: Recorded) -> dict[int, tuple[int, tuple[str | None, ...]]]:
    """The time and the best prices of each of the exchange's books, by sequence."""
    return {change["sequence"]: (change["time_ns"], evidence.best_of(sides)) for change, sides in book_states(recorded)}
