"""Order books of one connection: in sequence, out of sync, crossed."""

from collections.abc import Sequence
from typing import Any

import pytest

from feed_life import BOOK, NO_ANSWER, Life, arg, at, book_message, emitted, reconnects, sent
from market_collector.book.book import LEVELS_PER_DEPTH, Book
from market_collector.exchanges.okx.rows import BOOK_DEPTH
from market_collector.feed import book_sync
from market_collector.feed.effects import Answer, Effect, Fetch, Question, Send
from market_collector.model.events import (
    Gap,
    Instrument,
    Lost,
    Orderbook,
    Resync,
)
from market_collector.model.streams import DataType, Stream


def test_a_book_in_order_is_published_record_by_record() -> None:
    life = Life()
    frames = [
        book_message("snapshot", 10, -1),
        book_message("update", 15, 10),
        book_message("update", 15, 15),
        book_message("update", 3, 15),
    ]
    records = [record for frame in frames for record in emitted(life.gets(frame))]
    assert [(r.action, r.sequence) for r in records if isinstance(r, Orderbook)] == [
        ("snapshot", 10),
        ("update", 15),
        ("update", 15),
        ("update", 3),
    ]


def test_sequence_gap_is_recorded_and_requests_a_snapshot() -> None:
    life = Life()
    life.is_acked(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    effects = life.gets(book_message("update", 20, 17), 2)
    gap, resync = emitted(effects)
    assert isinstance(gap, Gap)
    assert (gap.after_sequence, gap.reason) == (10, "SequenceGap")
    assert isinstance(resync, Resync)
    assert (resync.reason, resync.detail) == ("SequenceGap", "after sequence 10 came 17 → 20")
    assert [(request["op"], request["args"]) for request in sent(effects)] == [
        ("unsubscribe", [arg(BOOK)]),
        ("subscribe", [arg(BOOK)]),
    ]
    assert emitted(life.gets(book_message("update", 25, 20), 2.1)) == []
    assert life.ledger.skipped_updates == 1
    lost, snapshot = emitted(life.gets(book_message("snapshot", 30, -1), 2.2))
    assert isinstance(lost, Lost)
    assert isinstance(snapshot, Orderbook)
    assert (gap.from_time_ns, lost.from_time_ns) == (5_000_000, 5_000_000)
    assert (gap.resumed_sequence, lost.after_sequence, lost.resumed_sequence) == (None, 10, 30)
    assert (gap.to_time_ns, lost.to_time_ns) == (None, snapshot.exchange_time_ns)
    assert (lost.reason, lost.data_type) == ("ReplacedBySnapshot", "orderbook")
    assert emitted(life.gets(book_message("update", 31, 30), 2.3)) != []


def test_an_update_without_a_snapshot_is_never_published() -> None:
    life = Life()
    assert emitted(life.gets(book_message("update", 20, 17))) == []


def test_resyncs_of_one_book_slow_down_and_end_with_another_connection() -> None:
    life = Life()
    life.is_acked(BOOK)
    asked_at, ended = [], []
    for second in range(1, 400):
        for effect in life.feed.woken(at(second)):
            asked_at += [second] if isinstance(effect, Send) and '"subscribe"' in effect.text else []
        life.gets(book_message("snapshot", 10, -1), second + 0.1)
        effects = life.gets(book_message("update", 20, 17), second + 0.2)
        asked_at += [second] if any('"subscribe"' in e.text for e in effects if isinstance(e, Send)) else []
        ended += reconnects(effects)
        if ended:
            break
    assert asked_at[0] == 1
    assert "lost its sequence" in ended[0]
    assert len(asked_at) <= book_sync.MAX_RESYNCS


def test_unrequested_snapshot_replaces_the_book() -> None:
    life = Life()
    life.gets(book_message("snapshot", 10, -1))
    assert [type(r) for r in emitted(life.gets(book_message("snapshot", 50, -1)))] == [Orderbook]
    assert [type(r) for r in emitted(life.gets(book_message("update", 51, 50)))] == [Orderbook]
    assert life.ledger.gaps.detected == 0


def crossed(sequence: int, previous: int) -> dict[str, Any]:
    message = book_message("update", sequence, previous, price="101")
    message["data"][0]["asks"] = [["100.5", "1", "0", "1"]]
    return message


def crossed_for_long(life: Life) -> list[Fetch]:
    life.gets(book_message("snapshot", 10, -1))
    life.gets(crossed(11, 10), 1.5)
    fetches = [e for second in (2, 2.9, 3.1) for e in life.feed.woken(at(second)) if isinstance(e, Fetch)]
    return [fetch for fetch in fetches if fetch.question is Question.STATE]


@pytest.mark.parametrize(
    "answer", [b'{"code":"0","data":[{"instId":"BTC-USDT","state":"live"}]}', b"<html>", NO_ANSWER]
)
def test_book_is_out_of_sync_when_it_stays_crossed(answer: Answer) -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    assert fetch.request.path == "/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT"
    records = emitted(life.feed.answered(fetch, answer, at(3.2)))
    gap, resync = (each for each in records if not isinstance(each, Instrument))
    assert (type(gap), type(resync)) == (Gap, Resync)
    assert isinstance(gap, Gap)
    assert gap.reason == "Crossed"


def test_crossed_snapshot_is_not_published_when_the_book_was_crossed() -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    life.feed.answered(fetch, NO_ANSWER, at(3.2))
    again = crossed(20, -1) | {"action": "snapshot"}
    assert [type(record) for record in emitted(life.gets(again, 3.5))] == [Resync]
    assert life.ledger.gaps.all_open()
    lost, state = emitted(life.gets(book_message("snapshot", 30, -1), 9))
    assert [type(lost), type(state)] == [Lost, Orderbook]


PREOPEN, LIVE = (b'{"code":"0","data":[{"instId":"BTC-USDT","state":"%s"}]}' % state for state in (b"preopen", b"live"))


def test_in_an_auction_a_book_may_be_crossed() -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    (instrument,) = emitted(life.feed.answered(fetch, PREOPEN, at(3.2)))
    assert isinstance(instrument, Instrument)
    assert (instrument.status, instrument.receive_time_ns) == ("pre_launch", at(3.2).wall_ns)
    assert [type(r) for r in emitted(life.gets(book_message("update", 12, 11), 4))] == [Orderbook]


@pytest.mark.parametrize("stays_crossed", [True, False])
def test_state_is_asked_until_the_auction_is_over(stays_crossed: bool) -> None:
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    assert statuses(life.feed.answered(fetch, PREOPEN, at(3.2))) == ["pre_launch"]
    if not stays_crossed:
        life.gets(book_message("update", 12, 11, price="101", amount="0"), 4)
    fetch = asked_at(life, 33.1)
    assert emitted(life.feed.answered(fetch, PREOPEN, at(33.2))) == []
    fetch = asked_at(life, 63.1)
    resynced = [type(each) for each in emitted(life.feed.answered(fetch, NO_ANSWER, at(63.2)))]
    assert resynced == ([Gap, Resync] if stays_crossed else [])
    fetch = asked_at(life, 93.1)
    assert statuses(life.feed.answered(fetch, LIVE, at(93.2))) == ["trading"]
    assert states_asked(life, 93.3, 123.2, 160) == []


def asked_at(life: Life, seconds: float) -> Fetch:
    """The only question about the state, which comes at that time and not before."""
    assert states_asked(life, seconds - 5, seconds - 0.1) == []
    (fetch,) = states_asked(life, seconds, seconds + 0.05)
    return fetch


def states_asked(life: Life, *seconds: float) -> list[Fetch]:
    fetches = [each for second in seconds for each in life.feed.woken(at(second)) if isinstance(each, Fetch)]
    return [each for each in fetches if each.question is Question.STATE]


def statuses(effects: Sequence[Effect]) -> list[str]:
    return [each.status for each in emitted(effects) if isinstance(each, Instrument)]


def test_crossing_after_an_auction_is_judged_after_a_second() -> None:
    """An answer that says the same again is not a record."""
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    life.feed.answered(fetch, PREOPEN, at(3.2))
    life.gets(book_message("update", 12, 11, price="101", amount="0"), 4)
    assert states_asked(life, 5) == []
    life.gets(crossed(13, 12), 6)
    (fetch,) = states_asked(life, 6.5, 7.4, 7.6, 7.7)
    assert emitted(life.feed.answered(fetch, PREOPEN, at(7.8))) == []
    life.gets(book_message("update", 14, 13, price="101", amount="0"), 8)
    assert states_asked(life, 8.5) == []
    life.gets(crossed(15, 14), 9)
    (fetch,) = states_asked(life, 9.5, 10.4, 10.6)
    assert [type(each) for each in emitted(life.feed.answered(fetch, LIVE, at(10.8)))] == [Instrument, Gap, Resync]


def test_answer_in_the_first_second_of_a_crossing_is_no_reason_to_resync() -> None:
    """It was requested for the auction before, and may be older than the crossing."""
    life = Life(BOOK)
    (fetch,) = crossed_for_long(life)
    life.feed.answered(fetch, PREOPEN, at(3.2))
    life.gets(book_message("update", 12, 11, price="101", amount="0"), 4)
    assert states_asked(life, 5) == []
    (fetch,) = states_asked(life, 33.1)
    life.gets(crossed(13, 12), 33.2)
    assert states_asked(life, 33.3) == []
    assert statuses(life.feed.answered(fetch, LIVE, at(33.5))) == ["trading"]
    (fetch,) = states_asked(life, 34.4)
    assert [type(each) for each in emitted(life.feed.answered(fetch, LIVE, at(34.5)))] == [Gap, Resync]


def test_a_moment_of_crossing_is_nothing() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    life.gets(crossed(11, 10), 1.5)
    life.feed.woken(at(2))
    life.gets(book_message("update", 12, 11, price="101", amount="0"), 2.5)
    assert [e for second in (3, 4, 5) for e in life.feed.woken(at(second)) if isinstance(e, Fetch)] == []


def books_of(count: int) -> Life:
    """A feed with this many books, each with its snapshot, all examined."""
    life = Life(*(Stream(f"S{number}-USDT", DataType.ORDERBOOK) for number in range(count)))
    for number in range(count):
        change(life, number, "snapshot", 10, -1)
    for second in range(2, 2 + count):
        life.feed.woken(at(second))
    return life


def change(life: Life, number: int, action: str, sequence: int, previous: int, seconds: float = 1.0) -> None:
    message = book_message(action, sequence, previous)
    message["arg"]["instId"] = f"S{number}-USDT"
    life.gets(message, seconds)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Book]:
    """Every book that is examined for a cross."""
    examined: list[Book] = []

    def look(book: Book) -> bool:
        examined.append(book)
        return False

    monkeypatch.setattr(Book, "is_crossed", property(look))
    return examined


