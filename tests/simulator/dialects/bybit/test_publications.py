import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.bybit import frames
from market_simulator.dialects.bybit.books import DEPTHS
from market_simulator.dialects.bybit.dialect import Bybit
from market_simulator.dialects.bybit.instruments import made_instrument
from market_simulator.dialects.bybit.publications import Publisher
from market_simulator.dialects.bybit.trade_ids import dense
from market_simulator.engine.events import BookChange, Event, Key, Tick, TradeRow, Trades
from market_simulator.engine.market import MarketPlan, instruments, market
from market_simulator.engine.publications import Publications
from market_simulator.engine.quantities import decimals_of
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Venue

SPOT, LINEAR = "BTC-USDT", "BTC-USDT-PERP"
PLAN = MarketPlan("7", (SPOT, LINEAR), Fraction(40), fixed_kinds=Bybit.fixed_kinds)
SLOW = MarketPlan("7", (SPOT, LINEAR), Fraction(4), fixed_kinds=Bybit.fixed_kinds)  # minutes pass in 4,000 events
TICKERS = Path(__file__).parents[3] / "recordings" / "bybit" / "ws_linear_tickers_2026-09-30_btcusdt.jsonl"
START_US = 1_767_225_540_000_000  # 2025-12-31T23:59:00Z
EVERY = {Key(channel, symbol) for channel in frames.CHANNELS for symbol in PLAN.symbols}


def events(count: int, plan: MarketPlan = PLAN) -> list[Event]:
    return list(islice(with_beats(market(plan, START_US), 60_000_000), count))


class Run:
    """The messages that events lead to. `first` has the first message of each key before each event, if asked."""

    def __init__(self, happened: list[Event], wanted: set[Key] = EVERY, plan: MarketPlan = PLAN) -> None:
        self.venue = Venue(instruments(plan, made_instrument))
        self.publications = Publications(self.venue, Publisher)
        self.said: list[tuple[int, Key, Any]] = []
        for event in happened:
            self.happen(event, wanted)

    def happen(self, event: Event, wanted: set[Key] = EVERY) -> list[tuple[Key, str]]:
        self.venue.apply(event)
        pushes = self.publications.publish(event, wanted)
        self.said += [(event.time_us, key, json.loads(text)) for key, text in pushes]
        return pushes

    def on(self, channel: str, symbol: str = SPOT) -> list[Any]:
        return [message for _, key, message in self.said if key == Key(channel, symbol)]


def test_every_fill_is_published_once_in_both_categories() -> None:
    happened = events(1500)
    run = Run(happened)
    for symbol in PLAN.symbols:
        rows = [row for e in happened if isinstance(e, Trades) and e.instrument == symbol for row in e.rows]
        fills = [(row.first_id + place, Decimal(size)) for row in rows for place, size in enumerate(row.sizes)]
        published = [row for message in run.on("publicTrade", symbol) for row in message["data"]]
        assert [(dense(row["i"]), Decimal(row["v"])) for row in published] == fills
        assert {row["S"] for row in published} == {"Buy", "Sell"}


def test_only_linear_numbers_keep_their_zeros() -> None:
    run = Run(events(1500))
    decimals: dict[str, set[int]] = {}
    for symbol in PLAN.symbols:
        rows = [row for message in run.on("publicTrade", symbol) for row in message["data"]]
        levels = [level for message in run.on("orderbook.50", symbol) for level in message["data"]["b"]]
        prices = [row["p"] for row in rows] + [price for price, _ in levels]
        sizes = [row["v"] for row in rows] + [size for _, size in levels if size != "0"]
        decimals |= {f"{symbol} {name}": set(map(decimals_of, texts)) for name, texts in (("p", prices), ("v", sizes))}
    assert (decimals[f"{LINEAR} p"], decimals[f"{LINEAR} v"]) == ({1}, {2})
    assert (decimals[f"{SPOT} p"], len(decimals[f"{SPOT} v"]) > 3) == ({0, 1}, True)


