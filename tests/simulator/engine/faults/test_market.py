from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise

import pytest

from market_simulator.dialects.okx.protocol import checksum
from market_simulator.engine.book import Book
from market_simulator.engine.events import BookChange, Event, TradeRow, Trades
from market_simulator.engine.faults.market import Crossed, Numbering
from market_simulator.engine.faults.turns import Turns
from market_simulator.engine.market import MarketPlan, market

PLAN = MarketPlan("7", ("BTC-USDT",), Fraction(100), checksum=checksum)


def events(count: int) -> list[Event]:
    return list(islice(market(PLAN, 0), count))


def crossed_states(crossed: Crossed, count: int) -> Iterator[tuple[float, BookChange, Book]]:
    """Each (time, change, book after it) of a market with the fault from the 20th change on. Checks all checksums."""
    book = Book()
    for place, change in enumerate(event for event in events(count) if isinstance(event, BookChange)):
        now = change.time_us / 1e6
        change = crossed.changed(now, change, book, checksum) if place >= 20 else change
        book.apply(change.bids, change.asks)
        assert change.checksum == checksum(book)
        yield now, change, book


@pytest.mark.repeats
def test_book_is_crossed_until_the_first_change_after_the_end() -> None:
    crossed, end = Crossed("BTC-USDT", Turns(until=30.0), False), 30.0
    states = [(now, change.sequence, book.is_crossed) for now, change, book in crossed_states(crossed, 6000)]
    start = states[20][0]
    assert start < 2 < end < states[-1][0]
    assert all(is_crossed == (start <= now < end) for now, _, is_crossed in states)
    assert not crossed.is_holding
    untouched = Book()
    for change in (event for event in events(6000) if isinstance(event, BookChange)):
        untouched.apply(change.bids, change.asks)
    *_, (_, _, book) = crossed_states(Crossed("BTC-USDT", Turns(until=30.0), False), 6000)
    assert (book.bids.best(), book.asks.best()) == (untouched.bids.best(), untouched.asks.best())


def test_a_crossed_book_keeps_its_links() -> None:
    changes = [change for _, change, _ in crossed_states(Crossed("BTC-USDT", Turns(until=5.0), False), 1000)]
    plain = [event for event in events(1000) if isinstance(event, BookChange)]
    assert [(c.previous, c.sequence) for c in changes] == [(c.previous, c.sequence) for c in plain]
    assert [c.asks for c in changes] == [c.asks for c in plain]


def test_restarted_numbers_are_linked_and_continue() -> None:
    numbering, changes = Numbering(), []
    for place, event in enumerate(events(300)):
        if place in (100, 200):
            numbering.restart(trades=False)
        if isinstance(event, BookChange):
            changes.append(numbering.book_change(event))
    links = [(one.sequence, two.previous, two.sequence) for one, two in pairwise(changes)]
    assert all(sequence == previous for sequence, previous, _ in links)
    backwards = [sequence - previous for _, previous, sequence in links if sequence < previous]
    assert len(backwards) == 2
    assert len({change.sequence for change in changes}) == len(changes)


def test_jump_leaves_one_broken_link() -> None:
    numbering, changes = Numbering(), []
    for place, event in enumerate(events(300)):
        if place == 100:
            numbering.jump(50)
        if isinstance(event, BookChange):
            changes.append(numbering.book_change(event))
    links = [two.previous - one.sequence for one, two in pairwise(changes)]
    assert [link for link in links if link] == [50]


def test_trade_ids_restart_only_on_request_and_stay_dense() -> None:
    for trades in (True, False):
        numbering = Numbering()
        rows: list[TradeRow] = []
        for place, event in enumerate(events(300)):
            if place == 100:
                numbering.restart(trades)
            if isinstance(event, Trades):
                rows += numbering.trades(event).rows
        steps = [two.first_id - one.last_id for one, two in pairwise(rows)]
        assert len([step for step in steps if step != 1]) == trades
        assert (min(steps) < 0) == trades
        assert all(row.last_id > 0 for row in rows)


def test_events_are_unchanged_without_a_restart() -> None:
    numbering = Numbering()
    for event in events(50):
        assert isinstance(event, BookChange | Trades)
        same = numbering.book_change(event) if isinstance(event, BookChange) else numbering.trades(event)
        assert same is event


@pytest.mark.parametrize("first", [0, 15])
def test_number_of_the_first_change_moves_with_the_others(first: int) -> None:
    numbering = Numbering()
    numbering.jump(1_000)
    change = numbering.book_change(BookChange(1, "BTC-USDT", 1, (), (), 20, 10, 0, first=first))
    assert (change.previous, change.first, change.sequence) == (1_010, first and 1_015, 1_020)
