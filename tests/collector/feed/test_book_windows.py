"""Books of which the collector knows a part: published records, compared with an independent rebuild."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feed_life import BOOK, at, reconnects, sent
from imaginary_books import ACK, Connections, PlainSnapshots, RangedMarket, Rebuilt, change, levels, whole
from market_collector.book.book import Book
from market_collector.book.checksum import interleaved_crc32
from market_collector.book.rule import BookRule, BookWindow, Proof, Scope
from market_collector.feed import one_publisher
from market_collector.feed.effects import Fetch, Send
from market_collector.feed.feed import Feed
from market_collector.model.events import Gap, Lost, Orderbook
from market_collector.model.streams import StreamState
from market_collector.verify.books import BookLine
from traced_memory import kept_bytes

TRIMMED = BookRule(Proof.CHECKSUM, Scope.CONNECTION, BookWindow.TRIM)
RANGED = BookRule(Proof.RANGE, Scope.INSTRUMENT, BookWindow.KNOWN_RANGE)


@pytest.mark.parametrize("depth", [None, 50])
def test_wanted_depth_reaches_the_requests_of_the_exchange(depth: int | None) -> None:
    market = Connections(RANGED, depth=depth, book_snapshots=PlainSnapshots())
    feed = Feed("public", market.exchange, [BOOK], market.ledger, ping_interval_s=20.0, book_depth=depth)
    (request,) = [each.text for each in feed.opened(at(0)) if isinstance(each, Send)]
    assert request == ("subscribe" if depth is None else "subscribe 50 levels")
    (fetch,) = market.asks(market.open(), 1)
    assert fetch.request.path == f"/book?depth={depth}"


# -- levels that the collector trims


def test_level_that_is_pushed_out_is_deleted_in_the_same_update() -> None:
    market = Connections(TRIMMED)
    feed = market.open()
    market.gets(feed, whole(0, {"5": "1", "4": "1"}, {"6": "1", "7": "1"}, depth=2))
    market.gets(feed, change(0, 1, {"4.5": "2"}, {"6.5": "2"}))
    assert market.books[-1].bids == levels({"4.5": "2", "4": "0"})
    assert market.books[-1].asks == levels({"6.5": "2", "7": "0"})
    market.gets(feed, change(1, 2, {"5": "3"}))
    assert market.books[-1].bids == levels({"5": "3"})


def test_checksum_is_that_of_the_trimmed_book() -> None:
    market = Connections(TRIMMED)
    market.exchange.is_intact = lambda book, checksum: interleaved_crc32(book) == checksum  # type: ignore[method-assign]
    feed = market.open()
    market.gets(feed, whole(0, {"5": "1", "4": "1"}, depth=2))
    after = interleaved_crc32(Book(whole(1, {"5": "1", "4.5": "2"})))
    market.gets(feed, change(0, 1, {"4.5": "2"}, checksum=after))
    assert len(market.books) == 2
    market.gets(feed, change(1, 2, {"4.6": "2"}, checksum=after))
    assert len(market.books) == 2


def test_checksum_that_never_matches_ends_no_connection() -> None:
    market = Connections(TRIMMED)
    market.exchange.is_intact = lambda book, checksum: checksum == 1  # type: ignore[method-assign]
    feed, progress = market.open(), market.ledger.streams[BOOK]
    asked_at, is_asked = list[int](), True
    for second in range(1, 700):
        effects = market.keep(feed.woken(at(second)))
        market.gets(feed, ACK, second)
        if is_asked or any(isinstance(each, Send) and each.text.startswith("subscribe") for each in effects):
            asked_at.append(second)
            answer = market.gets(feed, whole(second, {"5": "1"}, depth=2, checksum=2), second)
            is_asked = any(isinstance(each, Send) for each in answer)
        market.ledger.age(at(second))
        assert not reconnects(effects)
    assert not market.books
    assert asked_at == [1, 2, 7, 307, 308, 313, 613, 614, 619]
    assert (progress.state, progress.reason) == (StreamState.STALE, "ChecksumUnreliable")
    market.gets(feed, whole(1, {"5": "1"}, depth=2, checksum=1), 701)
    assert (progress.state, len(market.books)) == (StreamState.LIVE, 1)


PRICES = tuple(map(str, range(1, 10)))
CHANGES = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from(("0", "1", "2"))), min_size=1, max_size=60)
DEPTH = 3


def best(book: dict[str, str], count: int) -> dict[str, str]:
    """The best bids."""
    return {price: book[price] for price in sorted(book, key=float, reverse=True)[:count]}


@given(CHANGES)
def test_trimmed_book_is_right_for_a_reader_that_never_trims(changes: list[tuple[str, str]]) -> None:
    """An exchange that does not delete what leaves the depth, and sends again what returns to it."""
    truth, market = RangedMarket(changes), Connections(TRIMMED)
    feed, rebuilt = market.open(), Rebuilt()
    market.gets(feed, whole(0, {}, depth=DEPTH))
    for number, (before, after) in enumerate(zip(truth.states, truth.states[1:], strict=False)):
        seen, now = best(before, DEPTH), best(after, DEPTH)
        deleted = {price: "0" for price in seen if price not in after}
        changed = {price: amount for price, amount in now.items() if seen.get(price) != amount}
        market.gets(feed, change(number, number + 1, deleted | changed))
        assert len(market.books) == number + 2
    for record, state in zip(market.books, truth.states, strict=True):
        rebuilt.take(record)
        assert rebuilt.bids == best(state, DEPTH)
    assert is_verified(market)


# -- a range of prices that is known


def ranged(depth: int = 2) -> tuple[Connections, Feed]:
    """A connection whose snapshot of four levels is published."""
    market = Connections(RANGED, depth=depth, book_snapshots=PlainSnapshots())
    feed = market.open()
    (fetch,) = market.asks(feed, 1)
    market.answers(feed, fetch, whole(10, {"9": "1", "8": "1", "7": "1", "6": "1"}, depth=4), 1)
    return market, feed


def test_levels_beyond_the_known_range_are_not_published() -> None:
    market, feed = ranged()
    market.gets(feed, change(10, 11, {"5": "1", "6": "0"}))
    market.gets(feed, change(11, 12, {"4": "1"}))
    assert [each.bids for each in market.books[1:]] == [levels({"6": "0"}), []]


def test_known_range_is_renewed_without_a_gap_before_levels_are_short() -> None:
    market, feed = ranged()
    market.gets(feed, change(10, 11, {"9": "0"}), 2)
    assert market.asks(feed, 3) == []
    market.gets(feed, change(11, 12, {"8": "0"}), 20)
    assert market.asks(feed, 20.5) == []
    (fetch,) = market.asks(feed, 21)
    effects = market.answers(feed, fetch, whole(12, {"7": "1", "6": "1", "5": "1", "4": "1"}, depth=4), 22)
    assert sent(effects) == []
    assert [each.action for each in market.books] == ["snapshot", "update", "update", "snapshot"]
    assert market.books[-1].bids == levels({"7": "1", "6": "1", "5": "1", "4": "1"})
    assert not [each for each in market.records if isinstance(each, Gap)]
    market.gets(feed, change(12, 13, {"4": "2", "3": "1"}), 23)
    assert market.books[-1].bids == levels({"4": "2"})


@pytest.mark.parametrize("has_quotes", [False, True])
@pytest.mark.parametrize("at_once", [False, True])
def test_book_without_a_known_level_on_a_side_is_not_published(has_quotes: bool, at_once: bool) -> None:
    """The market has left the snapshot's prices, so its best bid is not known."""
    market, feed = ranged()
    market.ledger.books.has_quotes = has_quotes
    gone = dict.fromkeys(("9", "8", "7", "6"), "0")
    parts = [gone] if at_once else [{price: "0"} for price in gone]
    for number, part in enumerate(parts, 10):
        effects = market.gets(feed, change(number, number + 1, part), 2)
    (fetch,) = [each for each in effects if isinstance(each, Fetch)]
    end = 10 + len(parts)
    assert len(market.books) == len(parts), "the snapshot and all updates but the last"
    (gap,) = [each for each in market.records if isinstance(each, Gap)]
    assert (gap.reason, gap.after_sequence) == ("OutOfRange", end - 1)
    market.gets(feed, change(end, end + 1, {"5": "1"}), 2)
    market.answers(feed, fetch, whole(end, {"4": "1", "3": "1", "2": "1", "1": "1"}, depth=4), 3)
    assert [(each.action, each.sequence) for each in market.books[len(parts) :]] == [
        ("snapshot", end),
        ("update", end + 1),
    ]
    assert [each.resumed_sequence for each in market.records if isinstance(each, Lost)] == [end]


