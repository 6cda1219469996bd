"""Books whose snapshot comes over REST while updates wait for it."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed_life import NO_ANSWER, at, reconnects, sent
from imaginary_books import ACK, Connections, PlainSnapshots, RangedMarket, Rebuilt, change, whole
from market_collector.book.rule import BookRule, Proof
from market_collector.errors import RequestFailedError
from market_collector.feed.effects import Effect, Fetch, Question
from market_collector.feed.feed import Feed
from market_collector.feed.rest_snapshots import RETRY_S, WAIT_S
from market_collector.feed.subscription import UPDATES_WAITING
from market_collector.model.events import Connected, Gap, Lost, Orderbook, Resync
from traced_memory import kept_bytes


def market_of_one() -> tuple[Connections, Feed, Fetch]:
    """A connection that has asked for its snapshot."""
    market = Connections(BookRule(Proof.RANGE), book_snapshots=PlainSnapshots())
    feed = market.open()
    (fetch,) = market.asks(feed, 1)
    assert fetch.question is Question.SNAPSHOT
    return market, feed, fetch


def links(market: Connections) -> list[tuple[int | None, int | None]]:
    return [(each.previous_sequence, each.sequence) for each in market.books]


def test_no_snapshot_is_requested_before_the_acknowledgement() -> None:
    market = Connections(BookRule(Proof.RANGE), book_snapshots=PlainSnapshots())
    feed = Feed("public", market.exchange, list(market.ledger.streams), market.ledger, ping_interval_s=20.0)
    feed.opened(at(0))
    assert market.asks(feed, 1) == []
    market.gets(feed, ACK, 1.1)
    assert len(market.asks(feed, 1.2)) == 1
    assert market.asks(feed, 1.4) == [], "one request at a time"


def test_snapshot_of_a_quiet_book_is_published() -> None:
    market, feed, fetch = market_of_one()
    market.answers(feed, fetch, whole(10, {"5": "1"}), 2)
    assert links(market) == [(None, 10)]
    assert feed.is_settled


def test_snapshot_drops_the_updates_that_it_contains_and_takes_the_rest() -> None:
    market, feed, fetch = market_of_one()
    for first, last in ((5, 8), (8, 12), (12, 13)):
        market.gets(feed, change(first, last, {"5": str(last)}), 1.5)
    assert market.books == []
    market.answers(feed, fetch, whole(10, {"5": "1"}), 2)
    assert links(market) == [(None, 10), (10, 12), (12, 13)]
    assert market.ledger.skipped_updates == 0


def test_snapshot_older_than_the_updates_is_requested_again_later() -> None:
    market, feed, fetch = market_of_one()
    market.gets(feed, change(12, 13, {"5": "3"}), 1.5)
    now = 2.0
    for delay_s in RETRY_S[:4]:
        effects = market.answers(feed, fetch, whole(11, {"5": "1"}), now)
        assert sent(effects) == reconnects(effects) == []
        assert market.asks(feed, now + delay_s - 0.01) == []
        now += delay_s
        (fetch,) = market.asks(feed, now)
    assert market.books == []
    market.answers(feed, fetch, whole(12, {"5": "1"}), now)
    assert links(market) == [(None, 12), (12, 13)]


@pytest.mark.parametrize("answer", [NO_ANSWER, b"no book"])
def test_failed_snapshot_is_requested_again_on_the_same_connection(answer: bytes | RequestFailedError) -> None:
    market, feed, fetch = market_of_one()
    effects = market.answers(feed, fetch, answer, 2)
    assert sent(effects) == reconnects(effects) == []
    for second in range(3, 60):
        assert reconnects(feed.woken(at(second))) == []
        market.gets(feed, change(second, second + 1, {"5": "1"}), second)
    assert not feed.is_settled


def test_gap_asks_for_a_snapshot_without_unsubscribing() -> None:
    market, feed, fetch = market_of_one()
    market.answers(feed, fetch, whole(10, {"5": "1"}), 2)
    effects = market.gets(feed, change(11, 12, {"5": "3"}), 3)
    (fetch,) = [each for each in effects if isinstance(each, Fetch)]
    assert sent(effects) == []
    market.gets(feed, change(12, 13, {"5": "4"}), 3.1)
    market.answers(feed, fetch, whole(11, {"5": "2"}), 3.2)
    assert [type(each) for each in market.records if not isinstance(each, Connected)] == [
        Orderbook, Gap, Resync, Lost, Orderbook, Orderbook, Orderbook,
    ]  # fmt: skip
    assert links(market) == [(None, 10), (None, 11), (11, 12), (12, 13)]


def test_gaps_in_a_row_slow_down_the_requests() -> None:
    market, feed, fetch = market_of_one()
    market.answers(feed, fetch, whole(10, {}), 2)
    market.gets(feed, change(11, 12, {}), 3)
    market.answers(feed, fetch, whole(12, {}), 3.1)
    effects = market.gets(feed, change(13, 14, {}), 3.2)
    assert not [each for each in effects if isinstance(each, Fetch)]
    assert market.asks(feed, 8.1) == []
    assert len(market.asks(feed, 8.3)) == 1


def test_update_lost_while_waiting_makes_the_earlier_ones_useless() -> None:
    market, feed, fetch = market_of_one()
    market.gets(feed, change(5, 8, {}), 1.5)
    market.gets(feed, change(9, 10, {}), 1.6)
    market.answers(feed, fetch, whole(6, {}), 2)
    assert market.books == []
    (fetch,) = market.asks(feed, 3)
    market.answers(feed, fetch, whole(9, {}), 3)
    assert links(market) == [(None, 9), (9, 10)]
    assert market.ledger.gaps.detected == 0


def test_waiting_updates_are_limited_by_time_and_number() -> None:
    market, feed, fetch = market_of_one()
    for number in range(UPDATES_WAITING + 5):
        market.gets(feed, change(number, number + 1, {}), 1.5)
    market.answers(feed, fetch, whole(4, {}), 2)
    assert market.books == []
    (fetch,) = market.asks(feed, 3)
    market.gets(feed, change(UPDATES_WAITING + 5, UPDATES_WAITING + 6, {}), 1.6 + WAIT_S)
    market.answers(feed, fetch, whole(UPDATES_WAITING + 4, {}), 2 + WAIT_S)
    assert market.books == []
    (fetch,) = market.asks(feed, 4 + WAIT_S)
    market.answers(feed, fetch, whole(UPDATES_WAITING + 5, {}), 4 + WAIT_S)
    assert len(market.books) == 2


def test_waiting_updates_take_little_memory() -> None:
    """A snapshot may be late by 10 s. Of a busy book, that is 100 updates of 250 levels."""
    market, feed, _ = market_of_one()
    levels = {f"{price}.12000000": "12.34567800" for price in range(50_000, 50_250)}
    frames = [msgspec.json.encode(change(number, number + 1, levels)) for number in range(100)]
    assert kept_bytes(lambda: [market.gets(feed, frame, 1.5) for frame in frames]) < 1_500_000


@pytest.mark.parametrize("is_synced", [False, True])
@pytest.mark.parametrize("end", [lambda feed: feed.closed("cut", at(2)), lambda feed: feed.stopped(at(2))])
def test_ended_connection_keeps_no_levels(end: Callable[[Feed], list[Effect]], *, is_synced: bool) -> None:
    """Cycles of references keep its objects until the garbage collector runs, which is seldom."""
    market, feed, fetch = market_of_one()
    if is_synced:
        market.answers(feed, fetch, whole(0, {}), 1.4)
    frames = [
        msgspec.json.encode(change(number, number + 1, {f"{price}.12": "12.34" for price in range(250)}))
        for number in range(100)
    ]

    def live() -> None:
        for frame in frames:
            feed.received(frame, at(1.5))
        end(feed)

    assert kept_bytes(live) < 100_000


def test_answer_for_an_earlier_subscription_is_not_used() -> None:
    market, feed, fetch = market_of_one()
    market.keep(feed._requests.resubscribe(list(market.ledger.streams), at(1.5)))
    market.gets(feed, ACK, 1.6)
    market.answers(feed, fetch, whole(10, {}), 2)
    assert market.books == []
    assert len(market.asks(feed, 3)) == 1


PRICES = ("1", "2", "3", "4")
CHANGES = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from(("0", "1", "2", "3"))), min_size=1, max_size=40)


@given(CHANGES, st.data())
def test_book_is_right_whenever_snapshots_and_updates_come(changes: list[tuple[str, str]], data: st.DataObject) -> None:
    """Updates may be lost, and a snapshot may show a state from long before or after the updates."""
    truth = RangedMarket(changes)
    market, feed, fetch = market_of_one()
    fetches, reached, lost, now = [fetch], 0, 0, 2.0
    while reached < len(changes):
        now += 0.3
        fetches += market.asks(feed, now)
        if fetches != [] and data.draw(st.booleans()):
            state = data.draw(st.integers(0, len(changes)))
            effects = market.answers(feed, fetches.pop(), whole(state, truth.states[state]), now)
        else:
            last = data.draw(st.integers(reached + 1, len(changes)))
            is_lost = data.draw(st.sampled_from((False, False, False, True)))
            update = change(reached, last, truth.update(reached, last))
            effects = [] if is_lost else market.gets(feed, update, now)
            lost, reached = lost + is_lost, last
        fetches += [each for each in effects if isinstance(each, Fetch)]
        assert sent(effects) == []
    rebuilt = Rebuilt()
    for record in market.books:
        rebuilt.take(record)
        assert record.sequence is not None
        assert rebuilt.bids == truth.states[record.sequence]
    assert market.ledger.gaps.detected <= lost
