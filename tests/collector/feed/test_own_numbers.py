"""Books of an exchange whose numbers count on one connection only: one connection publishes each."""

from hypothesis import given
from hypothesis import strategies as st

from feed_life import BOOK, at
from imaginary_books import Connections, Rebuilt, change, whole
from market_collector.api.book import BookView
from market_collector.book.rule import BookRule, Proof, Scope
from market_collector.feed.checkpoint_state import LinePosition, Positions, StreamPosition, Written, positions, resume
from market_collector.feed.feed import Feed
from market_collector.feed.handover import CONTRACT, Handover, RunningPod, Takeover
from market_collector.feed.stream_state import BookProgress
from market_collector.model.events import Disconnected, Gap, Lost, Orderbook, Record
from market_collector.model.reasons import DisconnectReason

RULE = BookRule(Proof.CONNECTION, Scope.CONNECTION)
REPLACED = DisconnectReason.REPLACED


def market_of_two() -> tuple[Connections, Feed, Feed]:
    """Two connections with the same book, whose numbers are equal by chance. The first one publishes."""
    market = Connections(RULE)
    first, second = market.open(), market.open()
    market.gets(first, whole(1, {"5": "1"}))
    market.gets(second, whole(1, {"5": "1"}))
    return market, first, second


def kinds(records: list[Record]) -> list[type[Record]]:
    return [type(record) for record in records]


def progress_of(market: Connections) -> BookProgress:
    return market.ledger.books.streams[BOOK]


def test_one_connection_publishes_although_numbers_of_both_are_equal() -> None:
    market, first, second = market_of_two()
    market.gets(second, change(1, 2, {"5": "3"}))
    market.gets(first, change(1, 2, {"5": "2"}))
    market.gets(second, change(2, 3, {"5": "4"}))
    assert [each.bids[0].amount for each in market.books] == ["1", "2"]


def test_published_numbers_run_on_from_the_clock_and_the_checkpoint() -> None:
    market = Connections(RULE)
    feed = market.open()
    market.gets(feed, whole(70, {"5": "1"}), 3)
    market.gets(feed, change(70, 94, {"5": "2"}), 4)
    assert [(each.previous_sequence, each.sequence) for each in market.books] == [
        (None, 3_000_000),
        (3_000_000, 3_000_001),
    ]
    later = Connections(RULE)
    saved = positions(market.ledger, [], {})
    records = [
        each for effect in resume(later.ledger, saved, Written({}, {}, {}, ()), at(9)) for each in effect.records
    ]
    assert [each.after_sequence for each in records if isinstance(each, Gap)] == [3_000_001]
    later.gets(later.open(9), whole(1, {"5": "1"}), 10)
    assert kinds(later.records) == [Lost, Orderbook]
    assert later.books[0].sequence == 3_000_002


def test_equal_books_are_handed_over_without_a_record() -> None:
    market, first, second = market_of_two()
    market.keep(first.closed("replaced", at(2), None, REPLACED))
    market.gets(second, change(1, 2, {"5": "2"}))
    assert kinds(market.records) == [Orderbook, Disconnected, Orderbook]
    assert market.books[1].previous_sequence == market.books[0].sequence


def test_the_successor_publishes_as_soon_as_its_book_is_equal() -> None:
    market, first, second = market_of_two()
    market.gets(second, change(1, 2, {"5": "2"}))
    assert market.ledger.check_overdue(at(2)) == []
    market.gets(first, change(1, 2, {"5": "2"}))
    assert market.ledger.check_overdue(at(3)) == []
    market.gets(second, change(2, 3, {"5": "3"}))
    market.gets(first, change(2, 3, {"5": "9"}))
    assert [each.bids[0].amount for each in market.books] == ["1", "2", "3"]


def test_another_book_is_handed_over_by_its_snapshot_without_a_gap() -> None:
    market, first, second = market_of_two()
    market.gets(second, change(1, 2, {"5": "2"}))
    market.keep(first.closed("replaced", at(2), None, REPLACED))
    assert kinds(market.records) == [Orderbook, Disconnected, Orderbook]
    start, again = market.books
    assert (again.action, again.sequence, again.bids[0].amount) == ("snapshot", (start.sequence or 0) + 1, "2")


def test_the_death_of_the_publisher_is_a_lost_gap_up_to_the_successor() -> None:
    market, first, second = market_of_two()
    market.gets(second, change(1, 2, {"5": "2"}))
    market.keep(first.closed("cut", at(2)))
    assert kinds(market.records) == [Orderbook, Disconnected, Gap, Lost, Orderbook]
    market.gets(second, change(2, 3, {"5": "3"}))
    assert market.books[-1].previous_sequence == market.books[-2].sequence


def test_the_death_of_the_publisher_is_no_gap_if_the_books_are_equal() -> None:
    market, first, _ = market_of_two()
    market.keep(first.closed("cut", at(2)))
    assert kinds(market.records) == [Orderbook, Disconnected]
    assert progress_of(market).publisher != 0


def test_a_new_snapshot_of_the_publisher_is_published() -> None:
    market, first, second = market_of_two()
    market.gets(second, whole(9, {"6": "1"}))
    market.gets(first, whole(9, {"5": "7"}))
    assert [each.bids[0].amount for each in market.books] == ["1", "7"]