def test_renewal_that_the_market_has_left_already_is_not_used() -> None:
    market, feed, fetch = short()
    market.gets(feed, change(12, 13, {"7": "0", "5": "1"}), 21.5)
    market.answers(feed, fetch, whole(12, {"7": "1"}, depth=1), 22)
    assert [each.action for each in market.books] == ["snapshot", "update", "update"]
    market.gets(feed, change(13, 14, {"6": "2"}), 23)
    assert market.books[-1].bids == levels({"6": "2"})


def short() -> tuple[Connections, Feed, Fetch]:
    """A book in state 12 that asks for another snapshot."""
    market, feed = ranged()
    market.gets(feed, change(10, 12, {"9": "0", "8": "0"}), 20)
    market.asks(feed, 20.5)
    (fetch,) = market.asks(feed, 21)
    return market, feed, fetch


def test_known_range_is_renewed_again_after_ten_seconds() -> None:
    market, feed, fetch = short()
    market.answers(feed, fetch, whole(12, {"7": "1", "6": "1", "5": "1", "4": "1"}, depth=4), 22)
    market.gets(feed, change(12, 14, {"7": "0", "6": "0"}), 22.5)
    asked = [time for time in (23, 25, 27, 29, 31.9, 32.1) if "/book?depth" in str(market.asks(feed, time))]
    assert asked == [32.1]


