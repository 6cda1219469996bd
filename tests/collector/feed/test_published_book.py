"""One published book, merged from the connections that carry it."""

from msgspec.structs import replace

from feed_life import BOOK, TRADES, Life, at, book_message, emitted, gets, ledger, second_of, snapshot, start_book
from market_collector.book.book import Book
from market_collector.feed.ledger import Ledger
from market_collector.feed.published_book import MAX_REPEATS, UPDATES_PER_LEVEL
from market_collector.model.events import (
    Disconnected,
    Gap,
    Level,
    Lost,
    Orderbook,
    Repaired,
)
from market_collector.model.streams import DataType, GapState, Stream


def test_two_connections_publish_each_book_update_once_whichever_is_first() -> None:
    life = Life(BOOK)
    second = second_of(life)
    life.gets(book_message("snapshot", 10, -1))
    assert gets(second, book_message("snapshot", 10, -1)) == []
    first, again = emitted(life.gets(book_message("update", 11, 10))), gets(second, book_message("update", 11, 10))
    assert ([type(r) for r in first], again) == ([Orderbook], [])
    first, again = gets(second, book_message("update", 12, 11)), emitted(life.gets(book_message("update", 12, 11)))
    assert ([type(r) for r in first], again) == ([Orderbook], [])


def test_a_connection_that_is_behind_goes_on_where_the_other_one_stopped() -> None:
    life = Life(BOOK)
    second = second_of(life)
    life.gets(book_message("snapshot", 10, -1))
    gets(second, book_message("snapshot", 10, -1))
    life.gets(book_message("update", 11, 10))
    assert [type(r) for r in emitted(life.feed.closed("cut", at(3)))] == [Disconnected]
    assert gets(second, book_message("update", 11, 10)) == []
    assert [type(r) for r in gets(second, book_message("update", 12, 11))] == [Orderbook]
    assert life.ledger.gaps.detected == 0


def test_a_lost_book_is_one_open_gap_until_its_snapshot() -> None:
    book = ledger()
    progress = book.books.streams[BOOK]
    assert start_book(book, 7, 1) == [snapshot(7)]
    (gap,) = book.books.remove(progress, 1, "SequenceGap", at(2))
    assert book.books.remove(progress, 1, "SequenceGap", at(3)) == []
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing, gap.from_time_ns) == ("7", None, None, 7)
    lost, published = start_book(book, 20, 4)
    assert isinstance(lost, Lost)
    assert (lost.gap_id, lost.ranges, published) == (gap.gap_id, None, snapshot(20))
    assert book.gaps.known[gap.gap_id].state is GapState.LOST
    assert (book.gaps.detected, book.gaps.repaired, book.gaps.lost, book.gaps.all_open()) == (1, 0, 1, [])


def test_a_book_that_did_not_change_meanwhile_is_whole() -> None:
    book = ledger()
    start_book(book, 7, 1)
    book.disconnected(1, [TRADES, BOOK], "reset", at(2))
    repaired, _ = start_book(book, 7, 3, connection=2)
    assert isinstance(repaired, Repaired)
    assert book.gaps.repaired == 1


def test_second_connection_takes_over_a_book_without_a_gap() -> None:
    book = ledger()
    start_book(book, 7, 1)
    assert start_book(book, 5, 2, connection=2) == []
    assert book.disconnected(1, [BOOK], "announced", at(3))[1:] == []
    assert (book.books.streams[BOOK].head, book.gaps.detected) == (7, 0)


def test_newer_successor_book_is_a_gap_and_is_republished() -> None:
    book = ledger()
    start_book(book, 7, 1)
    start_book(book, 9, 2, connection=2)
    _, gap, lost, state = book.disconnected(1, [BOOK], "cut", at(3))
    assert [type(gap), type(lost)] == [Gap, Lost]
    assert isinstance(state, Orderbook)
    assert (state.action, state.sequence, book.books.streams[BOOK].head) == ("snapshot", 9, 9)


def test_book_resyncs_when_no_connection_continues_it() -> None:
    """A snapshot may arrive at any time. Here it moves the only synchronized connection ahead of the published book."""
    book = ledger()
    start_book(book, 7, 1)
    start_book(book, 9, 2, connection=2)
    assert start_book(book, 9, 3) == []
    assert book.check_overdue(at(4)) == []  # one that only lags may still link
    gap, lost, state = book.check_overdue(at(5.5))
    assert [type(gap), type(lost)] == [Gap, Lost]
    assert isinstance(state, Orderbook)
    assert (state.action, state.sequence, book.books.streams[BOOK].head) == ("snapshot", 9, 9)
    assert book.check_overdue(at(6)) == book.check_overdue(at(9)) == []


