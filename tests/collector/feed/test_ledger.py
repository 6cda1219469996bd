"""What is known of streams beyond their connections: states, holes, counters."""

from market_collector.feed.ledger import CLOSED_GAPS_KEPT, Ledger
from market_collector.model.events import Disconnected, Gap, Lost, Orderbook, Refused, Repaired, Resync, Ticker, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream, StreamState

TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def trade(last: int, count: int = 1, time_ns: int = 5) -> Trade:
    return Trade("okx", "BTC-USDT", time_ns, 1, str(last), str(last - count + 1), count, "buy", "1", "1")


def snapshot(sequence: int) -> Orderbook:
    return Orderbook("okx", "BTC-USDT", sequence, 2, "snapshot", [], [], sequence, None)


def ledger() -> Ledger:
    return Ledger("okx", [TRADES, BOOK], 10.0, at(0))


def test_a_hole_in_trade_ids_becomes_a_gap_with_its_bounds() -> None:
    book = ledger()
    page = book.streams[TRADES]
    book.trades(page, [trade(100), trade(106, time_ns=9)], at(1))
    assert book.overdue(at(1.5)) == []
    (gap,) = book.overdue(at(2.5))
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.first, gap.last, gap.missing, gap.to_time_ns) == ("BTC-USDT/trade", "101", "105", 5, 9)
    assert (book.gaps_detected, book.missing_trades, book.gaps_repaired) == (1, 5, 0)
    assert book.open_gaps() == [gap]


def test_duplicates_are_counted_and_not_delivered() -> None:
    book = ledger()
    page = book.streams[TRADES]
    assert book.trades(page, [trade(100), trade(101), trade(101)], at(1)) == [trade(100), trade(101)]
    assert book.duplicates == 1


def test_very_late_trades_repair_their_gap() -> None:
    book = ledger()
    page = book.streams[TRADES]
    book.trades(page, [trade(100), trade(103)], at(1))
    (gap,) = book.overdue(at(3))
    assert book.trades(page, [trade(101)], at(4)) == [trade(101)]
    late, repaired = book.trades(page, [trade(102)], at(5))
    assert late == trade(102)
    assert isinstance(repaired, Repaired)
    assert isinstance(gap, Gap)
    assert (repaired.gap_id, repaired.recovered, repaired.missing) == (gap.gap_id, 2, 0)
    assert (book.gaps_repaired, book.open_gaps()) == (1, [])


def test_restarted_trade_ids_are_said_and_delivered() -> None:
    book = ledger()
    page = book.streams[TRADES]
    book.trades(page, [trade(1_000, time_ns=10)], at(1))
    said, first = book.trades(page, [trade(3, time_ns=20)], at(2))
    assert isinstance(said, Resync)
    assert "restarted at 3" in said.reason
    assert first == trade(3, time_ns=20)


def test_a_lost_book_is_one_open_gap_until_its_snapshot() -> None:
    book = ledger()
    page = book.streams[BOOK]
    page.note(snapshot(7), at(1))
    (gap,) = book.book_lost(page, 7, "SequenceGap", at(2))
    assert book.book_lost(page, 7, "SequenceGap", at(3)) == []
    assert isinstance(gap, Gap)
    assert (gap.first, gap.last, gap.missing, gap.from_time_ns) == ("7", None, None, 7)
    (lost,) = book.book_back(page, snapshot(20), at(4))
    assert isinstance(lost, Lost)
    assert lost.gap_id == gap.gap_id
    assert book.gaps[gap.gap_id].state is GapState.LOST
    assert (book.gaps_detected, book.gaps_repaired, book.open_gaps()) == (1, 0, [])


def test_a_book_that_did_not_change_meanwhile_is_whole() -> None:
    book = ledger()
    page = book.streams[BOOK]
    page.note(snapshot(7), at(1))
    book.disconnected([TRADES, BOOK], "reset", at(2))
    (repaired,) = book.book_back(page, snapshot(7), at(3))
    assert isinstance(repaired, Repaired)
    assert book.gaps_repaired == 1


def test_a_lost_connection_is_an_event_and_puts_its_books_in_doubt() -> None:
    book = ledger()
    book.streams[BOOK].note(snapshot(7), at(1))
    lost, gap = book.disconnected([TRADES, BOOK], "connection reset", at(2))
    assert isinstance(lost, Disconnected)
    assert lost.reason == "connection reset"
    assert isinstance(gap, Gap)
    assert gap.stream == "BTC-USDT/orderbook"


def test_a_book_that_never_was_has_no_gap() -> None:
    assert len(ledger().disconnected([TRADES, BOOK], "refused", at(2))) == 1


def test_a_stream_is_pending_then_live_then_stale_and_live_again() -> None:
    book = ledger()
    page = book.streams[TRADES]
    states = []
    for second in (1, 5, 15, 16):
        book.age(at(second))
        states.append((page.state, page.since_ns))
        if second == 1:
            page.note(trade(1), at(2))
    page.note(trade(2), at(17))
    states.append((page.state, page.since_ns))
    assert states == [
        (StreamState.PENDING, 0),
        (StreamState.LIVE, 2_000_000_000),
        (StreamState.STALE, 15_000_000_000),
        (StreamState.STALE, 15_000_000_000),
        (StreamState.LIVE, 17_000_000_000),
    ]


def test_pending_does_not_last_for_ever() -> None:
    book = ledger()
    book.age(at(10.5))
    assert book.streams[TRADES].state is StreamState.STALE


def test_a_silence_that_the_exchange_confirms_is_quiet_until_the_confirmation_is_old() -> None:
    book = ledger()
    page = book.streams[TRADES]
    page.note(trade(1), at(1))
    page.confirmed_at = 9.0
    book.age(at(12))
    assert (page.state, page.reason) == (StreamState.QUIET, "QuietMarket")
    book.age(at(19.5))
    assert page.state is StreamState.STALE


def test_a_refusal_is_said_once_and_does_not_age() -> None:
    book = ledger()
    page = book.streams[TRADES]
    (refused,) = book.refuse(page, "SymbolNotFound", "OKX error 60018", at(1))
    assert isinstance(refused, Refused)
    assert book.refuse(page, "SymbolNotFound", "OKX error 60018", at(2)) == []
    book.age(at(99))
    assert (page.state, page.reason, page.message) == (StreamState.REFUSED, "SymbolNotFound", "OKX error 60018")


def test_closed_gaps_are_forgotten_but_counted_and_open_ones_never() -> None:
    book = ledger()
    page, other = book.streams[BOOK], book.streams[TRADES]
    book.trades(other, [trade(1), trade(5)], at(1))
    book.overdue(at(5))
    for number in range(100):
        page.note(snapshot(number), at(10 + number))
        book.book_lost(page, number, "SequenceGap", at(10 + number))
        book.book_back(page, snapshot(number + 1000), at(10 + number))
    assert len(book.gaps) == CLOSED_GAPS_KEPT + 1
    assert len(book.open_gaps()) == 1
    assert book.gaps_detected == 101


def test_data_of_any_type_makes_a_stream_live() -> None:
    book = ledger()
    ticker = Ticker("okx", "BTC-USDT", 1, 1, *[None] * 11)
    book.streams[BOOK].note(ticker, at(3))
    assert book.streams[BOOK].last_wall_ns == 3_000_000_000
