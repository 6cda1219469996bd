"""Intervals in which data is proved whole."""

from collections.abc import Sequence

import msgspec

from market_collector.model.events import Record
from market_collector.verify.intervals import Interval, intervals, to_csv
from market_collector.verify.merge import streams
from records import (
    BOOK,
    CANDLES,
    TICKER,
    TRADES,
    at,
    candle,
    connected,
    disconnected,
    dropped,
    gap,
    liquidation,
    lost,
    open_ms,
    quote,
    repaired,
    resync,
    snapshot,
    ticker,
    trade,
    update,
)
from replica_checks import check

Span = tuple[int, int]
QUOTES = "BTC-USDT/quote"


def found(*replicas: Sequence[Record]) -> list[Interval]:
    return list(intervals(streams([check(str(number), *records) for number, records in enumerate(replicas)])))


def spans(*replicas: Sequence[Record]) -> list[Span]:
    return [(each.from_time_ns, each.to_time_ns) for each in found(*replicas)]


def test_interval_names_its_stream_and_its_proof() -> None:
    (only,) = found([candle(1), candle(2)])
    start, end = open_ms(1) * 1_000_000, open_ms(3) * 1_000_000
    assert only == Interval("okx", "BTC-USDT", CANDLES, "candle", "1m", start, end, "numbers")


def test_lost_trades_divide_the_interval() -> None:
    records: list[Record] = [trade(1), trade(2), gap("g", 3, 4), trade(5), trade(7), lost("g", [(3, 4)])]
    assert spans(records) == [(at(1), at(2)), (at(5), at(5)), (at(7), at(7))]


def test_gap_that_is_partly_filled_ends_at_its_lost_trades() -> None:
    filled = trade(3, backfilled=True)
    records: list[Record] = [trade(2), gap("g", 3, 5), trade(6), filled, lost("g", [(4, 5)])]
    assert spans(records) == [(at(2), at(3)), (at(6), at(6))]


def test_stream_is_covered_where_any_replica_has_it() -> None:
    left = [trade(1), trade(2), trade(6), trade(7)]
    right = [trade(2), trade(3), trade(4), trade(7), trade(8)]
    assert spans(left, right) == [(at(1), at(4)), (at(6), at(8))]


def test_times_on_both_sides_of_a_gap_are_not_covered() -> None:
    trades: list[Record] = [trade(1, 10), trade(2, 20), gap("g", 3, 3), trade(4, 15), trade(5, 30), lost("g", [(3, 3)])]
    assert spans(trades) == [(at(10), at(15) - 1), (at(20) + 1, at(30))]
    assert spans([trade(1, 20), trade(2, 15)]) == [(at(15), at(20))]
    books: list[Record] = [
        snapshot(1, 10),
        update(1, 2, 20),
        gap("g", 2, stream=BOOK),
        snapshot(4, 15),
        update(4, 5, 30),
    ]
    assert spans(books) == [(at(10), at(15) - 1), (at(20) + 1, at(30))]


def test_restarted_numbers_have_intervals_of_their_own() -> None:
    records: list[Record] = [trade(8), trade(9), resync("NumberingRestarted"), trade(1, 20), trade(2, 21)]
    assert spans(records) == [(at(8), at(9)), (at(20), at(21))]


def test_trades_whose_times_are_zero_have_no_interval() -> None:
    assert found([msgspec.structs.replace(trade(number), exchange_time_ns=0) for number in (1, 2)]) == []


def test_interval_without_a_candle_is_whole_if_nothing_was_traded() -> None:
    nothing = gap("g", open_ms(1), open_ms(1), stream=CANDLES)
    end = msgspec.structs.replace(repaired("g", stream=CANDLES), reason="NothingTraded")
    whole = (open_ms(0) * 1_000_000, open_ms(3) * 1_000_000)
    records: list[Record] = [candle(0), nothing, candle(2), end]
    assert spans(records) == [whole]


def test_book_is_covered_from_its_snapshot() -> None:
    assert spans([update(3, 4), update(4, 5), snapshot(7), update(7, 8)]) == [(at(7), at(8))]


def test_late_snapshot_of_a_book_covers_no_time_before_it() -> None:
    """A snapshot without a time counts from its arrival. The book is lost before it has caught up."""
    late = msgspec.structs.replace(snapshot(1), exchange_time_ns=None, receive_time_ns=at(30))
    records: list[Record] = [late, update(1, 2, 20), gap("g", 2, stream=BOOK), snapshot(4, 40), update(4, 5, 50)]
    assert spans(records) == [(at(30), at(30)), (at(40), at(50))]


