from fractions import Fraction
from itertools import islice
from typing import TypeAlias

import pytest

from market_simulator.book import Book
from market_simulator.events import BookChange, TradeRow, Trades
from market_simulator.market import MarketPlan, market
from market_simulator.truth import BookHistory, NotKeptError, TradeHistory, Truth

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


def test_the_newest_come_first_and_pages_walk_back_to_the_beginning() -> None:
    made, before, seen = history(1, 3, 2, 5), 1 << 62, []
    while page := made.newest(before, -1, 4):
        seen += [fill.id for fill in page]
        before = seen[-1]
    assert seen == list(range(111, 100, -1))


def test_newer_than_alone_gives_the_latest_page_not_the_one_after_it() -> None:
    assert [fill.id for fill in history(*[1] * 20).newest(1 << 62, 105, 3)] == [120, 119, 118]
    assert [fill.id for fill in history(1, 1, 1).newest(1 << 62, 102, 10)] == [103]


def test_an_empty_history_has_nothing() -> None:
    assert history().newest(1 << 62, -1, 5) == []
    assert (history().first_id, history().last_id) == (0, 0)


def test_ids_are_found_by_time() -> None:
    made = history(1, 3, 2)
    assert [made.id_at(ts) for ts in (-1, 0, 1, 1000, 2000, 2001)] == [101, 101, 102, 102, 105, 107]


def test_old_trades_fall_out() -> None:
    made = history(*[1] * 50, kept=10)
    assert 10 <= len(made.rows) <= 11
    assert made.last_id == 150


def recorded(count: int, kept: int = 10_000) -> tuple[BookHistory, dict[int, Sides]]:
    made, book = BookHistory(kept), Book()
    states: dict[int, Sides] = {}
    for event in islice(market(PLAN, 0), count):
        if isinstance(event, BookChange):
            book.apply(event.bids.rows, event.asks.rows)
            made.add(event, book)
            states[event.sequence] = ([r[1:] for r in book.bids.best()], [r[1:] for r in book.asks.best()])
    return made, states


def test_every_state_of_a_book_is_found_by_its_sequence() -> None:
    made, states = recorded(900)
    assert [sequence for sequence, _, _ in made.sequences()] == list(states)
    for sequence in list(states)[::7]:
        state = made.at(sequence)
        assert ([r[1:] for r in state.bids], [r[1:] for r in state.asks]) == states[sequence]


def test_a_sequence_that_was_never_published_has_a_reason() -> None:
    made, states = recorded(50)
    with pytest.raises(NotKeptError, match=f"kept are {min(states)} to {max(states)}"):
        made.at(max(states) + 1)


def test_old_states_fall_out_and_the_others_stay_right() -> None:
    made, states = recorded(2500, kept=512)
    assert made.first_sequence > min(states)
    with pytest.raises(NotKeptError):
        made.at(min(states))
    state = made.at(made.first_sequence)
    assert [r[1:] for r in state.bids] == states[made.first_sequence][0]
    assert len(list(made.sequences())) == len(made._where)


def test_the_summary_tells_the_bounds_of_each_symbol() -> None:
    truth, book = Truth(PLAN.symbols, 1000, 1000), Book()
    for event in islice(market(PLAN, 5), 10):
        if isinstance(event, BookChange):
            book.apply(event.bids.rows, event.asks.rows)
        truth.record(event, book)
    trades = [e for e in islice(market(PLAN, 5), 10) if isinstance(e, Trades)]
    summary = truth.summary()
    assert summary["timeUs"] == truth.time_us >= 5
    assert summary["symbols"]["BTC-USDT"]["lastTradeId"] == trades[-1].rows[-1].last_id
    assert summary["symbols"]["BTC-USDT"]["lastSequence"] == truth.books["BTC-USDT"].last_sequence
