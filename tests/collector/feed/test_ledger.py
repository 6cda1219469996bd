"""State of the streams across connections: states, gaps, counters."""

from market_collector.book.book import Book
from market_collector.feed.gaps import CLOSED_GAPS_KEPT
from market_collector.feed.ledger import Ledger, Loss
from market_collector.model.events import (
    Candle,
    Disconnected,
    Gap,
    Lost,
    Orderbook,
    Record,
    Refused,
    Repaired,
    Resync,
    Ticker,
    Trade,
)
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream, StreamState

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def trade(last: int, count: int = 1, time_ns: int = 5) -> Trade:
    return Trade("okx", "BTC-USDT", time_ns, 1, str(last), str(last - count + 1), count, "buy", "1", "1")


def snapshot(sequence: int) -> Orderbook:
    return Orderbook("okx", "BTC-USDT", sequence, 2, "snapshot", [], [], sequence, None)


def ledger() -> Ledger:
    return Ledger("okx", [TRADES, BOOK], 10.0, at(0))


def test_missing_trade_ids_become_a_gap_with_bounds() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100), trade(106, time_ns=9)], at(1))
    assert book.check_overdue(at(1.5)) == []
    (gap,) = book.check_overdue(at(2.5))
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.first, gap.last, gap.missing, gap.to_time_ns) == ("BTC-USDT/trade", "101", "105", 5, 9)
    assert (book.gaps.detected, book.gaps.missing_trades, book.gaps.repaired) == (1, 5, 0)
    assert [known.gap for known in book.gaps.all_open()] == [gap]


def test_duplicates_are_counted_and_not_delivered() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    assert book.ids.take_trades(progress, [trade(100), trade(101), trade(101)], at(1)) == [trade(100), trade(101)]
    assert book.duplicates == 1


def test_very_late_trades_fill_their_gap() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100), trade(103)], at(1))
    (gap,) = book.check_overdue(at(3))
    assert book.ids.take_trades(progress, [trade(101)], at(4)) == [trade(101)]
    late, repaired = book.ids.take_trades(progress, [trade(102)], at(5))
    assert late == trade(102)
    assert isinstance(repaired, Repaired)
    assert isinstance(gap, Gap)
    assert (repaired.gap_id, repaired.recovered, repaired.missing) == (gap.gap_id, 2, 0)
    assert (book.gaps.repaired, book.gaps.all_open()) == (1, [])


def test_restarted_trade_ids_are_delivered_with_an_event() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1_000, time_ns=10)], at(1))
    said, first = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(2))
    assert isinstance(said, Resync)
    assert "restarted at 3" in said.reason
    assert first == trade(3, time_ns=20)


def start_book(book: Ledger, sequence: int, seconds: float, connection: int = 1) -> list[Record]:
    """Add a snapshot of a connection."""
    progress, record = book.books.streams[BOOK], snapshot(sequence)
    records = book.books.add_snapshot(progress, connection, Book(record), record, at(seconds))
    progress.observe(record, at(seconds))
    return records


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


def test_disconnect_is_an_event_and_opens_gaps_of_books() -> None:
    book = ledger()
    start_book(book, 7, 1)
    lost, gap = book.disconnected(1, [TRADES, BOOK], "connection reset", at(2))
    assert isinstance(lost, Disconnected)
    assert lost.reason == "connection reset"
    assert isinstance(gap, Gap)
    assert gap.stream == "BTC-USDT/orderbook"


def test_a_book_that_never_was_has_no_gap() -> None:
    assert len(ledger().disconnected(1, [TRADES, BOOK], "refused", at(2))) == 1


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


def test_stop_opens_gaps_for_everything_missing_until_now() -> None:
    book = ledger()
    start_book(book, 7, 1)
    book.ids.take_trades(book.ids.streams[TRADES], [trade(1), trade(4)], at(1))
    gap, end = book.stopped(1, [BOOK, TRADES], at(1.1))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last) == ("2", "3")
    assert isinstance(end, Disconnected)


def test_only_the_first_gap_after_a_disconnect_has_its_reason() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1)], at(1))
    book.disconnected(1, [TRADES], "reset", at(2))
    book.ids.take_trades(progress, [trade(4)], at(3))
    (first,) = book.check_overdue(at(5))
    book.ids.take_trades(progress, [trade(9)], at(6))
    (second,) = book.check_overdue(at(8))
    assert isinstance(first, Gap)
    assert isinstance(second, Gap)
    assert (first.reason, second.reason) == ("Disconnected", "IdsMissing")


def test_later_gap_is_not_blamed_on_a_complete_reconnect() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(1)], at(1))
    book.disconnected(1, [TRADES], "reset", at(2))
    book.ids.take_trades(progress, [trade(2)], at(3))
    book.ids.take_trades(progress, [trade(9)], at(6))
    (gap,) = book.check_overdue(at(8))
    assert isinstance(gap, Gap)
    assert gap.reason == "IdsMissing"


# -- candles


def candle(minute: int, *, closed: bool) -> Candle:
    return Candle(
        "okx", "BTC-USDT", None, 1, "1m", minute * 60_000_000_000, "1", "2", "3", "4", "5", None, None, closed
    )  # fmt: skip