def test_gap_of_a_book_is_covered_by_the_chain_of_another_replica() -> None:
    left: list[Record] = [snapshot(1), update(1, 2), gap("g", 2, stream=BOOK), snapshot(5), update(5, 6)]
    right: list[Record] = [snapshot(2), update(2, 3), update(3, 5)]
    assert spans(left) == [(at(1), at(2)), (at(5), at(6))]
    assert spans(left, right) == [(at(1), at(6))]


def test_stream_without_numbers_is_covered_while_a_connection_carries_it() -> None:
    carried = msgspec.structs.replace(connected(1), streams=[TICKER])
    ended = msgspec.structs.replace(disconnected(5), connection_id=1, streams=[TICKER])
    again = msgspec.structs.replace(carried, receive_time_ns=at(7), connection_id=2)
    first: list[Record] = [carried, ticker(2), ended, again, ticker(9)]
    assert [(each.proof, each.data_type) for each in found(first)] == [("connection", "ticker")] * 2
    assert spans(first) == [(at(1), at(5)), (at(7), at(9))]
    second: list[Record] = [msgspec.structs.replace(carried, receive_time_ns=at(4)), ticker(8)]
    assert spans(first, second) == [(at(1), at(9))]
    assert spans([ticker(2)]) == [], "schema 0 does not name the streams of a connection"


def test_part_of_all_liquidations_is_no_whole() -> None:
    name = "BTC-USDT/liquidation"
    carried = msgspec.structs.replace(connected(1), streams=[name])
    ended = msgspec.structs.replace(disconnected(5), connection_id=1, streams=[name])
    (interval,) = found([carried, liquidation(2), ended])
    assert (interval.proof, interval.from_time_ns, interval.to_time_ns) == ("partial", at(1), at(5))
    elsewhere = [msgspec.structs.replace(each, exchange="imaginary") for each in (carried, liquidation(2), ended)]
    assert [each.proof for each in found(elsewhere)] == ["connection"]


def test_dropped_tickers_are_not_covered() -> None:
    carried = msgspec.structs.replace(connected(1), streams=[TICKER])
    reported = dropped(3, stream=TICKER, seconds=6)
    records: list[Record] = [carried, ticker(2), ticker(3), reported, ticker(7), ticker(8)]
    assert spans(records) == [(at(1), at(3)), (at(6), at(8))]
    ended = msgspec.structs.replace(disconnected(5), connection_id=1, streams=[TICKER])
    again = msgspec.structs.replace(carried, receive_time_ns=at(5.5), connection_id=2)
    assert spans([carried, ticker(3), ended, again, reported, ticker(8)]) == [(at(1), at(3)), (at(6), at(8))]
    assert spans(records, [carried, ticker(4), ticker(7)]) == [(at(1), at(8))]


def test_quotes_are_covered_where_their_book_is() -> None:
    records: list[Record] = [snapshot(1), quote(1), update(1, 2), gap("g", 2, stream=BOOK), snapshot(5), quote(5)]
    records += [update(5, 6), update(6, 9), quote(9)]
    assert {(each.data_type, each.proof) for each in found(records)} == {("orderbook", "links"), ("quote", "links")}
    assert spans_of("quote", records) == spans_of("orderbook", records) == [(at(1), at(2)), (at(5), at(9))]
    cut = [*records[:-1], dropped(2, stream=QUOTES, seconds=8), quote(9)]
    assert spans_of("orderbook", cut) == [(at(1), at(2)), (at(5), at(9))]
    assert spans_of("quote", cut) == [(at(1), at(2)), (at(5), at(5)), (at(9), at(9))]


def spans_of(data_type: str, *replicas: Sequence[Record]) -> list[Span]:
    return [(each.from_time_ns, each.to_time_ns) for each in found(*replicas) if each.data_type == data_type]


def test_csv_has_a_line_for_each_interval() -> None:
    header, line = to_csv(found([trade(1), trade(2)])).splitlines()
    assert header == "exchange,symbol,stream,data_type,interval,from_time_ns,to_time_ns,proof"
    assert line == f"okx,BTC-USDT,{TRADES},trade,,{at(1)},{at(2)},numbers"


def test_csv_of_hostile_names_has_one_line_each_and_no_formula() -> None:
    names = ["=1+1", "+1", "-1", "@A1", "BTC\x1b[2J", "BTC\nokx", "BTC\x9b\u202e"]
    records = [msgspec.structs.replace(trade(1), symbol=name) for name in names]
    _, *lines = to_csv(found(records)).splitlines()
    assert len(lines) == len(names)
    assert all(line.isprintable() for line in lines)
    assert {line.split(",")[1] for line in lines} >= {"'=1+1", "'+1", "'-1", "'@A1", r"BTC\nokx"}
