from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise

from market_simulator.book import Book
from market_simulator.events import BookChange, Event, TradeRow, Trades
from market_simulator.faults.market import Crossed, Numbering
from market_simulator.faults.turns import Turns
from market_simulator.market import MarketPlan, market

PLAN = MarketPlan("7", ("BTC-USDT",), Fraction(100), with_checksums=True)


def events(count: int) -> list[Event]:
    return list(islice(market(PLAN, 0), count))


def crossed_states(crossed: Crossed, count: int) -> Iterator[tuple[float, BookChange, Book]]:
    """(time, change, book after it) of a market with the fault from its twentieth change on; checks each checksum."""
    book = Book()
    for place, change in enumerate(event for event in events(count) if isinstance(event, BookChange)):
        now = change.time_us / 1e6
        change = crossed.changed(now, change, book) if place >= 20 else change
        book.apply(change.bids.rows, change.asks.rows)
        assert change.checksum == book.checksum()
        yield now, change, book


def test_a_book_is_crossed_from_the_next_change_to_the_first_after_the_end_and_then_as_if_nothing_had_been() -> None:
    crossed, end = Crossed("BTC-USDT", Turns(until=30.0), False), 30.0
    states = [(now, change.sequence, book.is_crossed) for now, change, book in crossed_states(crossed, 6000)]
    began = states[20][0]
    assert began < 2 < end < states[-1][0]
    assert all(is_crossed == (began <= now < end) for now, _, is_crossed in states)
    assert not crossed.is_holding
    untouched = Book()
    for change in (event for event in events(6000) if isinstance(event, BookChange)):
        untouched.apply(change.bids.rows, change.asks.rows)
    *_, (_, _, book) = crossed_states(Crossed("BTC-USDT", Turns(until=30.0), False), 6000)
    assert (book.bids.best(), book.asks.best()) == (untouched.bids.best(), untouched.asks.best())


def test_a_crossed_book_keeps_its_links() -> None:
    changes = [change for _, change, _ in crossed_states(Crossed("BTC-USDT", Turns(until=5.0), False), 1000)]
    plain = [event for event in events(1000) if isinstance(event, BookChange)]
    assert [(c.previous, c.sequence) for c in changes] == [(c.previous, c.sequence) for c in plain]
    assert [c.asks for c in changes] == [c.asks for c in plain]


def test_numbers_start_again_with_the_right_link_and_go_on_from_there() -> None:
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


def test_trade_ids_start_again_only_when_told_and_stay_dense() -> None:
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


def test_without_a_restart_events_stay_the_very_same() -> None:
    numbering = Numbering()
    for event in events(50):
        assert isinstance(event, BookChange | Trades)
        same = numbering.book_change(event) if isinstance(event, BookChange) else numbering.trades(event)
        assert same is event
