"""One book from replicas that number its states differently."""

from collections.abc import Iterable

import pytest
from msgspec.structs import replace

from imaginary_exchange import ImaginaryExchange
from market_collector.book.rule import BookRule, BookWindow, Proof, Scope
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Gap, Level, Lost, Orderbook
from market_collector.reading.book_merge import BookMerge
from market_collector.reading.merge import Merge
from market_collector.reading.one_replica import BookRecord, OneReplicaMerge
from records import BOOK, gap, lost, repeat, snapshot, update

A, B = 0, 1
GAP, LOST = gap("a", 3, None, stream=BOOK), lost("a", stream=BOOK)


def merged(*steps: tuple[int, BookRecord]) -> list[BookRecord]:
    """The merged records of these steps: each is a replica with its record."""
    book = OneReplicaMerge()
    return [each for replica, record in steps for each in taken(book, replica, record)]


def taken(book: OneReplicaMerge, replica: int, record: BookRecord) -> Iterable[BookRecord]:
    if isinstance(record, Orderbook):
        return book.take(replica, record)
    return book.gap(replica, record) if isinstance(record, Gap) else book.close(replica, record)


def test_single_replica_stays_as_it_is() -> None:
    records: list[BookRecord] = [snapshot(1), update(1, 2), GAP, LOST, snapshot(9), update(9, 10)]
    assert merged(*((A, each) for each in records)) == records


def test_second_replica_is_silent_although_its_numbers_fit() -> None:
    found = merged((A, snapshot(1)), (B, snapshot(2)), (A, update(1, 2)), (B, update(2, 3)), (A, update(2, 3, 5)))
    assert found == [snapshot(1), update(1, 2), update(2, 3, 5)]


def test_repeated_book_is_left_out() -> None:
    assert merged((A, snapshot(1)), (A, repeat(snapshot(1))), (A, update(1, 2))) == [snapshot(1), update(1, 2)]


def test_other_replica_continues_with_its_book_at_a_gap() -> None:
    change = replace(update(71, 72), bids=[Level("5", "7")])
    found = merged(
        (A, snapshot(1)), (B, snapshot(70)), (B, update(70, 71)), (B, change), (A, GAP), (A, LOST), (A, snapshot(9)),
        (A, update(9, 10)), (B, update(72, 73)),
    )  # fmt: skip
    first, second, third = (each for each in found if isinstance(each, Orderbook))
    assert [each.sequence for each in (first, second, third)] == [1, 72, 73]
    assert (second.action, Level("5", "7") in second.bids, third.action) == ("snapshot", True, "update")
    assert len(found) == 3


def test_gap_of_all_replicas_stays() -> None:
    other = gap("b", 4, None, stream=BOOK)
    found = merged((A, snapshot(1)), (B, snapshot(70)), (A, GAP), (B, update(70, 71)), (B, other), (A, LOST))
    assert [each.sequence for each in found if isinstance(each, Orderbook)] == [1, 70, 71]
    assert found[-1] == other
    assert not [each for each in found if isinstance(each, Lost)], "the gap that it ends was bridged"


def test_replica_whose_process_ended_is_followed_by_another() -> None:
    book = OneReplicaMerge()
    book.take(A, snapshot(1))
    book.take(B, snapshot(70))
    book.end(A)
    (started,) = book.take(B, update(70, 71))
    assert isinstance(started, Orderbook)
    assert (started.action, started.sequence) == ("snapshot", 71)


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        (BookRule(Proof.CHECKSUM, Scope.CONNECTION), OneReplicaMerge),
        (BookRule(Proof.RANGE, window=BookWindow.KNOWN_RANGE), OneReplicaMerge),
        (BookRule(Proof.COUNTER), BookMerge),
    ],
)
def test_merge_depends_on_the_rule_of_the_exchange(
    rule: BookRule, kind: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXCHANGES, "imaginary", ImaginaryExchange(books=rule))
    assert type(Merge()._book("imaginary", "BTC-USDT")) is kind