def test_snapshot_ahead_of_the_book_waits_for_the_updates() -> None:
    market, feed, fetch = short()
    market.answers(feed, fetch, whole(14, {"7": "4", "5": "1"}, depth=2), 21.1)
    market.gets(feed, change(12, 13, {"7": "3"}), 21.2)
    assert market.asks(feed, 21.3) == []
    market.gets(feed, change(13, 15, {"7": "4", "6": "0", "5": "1", "4": "1"}), 21.4)
    market.asks(feed, 21.6)
    assert [(each.action, each.sequence) for each in market.books[2:]] == [
        ("update", 13), ("update", 15), ("snapshot", 15),
    ]  # fmt: skip
    assert market.books[-1].bids == levels({"7": "4", "5": "1"})


def test_renewal_that_fails_leaves_the_book_and_is_tried_again() -> None:
    market, feed, fetch = short()
    market.gets(feed, change(12, 13, {"7": "3"}), 21.1)
    market.answers(feed, fetch, whole(11, {"7": "1"}, depth=1), 21.2)
    assert market.books[-1].action == "update"
    assert len(market.asks(feed, 22)) == 1
    assert market.ledger.gaps.detected == 0


def test_gap_during_a_renewal_takes_its_snapshot() -> None:
    market, feed, fetch = short()
    market.answers(feed, fetch, whole(14, {"7": "4"}, depth=1), 21.1)
    market.gets(feed, change(13, 15, {"7": "5"}), 21.2)
    market.asks(feed, 21.5)
    assert [(each.action, each.sequence) for each in market.books[2:]] == [("snapshot", 14), ("update", 15)]


