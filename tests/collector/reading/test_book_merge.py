"""One book from several replicas: gaps that another replica bridges leave no trace."""

from collections.abc import Sequence

from msgspec.structs import replace

from market_collector.model.events import Orderbook
from market_collector.reading.book_merge import CATCH_UP_NS, BookMerge, BookRecord
from records import BOOK, at, gap, lost, repaired, repeat, snapshot, update

A, B = 0, 1
GAP, LOST = gap("a", 3, None, stream=BOOK), lost("a", stream=BOOK)
OTHER_GAP, OTHER_LOST = gap("b", 4, None, stream=BOOK), lost("b", stream=BOOK)


def merged(*steps: tuple[int, BookRecord]) -> list[BookRecord]:
    """The merged records of these steps: each is a replica with its record."""
    book = BookMerge()
    return [each for step in steps for each in take(book, *step)]


def take(book: BookMerge, replica: int, record: BookRecord) -> Sequence[BookRecord]:
    if isinstance(record, Orderbook):
        return book.take(replica, record)
    return book.gap(replica, record) if record in (GAP, OTHER_GAP) else book.close(replica, record)  # type: ignore[arg-type]


def numbers(first: int, last: int) -> list[Orderbook]:
    return [update(number - 1, number) for number in range(first, last + 1)]


def test_single_replica_stays_as_it_is() -> None:
    records: list[BookRecord] = [snapshot(1), *numbers(2, 3), GAP, LOST, snapshot(9), update(9, 10), snapshot(10)]
    assert merged(*((A, each) for each in records)) == records


def test_filled_gap_keeps_its_snapshot() -> None:
    records: list[BookRecord] = [snapshot(1), GAP, repaired("a", stream=BOOK), snapshot(1, 2), update(1, 2, 3)]
    assert merged(*((A, each) for each in records)) == records


def test_push_without_a_change_is_kept_once() -> None:
    same = update(2, 2, 3)
    found = merged((A, snapshot(1)), (B, snapshot(1)), (A, update(1, 2)), (A, same), (B, update(1, 2)), (B, same))
    assert found == [snapshot(1), update(1, 2), same]


def test_each_update_appears_once_from_whichever_replica_is_first() -> None:
    one, two, three = numbers(2, 4)
    found = merged((A, snapshot(1)), (B, snapshot(1)), (B, one), (A, one), (A, two), (B, two), (B, three), (A, three))
    assert found == [snapshot(1), one, two, three]


def test_gap_that_another_replica_bridges_is_left_out_with_its_snapshot() -> None:
    two, three, four, five = numbers(2, 5)
    found = merged(
        (A, snapshot(1)), (B, snapshot(1)), (A, two), (B, two), (A, GAP), (B, three), (A, LOST), (A, snapshot(3)),
        (A, four), (B, four), (B, five),
    )  # fmt: skip
    assert found == [snapshot(1), two, three, four, five]


def test_replica_that_recovers_ahead_waits_for_the_others() -> None:
    two, three, four, five, six = (update(number - 1, number, number / 10) for number in range(2, 7))
    found = merged(
        (A, snapshot(1, 0.1)), (B, snapshot(1, 0.1)), (A, GAP), (A, LOST), (A, snapshot(3, 0.3)), (A, four), (B, two),
        (B, three), (B, four), (A, five), (B, OTHER_GAP), (A, six),
    )  # fmt: skip
    assert found == [snapshot(1, 0.1), two, three, four, five, six]


def test_gap_is_reported_when_no_replica_bridges_it() -> None:
    two, three = numbers(2, 3)
    found = merged(
        (A, snapshot(1)), (B, snapshot(1)), (A, GAP), (B, two), (B, three), (B, OTHER_GAP), (A, LOST), (A, snapshot(9)),
        (B, OTHER_LOST), (B, snapshot(9)), (B, update(9, 10)), (A, update(9, 10)),
    )  # fmt: skip
    assert found == [snapshot(1), two, three, OTHER_GAP, GAP, LOST, snapshot(9), OTHER_LOST, update(9, 10)]