def test_unchanged_books_are_not_examined(looks: list[Book]) -> None:
    life = books_of(3)
    looks.clear()
    for second in range(10, 20):
        life.feed.woken(at(second))
    assert looks == []
    change(life, 1, "update", 11, 10, 21)
    for second in range(22, 25):
        life.feed.woken(at(second))
    assert [book.sequence for book in looks] == [11]


def test_a_check_examines_few_books_and_the_next_checks_the_others(looks: list[Book]) -> None:
    count = 2 * book_sync.MAX_LOOKS + 1
    life = books_of(count)
    for number in range(count):
        change(life, number, "update", 11, 10, 100)
    counts = []
    for second in range(101, 105):
        looks.clear()
        life.feed.woken(at(second))
        counts.append(len({id(book) for book in looks}))
    assert counts == [book_sync.MAX_LOOKS, book_sync.MAX_LOOKS, 1, 0]


def test_crossed_book_that_changed_is_examined_before_rest_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    life.gets(crossed(11, 10), 1.5)
    life.feed.woken(at(2))
    life.gets(book_message("update", 12, 11, price="101", amount="0"), 2.5)
    monkeypatch.setattr(book_sync, "MAX_LOOKS", 0)
    assert [e for second in (3, 4, 5) for e in life.feed.woken(at(second)) if isinstance(e, Fetch)] == []


