"""State of the streams across connections: disconnects, stops, refusals and sink losses."""

import pytest

from feed_life import BOOK, TRADES, Life, at, emitted, ledger, second_of, start_book, trade
from market_collector.feed.gaps import CLOSED_GAPS_KEPT
from market_collector.feed.ledger import Loss
from market_collector.model.events import (
    Connected,
    Disconnected,
    Gap,
    Orderbook,
    Refused,
)
from market_collector.model.reasons import DisconnectReason, GapReason
from market_collector.model.streams import StreamState


def test_disconnect_is_an_event_and_opens_gaps_of_books() -> None:
    book = ledger()
    start_book(book, 7, 1)
    lost, gap = book.disconnected(1, [TRADES, BOOK], "connection reset", at(2))
    assert isinstance(lost, Disconnected)
    assert (lost.reason, lost.detail) == ("ConnectionLost", "connection reset")
    assert isinstance(gap, Gap)
    assert gap.stream == "BTC-USDT/orderbook"


def test_events_of_a_connection_name_it_and_its_streams() -> None:
    life, names = Life(TRADES, BOOK), ["BTC-USDT/orderbook", "BTC-USDT/trade"]
    (connected,) = emitted(life.opening)
    second = second_of(life)
    (first_end,) = emitted(life.feed.closed("closed by the exchange: 4004", at(2), 4004))
    (second_end,) = emitted(second.stopped(at(3)))
    assert isinstance(connected, Connected)
    assert isinstance(first_end, Disconnected)
    assert isinstance(second_end, Disconnected)
    assert (connected.connection, connected.connection_id, connected.streams) == ("public", 1, names)
    assert (first_end.connection, first_end.connection_id, first_end.streams) == ("public", 1, names)
    assert (first_end.reason, first_end.detail) == ("ClosedByExchange", "closed by the exchange: 4004")
    assert (second_end.connection, second_end.connection_id, second_end.reason) == ("public", 2, "Stopped")


@pytest.mark.parametrize(
    ("code", "ended_as", "reason"),
    [
        (None, None, "ConnectionLost"),
        (4004, None, "ClosedByExchange"),
        (4005, None, "SlowReading"),
        (1000, DisconnectReason.REPLACED, "Replaced"),
        (None, DisconnectReason.FAULTY, "Faulty"),
    ],
)
def test_end_of_a_connection_has_its_reason(code: int | None, ended_as: DisconnectReason | None, reason: str) -> None:
    (ended,) = emitted(Life(TRADES).feed.closed("why", at(2), code, ended_as))
    assert isinstance(ended, Disconnected)
    assert (ended.reason, ended.detail) == (reason, "why")


def test_a_book_that_never_was_has_no_gap() -> None:
    assert len(ledger().disconnected(1, [TRADES, BOOK], "refused", at(2))) == 1


def test_stop_opens_gaps_for_everything_missing_until_now() -> None:
    book = ledger()
    start_book(book, 7, 1)
    book.ids.take_trades(book.ids.streams[TRADES], [trade(1)], at(1))
    book.ids.expect(book.ids.streams[TRADES], 3, at(1))
    gap, *_, end = book.stopped(1, [BOOK, TRADES], at(1.1))
    assert isinstance(gap, Gap)
    assert (gap.first_id, gap.last_id) == ("2", "3")
    assert isinstance(end, Disconnected)


def test_dropped_trades_are_a_gap_of_only_that_sink() -> None:
    book = ledger()
    (gap,) = book.on_sink_loss(Loss("out", str(TRADES), 3, ((5, 7),)), at(1))
    assert isinstance(gap, Gap)
    assert (gap.first_id, gap.last_id, gap.missing, gap.reason) == ("5", "7", 3, "Dropped")
    (known,) = book.gaps.all_open()
    assert (known.sink, book.ids.streams[TRADES].ids.missing_in(1, 99)) == ("out", [])


def test_a_sink_that_missed_book_updates_gets_the_present_book() -> None:
    book = ledger()
    start_book(book, 7, 1)
    (state,) = book.on_sink_loss(Loss("out", str(BOOK), 3), at(2))
    assert isinstance(state, Orderbook)
    assert (state.action, state.sequence, state.receive_time_ns) == ("snapshot", 7, 2_000_000_000)


def test_refusal_is_emitted_once_and_does_not_age() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    (refused,) = book.refuse(progress, "SymbolNotFound", "OKX error 60018", at(1))
    assert isinstance(refused, Refused)
    assert book.refuse(progress, "SymbolNotFound", "OKX error 60018", at(2)) == []
    book.age(at(99))
    assert (progress.state, progress.reason, progress.message) == (
        StreamState.REFUSED,
        "SymbolNotFound",
        "OKX error 60018",
    )


def test_closed_gaps_are_forgotten_but_counted_and_open_ones_never() -> None:
    book = ledger()
    progress, other = book.books.streams[BOOK], book.ids.streams[TRADES]
    book.ids.take_trades(other, [trade(1), trade(5)], at(1))
    for number in range(100):
        start_book(book, number * 10, 10 + number)
        book.books.remove(progress, 1, GapReason.SEQUENCE_GAP, at(10 + number))
    start_book(book, 9_999, 200)
    assert len(book.gaps.known) == CLOSED_GAPS_KEPT + 1
    assert len(book.gaps.all_open()) == 1
    assert book.gaps.detected == 101


def test_internal_error_about_one_stream_leaves_the_others_their_state() -> None:
    book = ledger()
    book.streams[TRADES].unreadable_at = None  # type: ignore[assignment] # the internal error
    ((stream, error),) = book.age(at(61))
    assert (stream, type(error)) == (TRADES, TypeError)
    assert [book.streams[each].state for each in (TRADES, BOOK)] == [StreamState.PENDING, StreamState.STALE]