def test_a_repeated_book_has_the_number_published_last() -> None:
    market, first, _ = market_of_two()
    market.gets(first, change(1, 2, {"5": "2"}))
    repeated = (market.ledger.books.repeat_all("rotation", at(5)) or [])[0]
    last = market.books[-1].sequence
    assert (repeated.previous_sequence, repeated.sequence, repeated.bids[0].amount) == (last, last, "2")
    (current,) = market.ledger.books.current_snapshots(progress_of(market), at(5))
    assert isinstance(current, Orderbook)
    assert current.sequence == last


def test_a_book_that_is_read_has_the_number_published_last() -> None:
    market, first, _ = market_of_two()
    view = BookView("BTC-USDT", lambda: market.ledger.books.proved(progress_of(market)))
    for number in (1, 2):
        market.gets(first, change(number, number + 1, {"5": "2"}))
        assert view.sequence == market.books[-1].sequence


def test_a_stop_hands_the_book_to_the_other_connection() -> None:
    market, first, second = market_of_two()
    market.gets(second, change(1, 2, {"5": "2"}))
    market.keep(first.stopped(at(2)))
    assert not [each for each in market.records if isinstance(each, Gap)]
    market.gets(second, change(2, 3, {"5": "3"}))
    assert [each.bids[0].amount for each in market.books] == ["1", "2", "3"]


STATES = [{"5": str(amount % 3 + 1)} for amount in range(12)]
"""The exchange's book over time; some states repeat."""


class Replacements:
    """Connections that come and go. Each is at its own time of the exchange, and counts its own messages."""

    def __init__(self) -> None:
        self.market = Connections(RULE)
        self.places: dict[int, tuple[Feed, int, int]] = {}
        """By connection number: its feed, the place of its state, and the number of its last message."""
        self.opened = 0
        self.rebuilt = Rebuilt()
        self.seen = 0

    def open(self, place: int) -> None:
        self.opened += 1
        feed = self.market.open()
        self.places[self.opened] = feed, place, 0
        self.market.gets(feed, whole(0, STATES[place]))

    def receive(self, number: int) -> None:
        feed, place, count = self.places[number]
        if place + 1 < len(STATES):
            self.places[number] = feed, place + 1, count + 1
            self.market.gets(feed, change(count, count + 1, STATES[place + 1]))

    def end(self, number: int, word: DisconnectReason | None) -> None:
        feed, *_ = self.places.pop(number)
        self.market.keep(feed.closed("x", at(2), None, word))

    def check(self) -> None:
        """Whatever was published links to the record before, and shows the publisher's book."""
        for record in self.market.books[self.seen :]:
            self.rebuilt.take(record)
        self.seen = len(self.market.books)
        publisher = progress_of(self.market).publisher
        if publisher in self.places:
            assert self.rebuilt.bids == STATES[self.places[publisher][1]]
            assert self.rebuilt.sequence == progress_of(self.market).head


@given(st.data())
def test_connections_in_turn_publish_one_book(data: st.DataObject) -> None:
    world = Replacements()
    world.open(0)
    deaths = 0
    for _ in range(data.draw(st.integers(1, 30))):
        number = data.draw(st.sampled_from(sorted(world.places) or [0]))
        match data.draw(st.sampled_from(("receive", "receive", "open", "replace", "die", "check"))):
            case "receive" if number:
                world.receive(number)
            case "open" if len(world.places) < 2:
                world.open(data.draw(st.integers(0, len(STATES) - 1)))
            case "replace" if len(world.places) == 2:
                world.end(min(world.places), REPLACED)
            case "die" if number:
                deaths += 1
                world.end(number, None)
            case "check":
                world.market.records += world.market.ledger.check_overdue(at(3))
        world.check()
    gaps = [record for record in world.market.records if isinstance(record, Gap)]
    assert len(gaps) <= deaths


def test_numbers_of_another_ledger_start_apart() -> None:
    one, other = Connections(RULE), Connections(RULE)
    one.gets(one.open(), whole(1, {"5": "1"}), 1)
    other.gets(other.open(), whole(1, {"5": "1"}), 1.5)
    assert (other.books[0].sequence or 0) - (one.books[0].sequence or 0) == 500_000


def taken_over(time_ns: int) -> tuple[Takeover, Connections]:
    """A pod whose first book is at exchange time 7 ns, while its predecessor's last one is at this time."""
    market = Connections(RULE)
    at_end = StreamPosition(LinePosition(head=5_000_000, time_ns=time_ns))
    document = Handover(CONTRACT, {}, {"old": RunningPod("old:8080", {str(BOOK): at_end})})
    takeover = Takeover(market.ledger, document, "me")
    takeover.inherit(Positions({}, [], [], {}), Written({}, {}, {}, ()), at(1))
    market.gets(market.open(), whole(7, {"5": "1"}), 2)
    takeover.on_report("old", {str(BOOK): at_end}, at(3))
    return takeover, market


def test_pods_that_overlap_in_time_leave_no_gap() -> None:
    takeover, _ = taken_over(7)
    assert takeover.is_covered
    assert takeover.on_gone("old", at(4)) == []


def test_pods_that_do_not_overlap_in_time_leave_a_gap() -> None:
    takeover, market = taken_over(6)
    assert not takeover.is_covered
    (emit,) = takeover.on_gone("old", at(4))
    assert kinds(list(emit.records)) == [Gap, Lost]
    assert market.ledger.gaps.all_open() == []