def test_trades_are_split_at_1024() -> None:
    run = Run(events(1))
    row = TradeRow(5_000, "64000", "2500", ("1",) * 2_500, "buy", "0", START_US // 1000, 90_000_000_000)
    run.happen(Trades(START_US + 1, SPOT, (row,)))
    messages = run.on("publicTrade")
    assert [len(message["data"]) for message in messages] == [1024, 1024, 452]
    assert {fill["seq"] for message in messages for fill in message["data"]} == {90_000_000_000}


def test_tick_directions_follow_the_price() -> None:
    run = Run(events(2000))
    rows = [row for message in run.on("publicTrade", LINEAR) for row in message["data"]]
    for before, after in pairwise(rows):
        moved = Decimal(after["p"]) - Decimal(before["p"])
        expected = {1: ("PlusTick",), -1: ("MinusTick",), 0: ("ZeroPlusTick", "ZeroMinusTick")}
        assert after["L"] in expected[(moved > 0) - (moved < 0)]


@pytest.mark.parametrize("symbol", PLAN.symbols)
@pytest.mark.parametrize("depth", [50, 200, 1000])
def test_deltas_lead_to_the_window_with_steps_of_one(depth: int, symbol: str) -> None:
    run = Run(events(3000))
    first, *deltas = run.on(f"orderbook.{depth}", symbol)
    assert first["type"] == "snapshot"
    assert len(deltas) > 20
    assert {delta["type"] for delta in deltas} == {"delta"}
    sides = {side: dict(first["data"][side]) for side in ("b", "a")}
    for before, after in pairwise([first, *deltas]):
        assert after["data"]["u"] == before["data"]["u"] + 1
        assert after["data"]["seq"] > before["data"]["seq"]
        assert after["data"]["b"] or after["data"]["a"]
        assert after["cts"] <= after["ts"]
        for side, sizes in sides.items():
            sizes |= dict(after["data"][side])
            sides[side] = {price: size for price, size in sizes.items() if size != "0"}
            assert len(sides[side]) <= depth
    present = run.publications.of[symbol].present(Key(f"orderbook.{depth}", symbol))
    snapshot = json.loads(present or "")["data"]
    assert sides == {side: dict(snapshot[side]) for side in ("b", "a")}
    assert snapshot["u"] == deltas[-1]["data"]["u"]


@pytest.mark.parametrize(("depth", "period_us"), [(1, 10_000), (50, 20_000), (200, 100_000), (1000, 200_000)])
def test_books_keep_their_pace(depth: int, period_us: int) -> None:
    run = Run(events(3000, PLAN), plan=PLAN)
    times = [time_us for time_us, key, _ in run.said if key == Key(f"orderbook.{depth}", SPOT)]
    steps = [after - before for before, after in pairwise(times)]
    assert min(steps) >= period_us
    assert min(steps) < 2 * period_us


def test_depths_have_numbers_of_their_own_and_share_the_sequence() -> None:
    run = Run(events(3000))
    newest = {depth: run.on(f"orderbook.{depth}")[-1]["data"] for depth in DEPTHS}
    assert len({data["u"] for data in newest.values()}) == 4
    sequences = {event.sequence for event in events(3000) if isinstance(event, BookChange)}
    assert all(data["seq"] in sequences for data in newest.values())


def test_numbers_do_not_depend_on_subscribers() -> None:
    happened, wanted = events(3000), {Key("orderbook.50", SPOT), Key("tickers", LINEAR)}
    all_of_it, late = Run(happened), Run(happened[:2000], set())
    for event in happened[2000:]:
        late.happen(event, wanted)
    for channel, symbol, _ in wanted:
        messages = late.on(channel, symbol)
        assert messages
        assert messages == all_of_it.on(channel, symbol)[-len(messages) :]


def test_best_level_is_whole_and_repeated_when_unchanged() -> None:
    plan = MarketPlan("7", (SPOT,), Fraction("0.05"))
    run = Run(events(2000, plan), plan=plan)
    messages = run.on("orderbook.1")
    assert {message["type"] for message in messages} == {"snapshot"}
    repeated = [(b, a) for b, a in pairwise(messages) if b["data"]["u"] == a["data"]["u"]]
    assert repeated
    assert all(3_000 <= after["ts"] - before["ts"] <= 3_100 for before, after in repeated)
    assert all((b["data"]["b"], b["data"]["a"]) == (a["data"]["b"], a["data"]["a"]) for b, a in repeated)


def test_restarted_numbers_are_a_snapshot_with_the_first_update() -> None:
    run = Run(events(1000))
    last = [event for event in events(1000) if isinstance(event, BookChange) and event.instrument == SPOT][-1]
    restarted = replace(last, time_us=last.time_us + 300_000, sequence=last.sequence // 2, previous=last.sequence)
    found = {key.channel: json.loads(text) for key, text in run.happen(restarted) if key.channel in frames.BOOKS}
    assert set(found) == set(frames.BOOKS)
    assert {(message["type"], message["data"]["u"]) for message in found.values()} == {("snapshot", 1)}
    level = restarted.bids[0]._replace(size="7")
    after = replace(
        restarted, time_us=restarted.time_us + 300_000, sequence=restarted.sequence + 3,
        previous=restarted.sequence, bids=(level,), asks=(),
    )  # fmt: skip
    updates = {json.loads(text)["data"]["u"] for key, text in run.happen(after) if key.channel == "orderbook.200"}
    assert updates <= {2}


def test_jump_of_the_sequence_is_a_missing_update() -> None:
    run = Run(events(1000))
    before = run.on("orderbook.50")[-1]["data"]["u"]
    last = [event for event in events(1000) if isinstance(event, BookChange) and event.instrument == SPOT][-1]
    best = run.venue.boards[SPOT].book.bids.best(1)[0]._replace(size="7")
    jumped = replace(
        last, time_us=last.time_us + 300_000, previous=last.sequence + 1_000, sequence=last.sequence + 1_004,
        bids=(best,), asks=(),
    )  # fmt: skip
    (text,) = [text for key, text in run.happen(jumped) if key.channel == "orderbook.50"]
    assert json.loads(text)["data"]["u"] >= before + 2


def test_spot_ticker_is_whole_and_has_no_bid() -> None:
    run = Run(events(3000))
    messages = run.on("tickers")
    assert len(messages) > 20
    assert {message["type"] for message in messages} == {"snapshot"}
    assert all("lastPrice" in m["data"] and not any("1Price" in name for name in m["data"]) for m in messages)
    times = [time_us for time_us, key, _ in run.said if key == Key("tickers", SPOT)]
    assert min(after - before for before, after in pairwise(times)) >= 50_000


def test_linear_ticker_has_changed_fields_only() -> None:
    run = Run(events(3000))
    first, *deltas = run.on("tickers", LINEAR)
    assert (first["type"], {delta["type"] for delta in deltas}) == ("snapshot", {"delta"})
    row = dict(first["data"])
    for delta in deltas:
        fields = {name: value for name, value in delta["data"].items() if name != "symbol"}
        assert fields
        assert all(row[name] != value for name, value in fields.items())
        row |= fields
    present = run.publications.of[LINEAR].present(Key("tickers", LINEAR))
    assert json.loads(present or "")["data"] == row
    assert any("bid1Price" in d["data"] and "ask1Price" not in d["data"] for d in deltas)


def test_linear_ticker_has_the_facts_of_the_contract() -> None:
    run = Run(events(3000))
    contract = run.venue.boards[LINEAR].contract
    assert contract is not None
    row: dict[str, str] = {}
    marks = []
    for message in run.on("tickers", LINEAR):
        row |= message["data"]
        marks.append(row["markPrice"])
    mark, interest, rate = contract.marks.newest(), contract.interests.newest(), contract.rates.newest()
    assert mark is not None
    assert interest is not None
    assert rate is not None
    assert (Decimal(row["markPrice"]), Decimal(row["indexPrice"])) == (Decimal(mark.price), Decimal(mark.index))
    assert [Decimal(row[name]) / interest.contracts for name in ("openInterest", "singleOpenInterest")] == [2, 1]
    assert Decimal(row["openInterestValue"]) == round(2 * interest.contracts * Decimal(interest.price), 2)
    assert (row["nextFundingTime"], Decimal(row["fundingRate"])) == (str(rate.due_ms), Decimal(rate.rate))
    assert (marks[0], len(set(marks)) > 5) == ("", True)
    recorded = json.loads(TICKERS.read_text().splitlines()[1])
    assert set(json.loads(recorded["raw"])["data"]) == row.keys()


def test_every_liquidation_is_published_with_the_side_of_the_position() -> None:
    run = Run(events(3000), {Key("allLiquidation", LINEAR)})
    contract = run.venue.boards[LINEAR].contract
    assert contract is not None
    rows = [row for message in run.on("allLiquidation", LINEAR) for row in message["data"]]
    facts = list(contract.liquidations.rows)[: len(rows)]
    sides = {"buy": "Sell", "sell": "Buy"}
    assert [(row["T"], row["S"], Decimal(row["v"])) for row in rows] == [
        (fact.ts_ms, sides[fact.side], Decimal(fact.contracts)) for fact in facts
    ]
    assert len(rows) > 5
    assert all(time_us % 500_000 == 0 for time_us, _, _ in run.said)


@pytest.mark.parametrize("symbol", PLAN.symbols)
def test_candle_is_closed_once_and_has_all_fills(symbol: str) -> None:
    run = Run(events(4000, SLOW), plan=SLOW)
    rows = [row for message in run.on("kline.1", symbol) for row in message["data"]]
    closed = [row for row in rows if row["confirm"]]
    assert len(closed) == len({row["start"] for row in closed}) >= 2
    fills = [row for message in run.on("publicTrade", symbol) for row in message["data"]]
    for row in closed:
        inside = [fill for fill in fills if row["start"] <= fill["T"] <= row["end"]]
        assert Decimal(row["volume"]) == sum(Decimal(fill["v"]) for fill in inside)
        assert (row["open"], row["close"]) == (inside[0]["p"], inside[-1]["p"])
        assert row["end"] == row["start"] + 59_999


def test_closed_candle_can_come_with_the_next_one() -> None:
    run = Run(events(4000, SLOW), plan=SLOW)
    shapes = [[row["confirm"] for row in message["data"]] for message in run.on("kline.1")]
    assert [True, False] in shapes
    assert [True] in shapes


def test_minute_without_a_trade_is_closed_flat() -> None:
    plan = MarketPlan("7", (SPOT,), Fraction("0.01"))
    run = Run(events(4000, plan), plan=plan)
    closed = [row for message in run.on("kline.1") for row in message["data"] if row["confirm"]]
    assert all(after["start"] == before["start"] + 60_000 for before, after in pairwise(closed))
    assert {row["volume"] == "0" for row in closed} == {True, False}


def first_of(channel: str, symbol: str) -> Callable[[Run], str | None]:
    return lambda run: run.publications.of[symbol].present(Key(channel, symbol))


@pytest.mark.parametrize("symbol", PLAN.symbols)
@pytest.mark.parametrize("channel", ["orderbook.1", "orderbook.50", "tickers", "kline.5"])
def test_new_subscriber_gets_the_state_but_no_trades(channel: str, symbol: str) -> None:
    run = Run(events(1000))
    assert json.loads(first_of(channel, symbol)(run) or "")["topic"] == f"{channel}.BTCUSDT"
    assert first_of("publicTrade", symbol)(run) is None


def test_nothing_is_sent_before_the_market_opens() -> None:
    run = Run([Tick(START_US)])
    assert not run.said
    assert all(first_of(channel, LINEAR)(run) is None for channel in frames.CHANNELS)