def test_running_candle_implies_that_earlier_candles_are_closed() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = book.ids.streams[CANDLES]
    rows = [candle(7, closed=False), candle(7, closed=True), candle(10, closed=False)]
    assert book.ids.take_candles(progress, rows, at(1)) == rows
    (gap,) = book.check_overdue(at(3))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing) == ("480000", "540000", 2)
    assert book.gaps.missing_trades == 0


def test_closed_candle_is_delivered_once_and_fills_a_gap_when_late() -> None:
    book = Ledger("okx", [CANDLES], 10.0, at(0))
    progress = book.ids.streams[CANDLES]
    book.ids.take_candles(progress, [candle(7, closed=True), candle(9, closed=True)], at(1))
    book.check_overdue(at(3))
    late, repaired = book.ids.take_candles(progress, [candle(8, closed=True), candle(8, closed=True)], at(4))
    assert late == candle(8, closed=True)
    assert isinstance(repaired, Repaired)
    assert book.duplicates == 1


# -- what a sink did not take


def test_dropped_trades_are_a_gap_of_only_that_sink() -> None:
    book = ledger()
    (gap,) = book.on_sink_loss(Loss("out", str(TRADES), 3, ((5, 7),)), at(1))
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing, gap.reason) == ("5", "7", 3, "Dropped")
    (known,) = book.gaps.all_open()
    assert (known.sink, book.ids.streams[TRADES].ids.missing_in(1, 99)) == ("out", [])


def test_a_sink_that_missed_book_updates_gets_the_present_book() -> None:
    book = ledger()
    start_book(book, 7, 1)
    (state,) = book.on_sink_loss(Loss("out", str(BOOK), 3), at(2))
    assert isinstance(state, Orderbook)
    assert (state.action, state.sequence, state.receive_time_ns) == ("snapshot", 7, 2_000_000_000)


def test_restarted_numbering_ends_gaps_of_the_old_numbering() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=10), trade(103, time_ns=11)], at(1))
    book.check_overdue(at(3))
    lost, said, first = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(4))
    assert isinstance(lost, Lost)
    assert lost.ranges == [("101", "102")]
    assert [type(said), type(first)] == [Resync, Trade]


def test_numbering_restart_loses_exactly_the_missing_ids() -> None:
    """Ids recovered before the restart are not lost. Ids still waited for are."""
    book = ledger()
    progress = book.ids.streams[TRADES]
    book.ids.take_trades(progress, [trade(100, time_ns=10), trade(104, time_ns=11)], at(1))
    book.check_overdue(at(3))
    book.ids.take_trades(progress, [trade(101, time_ns=10), trade(106, time_ns=12)], at(4))
    gap, first, second, *_ = book.ids.take_trades(progress, [trade(3, time_ns=20)], at(4.5))
    assert isinstance(gap, Gap)
    assert isinstance(first, Lost)
    assert isinstance(second, Lost)
    assert (gap.first, gap.last, first.ranges, second.ranges) == ("105", "105", [("102", "103")], [("105", "105")])
    assert (progress.ids.waiting, progress.ids.missing, book.gaps.all_open()) == ([], [], [])
    assert book.gaps.lost_trades == 3


def test_a_stream_is_pending_then_live_then_stale_and_live_again() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    states = []
    for second in (1, 5, 15, 16):
        book.age(at(second))
        states.append((progress.state, progress.since_ns))
        if second == 1:
            progress.observe(trade(1), at(2))
    progress.observe(trade(2), at(17))
    states.append((progress.state, progress.since_ns))
    assert states == [
        (StreamState.PENDING, 0),
        (StreamState.LIVE, 2_000_000_000),
        (StreamState.STALE, 15_000_000_000),
        (StreamState.STALE, 15_000_000_000),
        (StreamState.LIVE, 17_000_000_000),
    ]


def test_pending_stream_becomes_stale() -> None:
    book = ledger()
    book.age(at(10.5))
    assert book.ids.streams[TRADES].state is StreamState.STALE


def test_stream_is_quiet_until_the_confirmation_is_old() -> None:
    book = ledger()
    progress = book.ids.streams[TRADES]
    progress.observe(trade(1), at(1))
    progress.confirmed_at = 9.0
    book.age(at(12))
    assert (progress.state, progress.reason) == (StreamState.QUIET, "QuietMarket")
    book.age(at(19.5))
    assert progress.state is StreamState.STALE


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
    book.check_overdue(at(5))
    for number in range(100):
        start_book(book, number * 10, 10 + number)
        book.books.remove(progress, 1, "SequenceGap", at(10 + number))
    start_book(book, 9_999, 200)
    assert len(book.gaps.known) == CLOSED_GAPS_KEPT + 1
    assert len(book.gaps.all_open()) == 1
    assert book.gaps.detected == 101


def test_data_of_any_type_makes_a_stream_live() -> None:
    book = ledger()
    ticker = Ticker("okx", "BTC-USDT", 1, 1, *[None] * 11)
    book.books.streams[BOOK].observe(ticker, at(3))
    assert book.books.streams[BOOK].last_wall_ns == 3_000_000_000