def test_successor_with_another_range_starts_with_its_snapshot() -> None:
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=2), 3)
    market.gets(second, change(10, 11, {"8": "2"}), 4)
    market.gets(first, change(10, 11, {"8": "2", "6": "2"}), 4)
    market.keep(first.closed("cut", at(5)))
    market.gets(second, change(11, 12, {"7": "5", "8": "3"}), 6)
    assert [(each.action, each.sequence) for each in market.books] == [
        ("snapshot", 10), ("update", 11), ("snapshot", 11), ("update", 12),
    ]  # fmt: skip
    assert [each.bids for each in market.books[2:]] == [levels({"9": "1", "8": "2"}), levels({"8": "3"})]
    assert market.ledger.gaps.detected == 0


@pytest.mark.parametrize("ends", [[11, 12, 15], [13, 15], [15]])
def test_successor_that_is_ahead_leaves_out_no_state(ends: list[int]) -> None:
    """Its server cuts later, so that none of its next updates would follow the state published last."""
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=2), 3)
    for start, end in pairwise([10, *ends]):
        market.gets(second, change(start, end, {"8": str(end)}), 4)
    market.gets(first, change(10, 12, {"8": "12", "6": "2"}), 4)
    market.keep(first.closed("replaced", at(5)))
    reader = Rebuilt()
    for record in market.books:
        reader.take(record)
    reached = next(end for end in ends if end >= 12)
    assert [(each.action, each.sequence) for each in market.books[1:3]] == [("update", 12), ("snapshot", reached)]
    assert (reader.sequence, reader.bids) == (15, {"9": "1", "8": "15"})
    assert market.ledger.gaps.detected == 0


def test_successor_waits_until_its_snapshot_is_published() -> None:
    """Snapshots over REST are ahead of the updates, which come every 100 ms."""
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(13, {"9": "1", "8": "1"}, depth=2), 3)
    assert not second.is_complete
    market.gets(first, change(10, 14, {"8": "2"}), 4)
    assert second.is_complete
    market.gets(second, change(13, 15, {"8": "3"}), 5)
    market.keep(first.closed("replaced", at(6)))
    assert [(each.action, each.sequence) for each in market.books[-2:]] == [("update", 14), ("snapshot", 15)]
    assert market.ledger.gaps.detected == 0


def test_successor_that_lags_starts_once_it_is_ahead() -> None:
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=2), 3)
    market.gets(first, change(10, 12, {"8": "2"}), 4)
    market.gets(second, change(10, 11, {"8": "2"}), 4)
    market.keep(first.closed("replaced", at(5)))
    assert market.books[-1].sequence == 12
    market.gets(second, change(11, 13, {"8": "3"}), 6)
    assert (market.books[-1].action, market.books[-1].sequence) == ("snapshot", 13)
    assert market.ledger.gaps.detected == 0


def test_connection_without_a_trail_can_take_over() -> None:
    """The publisher was out of sync, and started again before the other connection had the next state."""
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=2), 3)
    market.gets(first, change(10, 12, {"8": "2"}), 4)
    (again,) = [each for each in market.gets(first, change(14, 15, {"8": "5"}), 5) if isinstance(each, Fetch)]
    market.answers(first, again, whole(15, {"9": "1", "8": "5"}, depth=2), 6)
    market.gets(second, change(10, 15, {"8": "5"}), 7)
    market.gets(second, change(15, 16, {"8": "6"}), 8)
    market.gets(first, change(15, 16, {"8": "6"}), 8)
    market.keep(first.closed("replaced", at(9)))
    assert (market.books[-1].action, market.books[-1].sequence) == ("snapshot", 16)


