"""Replicas as one: trades, candles, tickers, balances and the events about them."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from imaginary_exchange import NAME, ImaginaryExchange
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import AnyRecord, Balance
from market_collector.reading.merge import Merge, is_of_book
from records import (
    BOOK,
    CANDLES,
    TICKER,
    at,
    candle,
    connected,
    disconnected,
    funding,
    gap,
    instrument,
    liquidation,
    lost,
    mark_price,
    open_interest,
    open_ms,
    quote,
    repaired,
    resync,
    snapshot,
    ticker,
    trade,
    update,
)

A, B = 0, 1


def merged(*steps: tuple[int, AnyRecord]) -> list[AnyRecord]:
    merge = Merge()
    return [each for step in steps for each in merge.take(*step)]


def test_each_trade_appears_once() -> None:
    history = trade(2, backfilled=True)
    assert merged((A, trade(1)), (B, trade(1)), (A, trade(3)), (B, trade(2)), (A, history)) == [
        trade(1),
        trade(3),
        trade(2),
    ]


def test_trade_without_dense_ids_appears_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))
    one, two = (replace(trade(1), exchange=NAME, trade_id=name, first_trade_id=name) for name in ("7d4e", "903"))
    assert merged((A, one), (B, two), (B, one), (A, two)) == [one, two]


def test_trade_with_new_ids_among_known_ones_is_kept() -> None:
    assert merged((A, trade(3, first=2)), (A, trade(4, first=3))) == [trade(3, first=2), trade(4, first=3)]


def test_id_at_a_later_time_is_a_restart_of_the_numbers() -> None:
    again = [trade(1, 50), trade(2, 51)]
    assert merged((A, trade(1)), (A, trade(2)), *((A, each) for each in again), (B, again[0])) == [
        trade(1),
        trade(2),
        *again,
    ]


def test_gap_of_trades_is_left_out_if_another_replica_has_them() -> None:
    found = merged((A, trade(1)), (B, trade(2)), (B, trade(3)), (A, gap("g", 2, 3)), (A, trade(4)), (A, repaired("g")))
    assert found == [trade(1), trade(2), trade(3), trade(4)]


def test_gap_of_trades_that_no_replica_has_is_kept_with_its_end() -> None:
    steps: list[AnyRecord] = [gap("g", 1, 2), trade(3), gap("h", 4, 5), lost("g", [(1, 2)]), gap("i", None, 2)]
    assert merged(*((A, each) for each in steps)) == steps


def test_gap_of_several_replicas_is_reported_once() -> None:
    """The second replica reports a part of it."""
    steps: list[tuple[int, AnyRecord]] = [
        (A, trade(1)), (A, gap("g", 2, 4)), (B, gap("h", 2, 3)), (B, repaired("h")), (A, repaired("g"))
    ]  # fmt: skip
    assert merged(*steps) == [trade(1), gap("g", 2, 4), repaired("g")]
    assert merged(*steps[:3], (B, gap("i", 4, 5))) == [trade(1), gap("g", 2, 4), gap("i", 4, 5)]


def test_gap_that_later_files_repeat_comes_once_with_its_end() -> None:
    steps: list[AnyRecord] = [trade(1), gap("g", 2, 3), trade(4), repaired("g")]
    again: list[AnyRecord] = [*steps[:-1], gap("g", 2, 3, seconds=5), *steps[-1:]]
    assert merged(*((A, each) for each in again)) == steps
    book: list[AnyRecord] = [snapshot(1), gap("b", 1, stream=BOOK), lost("b", stream=BOOK), snapshot(4)]
    assert merged(*((A, each) for each in [*book[:2], gap("b", 1, stream=BOOK, seconds=5), *book[2:]])) == book


def test_gap_after_a_restart_of_the_numbers_is_reported_again() -> None:
    steps: list[AnyRecord] = [trade(1), gap("g", 2, 3), trade(4), trade(1, 50), gap("h", 2, 3), trade(4, 51)]
    assert merged(*((A, each) for each in steps)) == steps


def test_gap_of_candles_is_left_out_if_another_replica_has_them() -> None:
    bounds = open_ms(1), open_ms(2)
    steps: list[AnyRecord] = [candle(1), candle(2)]
    gaps = [gap("g", *bounds, stream=CANDLES), gap("h", *bounds, stream="BTC-USDT/candle:5m")]
    assert merged(*((B, each) for each in steps), *((A, each) for each in gaps)) == [*steps, gaps[1]]


def test_candles_never_go_back() -> None:
    running = [replace(candle(2, closed=False), volume=volume) for volume in ("1", "2")]
    steps = [candle(1), running[0], running[1], running[0], candle(1, closed=False), candle(2), candle(2), running[1]]
    assert merged(*((A, each) for each in steps)) == [candle(1), *running, candle(2)]
    assert merged((A, candle(3, closed=False)), (B, candle(2, closed=False))) == [candle(3, closed=False)]


def test_tickers_go_back_after_a_resync_that_reports_it() -> None:
    back = resync("ClockSetBack", stream=TICKER)
    assert merged((A, ticker(9)), (A, back), (A, ticker(2)), (A, ticker(1))) == [ticker(9), back, ticker(2)]
    silent = resync("Silent", stream=TICKER)
    assert merged((A, ticker(9)), (A, silent), (A, ticker(2))) == [ticker(9), silent]


@pytest.mark.parametrize("make", [mark_price, open_interest, funding])
def test_states_of_derivatives_never_go_back(make: Callable[[float], AnyRecord]) -> None:
    first, second, third = make(1), make(2), make(3)
    steps = [(A, first), (B, first), (B, second), (A, first), (A, second), (B, third)]
    assert merged(*steps) == [first, second, third]
    assert merged((A, make(2)), (A, mark_price(1))) == [make(2), *([mark_price(1)] if make is not mark_price else [])]


def test_only_the_stream_of_a_resync_goes_back() -> None:
    back = resync("ClockSetBack", stream="BTC-USDT/markprice")
    records: list[AnyRecord] = [mark_price(9), ticker(9), back, mark_price(2), ticker(2)]
    assert merged(*((A, each) for each in records)) == [mark_price(9), ticker(9), back, mark_price(2)]


def test_settled_rate_appears_once() -> None:
    """Each replica has it with the time of its own first message."""
    first, second = (funding(seconds, kind="settled", due=0) for seconds in (1, 60))
    later = funding(70, kind="settled", due=65)
    assert merged((A, first), (A, funding(1)), (B, second), (B, funding(60)), (A, later), (B, later)) == [
        first,
        funding(1),
        funding(60),
        later,
    ]


def test_each_liquidation_appears_once() -> None:
    first, other = liquidation(1), liquidation(1, "4")
    assert merged((A, first), (B, first), (B, other), (A, other)) == [first, other]


def test_tickers_and_balances_never_go_back() -> None:
    changed = replace(ticker(2), bid="7")
    assert merged((A, ticker(2)), (B, ticker(2)), (B, ticker(1)), (A, changed)) == [ticker(2), changed]
    balance = Balance("okx", "account", at(1), at(2), "USDT", "1", "1", "0")
    later = replace(balance, exchange_time_ns=at(3), total="2")
    assert merged((A, balance), (B, balance), (A, later), (B, balance)) == [balance, later]


def test_balance_with_the_time_of_an_answer_appears_once() -> None:
    """A replica that was away learns a change from an answer over REST, which may have a later time."""
    change = Balance("bybit", "account", at(1), at(1), "USDT", "1", "1", "0")
    answer = replace(change, exchange_time_ns=at(3), receive_time_ns=at(3))
    again = replace(change, exchange_time_ns=at(5), total="2")
    assert merged((A, change), (B, answer), (A, again), (B, again)) == [change, again]


def test_other_events_of_all_replicas_are_kept() -> None:
    steps: list[tuple[int, AnyRecord]] = [(A, connected()), (B, connected()), (B, disconnected())]
    assert merged(*steps) == [record for _, record in steps]


def test_books_are_merged_with_their_gaps() -> None:
    steps: list[tuple[int, AnyRecord]] = [
        (A, snapshot(1)), (B, snapshot(1)), (A, gap("g", 1, None, stream=BOOK)), (B, update(1, 2)),
        (A, lost("g", stream=BOOK)), (A, snapshot(2)),
    ]  # fmt: skip
    assert merged(*steps) == [snapshot(1), update(1, 2)]


def test_replica_that_stopped_bridges_no_gap() -> None:
    missing = gap("g", 1, None, stream=BOOK)
    stop = disconnected(reason="stopped")
    assert merged((A, snapshot(1)), (B, snapshot(1)), (B, stop), (A, missing)) == [snapshot(1), stop, missing]


def test_events_know_whether_they_are_about_a_book() -> None:
    assert [is_of_book(gap("g", 1, 2, stream=name)) for name in (BOOK, CANDLES)] == [True, False]


def test_each_quote_appears_once_and_never_goes_back() -> None:
    same_time = [quote(7, 1), quote(8, 1, bid="9")]
    found = merged(*((A, each) for each in same_time), *((B, each) for each in [*same_time, quote(9, 2)]))
    assert found == [*same_time, quote(9, 2)]
    assert merged((A, replace(quote(7), sequence=None)), (B, replace(quote(7), sequence=None))) == [
        replace(quote(7), sequence=None)
    ]


def test_instrument_appears_once_until_it_changes() -> None:
    halted = instrument(3, status="halted")
    steps = [(A, instrument(1)), (B, instrument(2)), (A, halted), (B, instrument(4, status="halted"))]
    assert merged(*steps) == [instrument(1), halted]
