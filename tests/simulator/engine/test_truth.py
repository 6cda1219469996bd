from fractions import Fraction
from itertools import islice
from typing import TypeAlias

import pytest

from market_simulator.engine.book import Book
from market_simulator.engine.events import NO_LEVELS, BookChange, Level, TradeRow, Trades
from market_simulator.engine.market import MarketPlan, market
from market_simulator.engine.truth import BookHistory, NotKeptError, TradeHistory, Truth

Rows: TypeAlias = list[tuple[str, str, str]]
Sides: TypeAlias = tuple[Rows, Rows]
PLAN = MarketPlan("7", ("BTC-USDT",), Fraction(40))


def history(*fills: int, kept: int = 1000) -> TradeHistory:
    made, last = TradeHistory(kept), 100
    for place, count in enumerate(fills):
        last += count
        made.add([TradeRow(last, "1", str(count), ("1",) * count, "buy", "0", 1000 * place, place)])
    return made


def test_fills_are_found_by_their_ids_also_within_merged_trades() -> None:
    made = history(1, 3, 2)
    assert (made.first_id, made.last_id) == (101, 106)
    assert [fill.id for fill in made.fills(103, 105)] == [103, 104, 105]
    assert [row.last_id for row in made.merged(103, 105)] == [104, 106]
    assert list(made.fills(107, 200)) == []


def newest(made: TradeHistory, before_id: int, count: int) -> list[int]:
    return [fill.id for fill in islice(made.backwards(before_id, 0), count)]


def test_pages_go_back_from_the_newest_to_the_first_fill() -> None:
    made, before, seen = history(1, 3, 2, 5), 1 << 62, []
    while page := newest(made, before, 4):
        seen += page
        before = seen[-1]
    assert seen == list(range(111, 100, -1))


def test_backwards_ends_at_the_given_id() -> None:
    assert [fill.id for fill in history(1, 3, 2).backwards(106, 103)] == [105, 104, 103]


def test_an_empty_history_has_nothing() -> None:
    assert newest(history(), 1 << 62, 5) == []
    assert (history().first_id, history().last_id, len(history())) == (0, 0, 0)


@pytest.mark.parametrize("kept", [20, 400, 100_000])
def test_packed_rows_equal_the_rows_for_every_query(kept: int) -> None:
    """Compare with a plain list, across several pieces and at their borders."""
    counts = [1 + place % 4 for place in range(1500)]
    made, fills = history(*counts, kept=kept), list(range(101, 101 + sum(counts)))
    there = [number for number in fills if number >= made.first_id]
    assert [fill.id for fill in made.fills(0, 1 << 62)] == there
    assert len(made) == min(1500, len(made))
    for number in [*there[::97], there[0], there[-1]]:
        assert newest(made, number, 5) == [n for n in range(number - 1, number - 6, -1) if n >= there[0]]
        assert [fill.id for fill in made.fills(number, number + 3)] == [
            n for n in range(number, number + 4) if n <= there[-1]
        ]
        (row,) = made.merged(number, number)
        assert row.first_id <= number <= row.last_id
        assert made.id_at(row.ts_ms) == row.first_id == made.id_at(row.ts_ms - 1)


def test_restarted_ids_keep_both_eras() -> None:
    made = history(*[1] * 300, kept=1000)  # 101 to 400
    made.add([TradeRow(n, "2", "1", ("1",), "buy", "0", 400_000 + n, n) for n in range(50, 70)])
    assert (made.first_id, made.last_id, len(made)) == (50, 69, 320)
    assert [fill.id for fill in made.fills(0, 1 << 62)] == [*range(101, 401), *range(50, 70)]
    assert newest(made, 1 << 62, 25) == [*range(69, 49, -1), *range(400, 395, -1)]
    assert newest(made, 66, 3) == [65, 64, 63]
    made.add([TradeRow(n, "2", "1", ("1",), "buy", "0", 500_000 + n, n) for n in range(70, 1100)])
    assert 1000 <= len(made) < 1100
    assert made.first_id in range(50, 110), "the first era has fallen out"