def test_a_book_with_many_changes_is_packed() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    count = book_sync.CHANGES_UNPACKED
    for number in range(count + 1):
        life.gets(book_message("update", 11 + number, 10 + number, price=str(100 + number)), 2)
    (book,) = life.progress(BOOK).books.values()
    assert book.unpacked_levels == count + 1
    life.feed.woken(at(3))
    assert book.unpacked_levels == 0
    assert len(book.bids) == count + 1


def test_progress_keeps_no_levels_of_a_snapshot() -> None:
    life = Life(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    last = life.progress(BOOK).last
    assert (last.sequence, last.bids, last.asks) == (10, [], [])


@pytest.mark.parametrize("is_sorted", [False, True])
def test_book_that_only_grows_is_out_of_sync(is_sorted: bool) -> None:
    """A hostile exchange would fill the memory."""
    life = Life()
    life.is_acked(BOOK)
    life.gets(book_message("snapshot", 10, -1))
    books: dict[int, Book] = life.progress(BOOK).books
    sequence, effects = 10, list[Effect]()
    while not (resyncs := [each for each in emitted(effects) if isinstance(each, Resync)]):
        update = book_message("update", sequence + 1, sequence)
        update["data"][0]["bids"] = [[f"{sequence}.{number}", "1", "0", "1"] for number in range(200)]
        life.gets(update, sequence)
        sequence += 1
        (book,) = books.values()
        assert book.size < 2 * LEVELS_PER_DEPTH * BOOK_DEPTH
        if is_sorted:
            book.best(1)
        effects = life.feed.woken(at(sequence))
    assert [each.reason for each in resyncs] == ["Unreadable"]
    assert not books