def test_proved_book_is_the_one_with_the_state_published_last() -> None:
    life = Life(BOOK)
    second, progress = second_of(life), life.progress(BOOK)
    assert life.ledger.books.proved(progress) is None
    life.gets(book_message("snapshot", 10, -1))
    gets(second, book_message("snapshot", 10, -1))
    gets(second, book_message("update", 11, 10))
    assert life.ledger.books.proved(progress) is progress.books[2]
    life.gets(book_message("update", 11, 10))
    life.gets(book_message("update", 12, 11))
    assert life.ledger.books.proved(progress) is progress.books[1]


def test_no_book_is_proved_while_it_is_out_of_sync() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    life.gets(book_message("update", 13, 12))
    assert life.ledger.books.proved(life.progress(BOOK)) is None
    life.gets(book_message("snapshot", 13, -1))
    proved = life.ledger.books.proved(life.progress(BOOK))
    assert proved is not None
    assert proved.sequence == 13


def test_no_book_is_proved_while_all_lag_behind_the_published_one() -> None:
    book = ledger()
    start_book(book, 7, 1)
    start_book(book, 5, 2, connection=2)
    book.disconnected(1, [BOOK], "cut", at(3))
    assert book.books.proved(book.books.streams[BOOK]) is None


def test_no_book_is_proved_while_its_stream_is_stale() -> None:
    book = ledger()
    progress = book.books.streams[BOOK]
    start_book(book, 7, 1)
    book.age(at(12))
    assert book.books.proved(progress) is None
    book.confirm(progress, at(13))  # the exchange has nothing newer
    assert book.books.proved(progress) is progress.books[1]


# -- repeated snapshots


def test_repeated_snapshot_has_the_published_state_and_continues_it() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1, amount="1"))
    life.gets(book_message("update", 11, 10, amount="2"))
    repeated, *others = life.ledger.books.repeat_all("rotation", at(7)) or []
    assert others == []
    assert (repeated.action, repeated.cause, repeated.bids) == ("snapshot", "rotation", [Level("100", "2")])
    assert (repeated.sequence, repeated.previous_sequence, repeated.receive_time_ns) == (11, 11, at(7).wall_ns)


def test_book_out_of_sync_is_not_repeated() -> None:
    life = Life(BOOK)
    assert life.ledger.books.repeat_all("rotation", at(1)) == []
    life.gets(book_message("snapshot", 10, -1))
    life.gets(book_message("update", 13, 12))
    assert life.ledger.books.repeat_all("rotation", at(2)) == []


def test_nothing_is_repeated_while_a_book_lags_behind_its_published_state() -> None:
    """Its connection will continue that state: a file without the snapshot would have unproved updates."""
    life = Life(BOOK)
    second = second_of(life)
    life.gets(book_message("snapshot", 10, -1))
    gets(second, book_message("snapshot", 10, -1))
    life.gets(book_message("update", 11, 10))
    life.feed.closed("cut", at(3))
    assert life.ledger.books.repeat_all("rotation", at(3)) is None
    assert life.ledger.books.repeat_due(0.0, at(3)) == []
    gets(second, book_message("update", 11, 10))
    assert [each.sequence for each in life.ledger.books.repeat_all("rotation", at(4)) or ()] == [11]


def test_book_is_repeated_after_the_interval_and_enough_updates() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1), seconds=1)
    due = life.ledger.books.repeat_due
    for number in range(11, 11 + UPDATES_PER_LEVEL):
        assert due(60.0, at(61)) == []
        life.gets(book_message("update", number, number - 1), seconds=2)
    assert due(60.0, at(60.9)) == []
    (repeated,) = due(60.0, at(61))
    assert (repeated.cause, repeated.sequence) == ("interval", 10 + UPDATES_PER_LEVEL)
    assert due(60.0, at(1000)) == []


def test_few_books_are_repeated_at_one_check() -> None:
    streams = [Stream(f"A{number}-B", DataType.ORDERBOOK) for number in range(MAX_REPEATS + 1)]
    book = Ledger("okx", streams, 10.0, at(0))
    for stream in streams:
        progress, record = book.books.streams[stream], replace(snapshot(1), symbol=stream.symbol)
        book.books.add_snapshot(progress, 1, Book(record), record, at(1))
    first, second = book.books.repeat_due(1.0, at(3)), book.books.repeat_due(1.0, at(3))
    assert sorted(each.symbol for each in [*first, *second]) == sorted(stream.symbol for stream in streams)
    assert len(first) == MAX_REPEATS