def test_trail_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_publisher, "UPDATES_KEPT", 2)
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=2), 3)
    for end in range(11, 15):
        market.gets(second, change(end - 1, end, {"8": str(end)}), 4)
    market.keep(first.closed("lost", at(5)))
    (gap,) = [record for record in market.records if isinstance(record, Gap)]
    assert (gap.after_sequence, market.books[-1].sequence) == (10, 14)


def test_trail_takes_little_memory() -> None:
    market, _ = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=250), 3)
    amounts = {f"{price}.12000000": "12.34567800" for price in range(10_000, 10_250)}
    frames = [msgspec.json.encode(change(end - 1, end, amounts)) for end in range(11, 61)]

    def follow() -> None:
        for frame in frames:
            market.gets(second, frame, 4)
        market.asks(second, 5)

    assert kept_bytes(follow) < 800_000


def test_successor_of_a_quiet_book_starts_without_an_update() -> None:
    market, first = ranged()
    second = market.open(2)
    (fetch,) = market.asks(second, 3)
    market.answers(second, fetch, whole(10, {"9": "1", "8": "1"}, depth=2), 3)
    market.keep(first.closed("cut", at(5)))
    market.asks(second, 5.25)
    assert [(each.action, each.sequence) for each in market.books] == [("snapshot", 10), ("snapshot", 10)]
    (repeated,) = market.ledger.books.repeat_all("rotation", at(6)) or []
    assert repeated.bids == levels({"9": "1", "8": "1"})
    assert market.ledger.gaps.detected == 0


LONG = st.lists(st.tuples(st.sampled_from(PRICES), st.sampled_from(("0", "0", "1", "2"))), min_size=20, max_size=80)


@given(LONG, st.data())
def test_known_range_is_complete_whatever_the_snapshots_show(
    changes: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Each published state has exactly the exchange's levels from the worst price of the last snapshot on.

    There is a gap only where the market has left the levels that the snapshot shows.
    """
    full = [(price, "1") for price in PRICES]
    truth = RangedMarket(full + changes)
    market = Connections(RANGED, depth=DEPTH, book_snapshots=PlainSnapshots())
    feed, reached, now, fetches = market.open(), len(full), 0.0, list[Fetch]()
    while reached < len(truth.changes):
        now += 0.3
        fetches += market.asks(feed, now)
        if fetches != [] and data.draw(st.booleans()):
            state = data.draw(st.integers(max(len(full), reached - 3), min(len(truth.changes), reached + 3)))
            limit = data.draw(st.integers(DEPTH, 6))
            snapshot = whole(state, best(truth.states[state], limit), depth=limit)
            fetches += [each for each in market.answers(feed, fetches.pop(), snapshot, now) if isinstance(each, Fetch)]
        else:
            last = data.draw(st.integers(reached + 1, min(len(truth.changes), reached + 4)))
            market.gets(feed, change(reached, last, truth.update(reached, last)), now)
            reached, now = last, now + data.draw(st.sampled_from((0, 0, 12)))
    rebuilt, floor, is_partial = Rebuilt(), 0.0, False
    for record in market.books:
        rebuilt.take(record)
        assert record.sequence is not None
        if record.action == "snapshot":
            floor, is_partial = _floor(record), len(record.bids) == record.depth
        expected = {p: a for p, a in truth.states[record.sequence].items() if float(p) >= floor}
        assert {p: a for p, a in rebuilt.bids.items() if float(p) >= floor} == expected
        assert expected or not is_partial
    reasons = {each.reason for each in market.records if isinstance(each, Gap)}
    assert reasons == {"OutOfRange"} if reasons else is_verified(market)


def is_verified(market: Connections) -> bool:
    """Whether `verify` finds one unbroken chain that it can follow from the first record on."""
    line = BookLine()
    for record in market.books:
        line.take(record, record.exchange_time_ns or 0)
    line.finish()
    return len(line.chains) <= 1 and not line.breaks and not line.findings and line.unproved == 0


def _floor(snapshot: Orderbook) -> float:
    return min((float(level.price) for level in snapshot.bids), default=0.0)
