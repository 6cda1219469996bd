"""One published book, merged from the connections that carry it."""

from msgspec.structs import replace

from feed_life import BOOK, TRADES, Life, at, book_message, emitted, gets, ledger, second_of, snapshot, start_book
from market_collector.book.book import Book
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.published_book import MAX_REPEATS, UPDATES_PER_LEVEL
from market_collector.model.events import (
    Disconnected,
    Gap,
    Level,
    Lost,
    Orderbook,
    Quote,
    Record,
    Repaired,
)
from market_collector.model.reasons import GapReason
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
    (gap,) = book.books.remove(progress, 1, GapReason.SEQUENCE_GAP, at(2))
    assert book.books.remove(progress, 1, GapReason.SEQUENCE_GAP, at(3)) == []
    assert isinstance(gap, Gap)
    assert (gap.after_sequence, gap.last_id, gap.missing, gap.from_time_ns) == (7, None, None, 7)
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


# -- quotes


def quoting() -> tuple[Life, Feed]:
    """A book on two connections, with quotes."""
    life = Life(BOOK)
    life.ledger.books.has_quotes = True
    return life, second_of(life)


def bids(records: list[Record]) -> list[tuple[str | None, str | None, int | None]]:
    return [(each.bid, each.bid_amount, each.sequence) for each in records if isinstance(each, Quote)]


def test_quote_follows_each_change_of_the_best_prices_only() -> None:
    life, _ = quoting()
    first = emitted(life.gets(book_message("snapshot", 10, -1)))
    assert [type(each) for each in first] == [Orderbook, Quote]
    assert first[1] == Quote("okx", "BTC-USDT", 5_000_000, at(1).wall_ns, "100", "1", None, None, 10, "book")
    assert bids(emitted(life.gets(book_message("update", 11, 10, price="99")))) == []
    assert bids(emitted(life.gets(book_message("update", 12, 11, amount="2")))) == [("100", "2", 12)]
    assert bids(emitted(life.gets(book_message("update", 13, 12, price="101")))) == [("101", "1", 13)]
    assert bids(emitted(life.gets(book_message("update", 14, 13, price="101", amount="0")))) == [("100", "2", 14)]


def test_side_without_levels_is_null_in_a_quote() -> None:
    life, _ = quoting()
    life.gets(book_message("snapshot", 10, -1))
    assert bids(emitted(life.gets(book_message("update", 11, 10, amount="0")))) == [(None, None, 11)]


def test_quote_comes_once_whichever_connection_is_first() -> None:
    life, second = quoting()
    life.gets(book_message("snapshot", 10, -1))
    assert gets(second, book_message("snapshot", 10, -1)) == []
    assert bids(gets(second, book_message("update", 11, 10, amount="2"))) == [("100", "2", 11)]
    assert emitted(life.gets(book_message("update", 11, 10, amount="2"))) == []
    assert bids(emitted(life.gets(book_message("update", 12, 11, amount="2")))) == []


def test_equal_prices_after_a_gap_are_quoted_again() -> None:
    life, _ = quoting()
    life.gets(book_message("snapshot", 10, -1))
    life.gets(book_message("update", 12, 11))
    assert bids(emitted(life.gets(book_message("snapshot", 20, -1)))) == [("100", "1", 20)]


def test_book_that_was_left_behind_is_quoted_again() -> None:
    life, second = quoting()
    for feed in (life.feed, second):
        gets(feed, book_message("snapshot", 10, -1))
    gets(second, book_message("snapshot", 15, -1, amount="3"))
    assert bids(emitted(life.feed.closed("cut", at(3)))) == [("100", "3", 15)]


def test_no_quotes_without_the_data_type() -> None:
    life = Life(BOOK)
    assert [type(each) for each in emitted(life.gets(book_message("snapshot", 10, -1)))] == [Orderbook]


def test_sink_that_dropped_quotes_gets_the_current_one() -> None:
    life, _ = quoting()
    life.gets(book_message("snapshot", 10, -1))
    assert bids(life.ledger.on_sink_loss(Loss("archive", "BTC-USDT/quote", 3), at(2))) == [("100", "1", 10)]
    assert life.ledger.on_sink_loss(Loss("archive", "ETH-USDT/quote", 3), at(2)) == []
