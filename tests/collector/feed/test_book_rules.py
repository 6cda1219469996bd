"""Books of exchanges that prove their continuity differently, compared with an independent rebuild."""

from hypothesis import given
from hypothesis import strategies as st

from feed_life import at
from imaginary_books import Connections, RangedMarket, Rebuilt, change, whole
from market_collector.book.rule import BookRule, Proof
from market_collector.feed.effects import Send
from market_collector.model.events import Gap, Resync

RANGES = BookRule(Proof.RANGE)


def test_update_that_a_snapshot_contains_is_ignored() -> None:
    market = Connections(RANGES)
    feed = market.open()
    market.gets(feed, whole(10, {"5": "1"}))
    assert market.gets(feed, change(6, 10, {"5": "9"})) == []
    market.gets(feed, change(8, 12, {"5": "2"}))
    market.gets(feed, change(12, 13, {"5": "3"}))
    assert [(each.previous_sequence, each.sequence) for each in market.books] == [(None, 10), (10, 12), (12, 13)]
    assert market.ledger.duplicates == 1


def test_range_that_starts_too_late_is_a_gap() -> None:
    market = Connections(RANGES)
    feed = market.open()
    market.gets(feed, whole(10, {"5": "1"}))
    effects = market.gets(feed, change(11, 15, {"5": "2"}))
    assert [type(record) for record in market.records[1:]] == [Gap, Resync]
    assert [each.text for each in effects if isinstance(each, Send)] == ["unsubscribe", "subscribe"]


def test_counter_ignores_an_older_update_and_follows_a_restart() -> None:
    market = Connections(BookRule(Proof.COUNTER))
    feed = market.open()
    for message in (whole(10, {"5": "1"}), change(9, 10, {"5": "9"}), change(10, 11, {"5": "2"}), whole(1, {"6": "1"})):
        market.gets(feed, message)
    market.gets(feed, change(1, 2, {"6": "2"}))
    assert [each.sequence for each in market.books] == [10, 11, 1, 2]


def test_numbers_of_sequence_proof_that_go_back_are_a_gap() -> None:
    market = Connections(BookRule(Proof.SEQUENCE))
    feed = market.open()
    market.gets(feed, whole(10, {"5": "1"}))
    market.gets(feed, change(8, 9, {"5": "2"}))
    assert [type(record) for record in market.records[1:]] == [Gap, Resync]


PRICES = ("1", "2", "3", "4")
CHANGES = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from(("0", "1", "2", "3"))), min_size=1, max_size=40)


@given(CHANGES, st.data())
def test_two_connections_with_other_ranges_publish_one_unbroken_book(
    changes: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Also if one of them ends, as long as the other one does not start after the published state."""
    truth, market = RangedMarket(changes), Connections(RANGES)
    feeds = {market.open(): 0, market.open(): 0}
    for feed in feeds:
        feeds[feed] = data.draw(st.integers(0, len(changes)))
        market.gets(feed, whole(feeds[feed], truth.states[feeds[feed]]))
    while open_feeds := [feed for feed in feeds if feeds[feed] < len(changes)]:
        feed = data.draw(st.sampled_from(open_feeds))
        last = data.draw(st.integers(feeds[feed] + 1, len(changes)))
        market.gets(feed, change(feeds[feed], last, truth.update(feeds[feed], last)))
        feeds[feed] = last
        if len(feeds) > 1 and min(feeds.values()) <= (market.books[-1].sequence or 0) and data.draw(st.booleans()):
            first = max(feeds, key=lambda each: feeds[each])
            market.keep(first.closed("cut", at(2)))
            del feeds[first]
    rebuilt = Rebuilt()
    for record in market.books:
        rebuilt.take(record)
        assert record.sequence is not None
        assert rebuilt.bids == truth.states[record.sequence]
    assert rebuilt.sequence == len(changes)
    assert not [record for record in market.records if isinstance(record, Gap)], "nothing was lost"