def test_gap_is_reported_when_the_clock_went_back_across_it() -> None:
    """The other replica's snapshot is beyond the gap, although it has an earlier time."""
    ahead, later = snapshot(60, 0.5), update(60, 61, 0.6)
    found = merged(
        (A, snapshot(1)), (B, snapshot(1)), (B, OTHER_GAP), (B, OTHER_LOST), (B, ahead), (A, update(1, 2)), (B, later),
        (A, GAP), (A, LOST), (A, snapshot(61, 0.6)),
    )  # fmt: skip
    assert found == [snapshot(1), update(1, 2), GAP, LOST, snapshot(61, 0.6)]


def test_replica_behind_is_known_after_the_clock_went_back() -> None:
    two, three, four = update(1, 2), update(2, 3, 0.5), update(3, 4, 0.6)
    found = merged((A, snapshot(1)), (B, snapshot(1)), (A, two), (A, three), (B, two), (A, GAP), (B, three), (B, four))
    assert found == [snapshot(1), two, three, four]


def test_replica_ahead_takes_over_after_a_second_with_its_gap() -> None:
    """The other replica is silent: it was killed."""
    late = replace(update(4, 5), receive_time_ns=at(3) + CATCH_UP_NS)
    found = merged(
        (A, snapshot(1)), (B, snapshot(1)), (A, GAP), (A, LOST), (A, snapshot(3)), (A, update(3, 4, 3)), (A, late)
    )
    assert found[:3] == [snapshot(1), GAP, LOST]
    taken = found[3]
    assert isinstance(taken, Orderbook)
    assert (taken.action, taken.sequence, taken.receive_time_ns) == ("snapshot", 5, late.receive_time_ns)
    assert (taken.bids, taken.asks) == (snapshot(3).bids, snapshot(3).asks)


def test_replica_ahead_takes_over_when_the_others_end() -> None:
    book = BookMerge()
    for replica in (A, B):
        book.take(replica, snapshot(1))
    assert [*book.gap(A, GAP), *book.take(A, snapshot(3))] == []
    book.end(B)
    taken, next_update = [*book.take(A, update(3, 4))], update(4, 5)
    assert taken[0] == GAP
    assert isinstance(taken[1], Orderbook)
    assert (taken[1].action, taken[1].sequence) == ("snapshot", 4)
    assert book.take(A, next_update) == [next_update]


def test_second_gap_before_the_first_was_bridged_reports_both() -> None:
    book = BookMerge()
    for replica in (A, B):
        book.take(replica, snapshot(1))
    assert [*book.gap(A, GAP), *book.close(A, LOST), *book.take(A, snapshot(3))] == []
    book.end(B)
    assert book.gap(A, OTHER_GAP) == [GAP, LOST, OTHER_GAP]


def test_file_that_starts_within_a_chain_is_read_until_a_snapshot_comes() -> None:
    two, three, four = numbers(2, 4)
    found = merged((A, two), (A, three), (B, snapshot(3)), (A, four), (B, four))
    assert found == [two, three, snapshot(3), four]


def test_replica_without_a_snapshot_does_not_disturb_the_others() -> None:
    two, three = numbers(2, 3)
    found = merged((A, snapshot(1)), (B, update(7, 8, 1)), (A, two), (B, update(8, 9, 1)), (A, three))
    assert found == [snapshot(1), two, three]


def test_repeated_snapshot_of_a_known_state_is_left_out() -> None:
    two, three = numbers(2, 3)
    found = merged((A, snapshot(1)), (A, two), (A, repeat(snapshot(2))), (A, three))
    assert found == [snapshot(1), two, three]


def test_repeated_snapshot_of_a_replica_behind_is_left_out() -> None:
    two, three, four = numbers(2, 4)
    found = merged(
        (A, snapshot(1)), (B, snapshot(1)), (A, two), (B, two), (A, three), (B, repeat(snapshot(2), 3)), (B, three),
        (B, four), (A, four),
    )  # fmt: skip
    assert found == [snapshot(1), two, three, four]


def test_repeated_snapshot_starts_the_book_of_a_file() -> None:
    start = repeat(snapshot(2))
    assert merged((A, start), (A, update(2, 3)), (A, repeat(snapshot(3)))) == [start, update(2, 3)]


def test_repeated_snapshot_lets_another_replica_continue() -> None:
    """B starts in the middle of A."""
    two, three, four = numbers(2, 4)
    found = merged((A, snapshot(1)), (A, two), (B, repeat(snapshot(2))), (A, GAP), (B, three), (A, LOST), (B, four))
    assert found == [snapshot(1), two, three, four]