def test_packed_fills_keep_their_recorded_ids() -> None:
    made = TradeHistory(10)
    made.add([TradeRow(n, "2", "1", ("1",), "buy", "0", n, n, f"id-{n}" if n % 2 else "") for n in range(1, 9)])
    assert [fill.row.name for fill in made.fills(1, 8)] == ["id-1", "", "id-3", "", "id-5", "", "id-7", ""]


def test_ids_are_found_by_time() -> None:
    made = history(1, 3, 2)
    assert [made.id_at(ts) for ts in (-1, 0, 1, 1000, 2000, 2001)] == [101, 101, 102, 102, 105, 107]


def test_oldest_trades_are_removed() -> None:
    made = history(*[1] * 50, kept=10)
    assert 10 <= len(made) <= 11
    assert (made.first_id, made.last_id) == (151 - len(made), 150)


def recorded(count: int, kept: int = 10_000) -> tuple[BookHistory, dict[int, Sides]]:
    made, book = BookHistory(kept), Book()
    states: dict[int, Sides] = {}
    for event in islice(market(PLAN, 0), count):
        if isinstance(event, BookChange):
            book.apply(event.bids, event.asks)
            made.add(event, book)
            states[event.sequence] = ([r[1:] for r in book.bids.best()], [r[1:] for r in book.asks.best()])
    return made, states


def test_every_state_of_a_book_is_found_by_its_sequence() -> None:
    made, states = recorded(900)
    assert [change.sequence for change in made.changes()] == list(states)
    for sequence in list(states)[::7]:
        state = made.at(sequence)
        assert ([r[1:] for r in state.bids], [r[1:] for r in state.asks]) == states[sequence]


def test_book_before_some_changes_is_an_older_state() -> None:
    made, states = recorded(900)  # two pieces and some changes
    numbers = list(states)
    for back in (0, 1, 100, 300, 580):
        state = made.before(back)
        assert state is not None
        assert state.sequence == numbers[-1 - back]
    oldest = made.before(10_000)
    assert oldest is not None
    assert oldest.sequence == numbers[0]
    assert BookHistory(10).before(1) is None


def test_a_sequence_that_was_never_published_has_a_reason() -> None:
    made, states = recorded(50)
    with pytest.raises(NotKeptError, match=f"kept are {min(states)} to {max(states)}"):
        made.at(max(states) + 1)


def test_oldest_states_are_removed_and_the_others_stay_correct() -> None:
    made, states = recorded(2500, kept=512)
    assert made.first_sequence > min(states)
    with pytest.raises(NotKeptError):
        made.at(min(states))
    state = made.at(made.first_sequence)
    assert [r[1:] for r in state.bids] == states[made.first_sequence][0]
    changes = list(made.changes())
    assert 512 <= len(changes) < 512 + 2 * 256
    assert all(made.at(change.sequence).previous == change.previous for change in changes[::50])


def test_a_sequence_that_is_used_again_means_the_newer_state() -> None:
    made, book = BookHistory(1000), Book()
    for number, size in ((5, "1"), (9, "2"), (4, "3"), (5, "4")):
        level = Level(1, "1", size, "1")
        book.apply([level], [])
        made.add(BookChange(0, "A-B", 0, (level,), NO_LEVELS, number, number - 1, 0), book)
    assert [made.at(number).bids[0].size for number in (4, 5, 9)] == ["3", "4", "2"]
    assert [change.sequence for change in made.changes()] == [5, 9, 4, 5]


def test_summary_has_the_bounds_of_each_symbol() -> None:
    truth, book = Truth(PLAN.symbols, 1000, 1000), Book()
    for event in islice(market(PLAN, 5), 10):
        if isinstance(event, BookChange):
            book.apply(event.bids, event.asks)
        truth.record(event, book)
    trades = [e for e in islice(market(PLAN, 5), 10) if isinstance(e, Trades)]
    summary = truth.summary()
    assert summary["timeUs"] == truth.time_us >= 5
    assert summary["symbols"]["BTC-USDT"]["lastTradeId"] == trades[-1].rows[-1].last_id
    assert summary["symbols"]["BTC-USDT"]["lastSequence"] == truth.books["BTC-USDT"].last_sequence
