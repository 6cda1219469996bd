"""Each record goes to the stream that it speaks of."""

import msgspec
import pytest
from msgspec.structs import replace

from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Lost, Record, Repaired
from market_collector.verify.books import BookLine
from market_collector.verify.ids import NumberLine, reckon
from market_collector.verify.merge import streams
from market_collector.verify.replica import RecordError, ReplicaCheck
from market_collector.verify.report import MISSING, RangeState
from market_collector.verify.stream import StreamCheck
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
    funding,
    gap,
    header,
    instrument,
    liquidation,
    lost,
    mark_price,
    open_interest,
    quote,
    raw,
    refused,
    repaired,
    resync,
    snapshot,
    ticker,
    trade,
    update,
)


def check(*records: Record) -> ReplicaCheck:
    replica = ReplicaCheck("okx-btc/0/pod-a")
    replica.start_run()
    for record in records:
        replica.take(record)
    replica.finish()
    return replica


def stream(replica: ReplicaCheck, name: str) -> StreamCheck:
    return replica.streams["okx", name]


def numbers(replica: ReplicaCheck, name: str) -> NumberLine:
    line = stream(replica, name).line
    assert isinstance(line, NumberLine)
    return line


def test_exchange_says_whether_candles_may_be_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not numbers(check(candle(0)), CANDLES).skips_numbers
    monkeypatch.setattr(EXCHANGES["okx"], "skips_empty_candles", True)
    assert numbers(check(candle(0)), CANDLES).skips_numbers


def test_data_goes_to_its_stream() -> None:
    replica = check(
        *(trade(1), trade(2), snapshot(1), ticker(1), ticker(0), candle(0), candle(1, closed=False)),
        *(raw(), instrument(), quote(1)),
    )
    assert {name: each.records for (_, name), each in replica.streams.items()} == {
        TRADES: 2,
        BOOK: 1,
        TICKER: 2,
        CANDLES: 2,
        "BTC-USDT/quote": 1,
    }
    assert (replica.records, replica.raw) == (10, 1)
    assert numbers(replica, TRADES).numberings[0].runs.runs() == [(1, 2)]
    assert len(numbers(replica, CANDLES).numberings[0].runs.runs()) == 1
    assert stream(replica, TICKER).out_of_order == 1


def test_events_go_to_the_stream_that_they_name() -> None:
    replica = check(gap("g", 1, 2), repaired("g"), gap("h", 3, 3), lost("h"), dropped(2), refused(TICKER))
    assert stream(replica, TRADES).events == {"gap": 2, "repaired": 1, "lost": 1, "dropped": 1}
    assert stream(replica, TICKER).events == {"refused": 1}
    assert [life.state for life in numbers(replica, TRADES).numberings[0].gaps.values()] == ["repaired", "lost"]


def test_what_was_dropped_of_no_stream_is_no_stream() -> None:
    assert not check(dropped(1, stream="events"), dropped(1, stream="public/raw")).streams


def test_the_end_of_a_recording_reaches_the_books() -> None:
    line = stream(check(snapshot(1), dropped(1, stream=BOOK)), BOOK).line
    assert isinstance(line, BookLine)
    assert len(line.breaks) == 1


def test_an_ended_connection_is_shown_on_all_streams_of_the_exchange() -> None:
    replica = check(trade(1), snapshot(1), connected(2), disconnected(3), disconnected(9, "stopped"))
    for name in (TRADES, BOOK):
        ((start, end),) = stream(replica, name).reconnects.spans()
        assert start <= at(3) <= end


def test_an_ended_connection_is_shown_on_the_streams_that_it_carried() -> None:
    ended = msgspec.structs.replace(disconnected(3, "Faulty"), streams=[TRADES])
    replica = check(trade(1), snapshot(1), ended, msgspec.structs.replace(ended, reason="Stopped"))
    assert [len(stream(replica, name).reconnects.spans()) for name in (TRADES, BOOK)] == [1, 0]


def test_a_restart_of_the_numbering_is_taken_from_its_resync() -> None:
    replica = check(trade(9), resync("trade ids restarted at 1"), trade(1, 10), resync("SequenceGap: ...", stream=BOOK))
    assert len(numbers(replica, TRADES).numberings) == 2
    assert len(stream(replica, BOOK).reconnects.spans()) == 1


def test_it_ran_from_the_first_record_of_a_run_to_its_last() -> None:
    replica = ReplicaCheck("a")
    replica.start_run()
    for second in (1, 3, 2):
        replica.take(trade(second))
    replica.start_run()
    replica.start_run()
    replica.take(connected(9))
    replica.finish()
    assert replica.running == [(at(1), at(3)), (at(9), at(9))]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (msgspec.structs.replace(trade(1), trade_id="x"), "a trade record.*'x'"),
        (msgspec.structs.replace(gap("g", 1, 2), first_id="x"), "a gap record.*'x'"),
        (msgspec.structs.replace(candle(1), interval="1y"), "a candle record.*'y'"),
        (gap("g", 1, 2, stream="BTC-USDT/nonsense"), "'nonsense'"),
    ],
)
def test_impossible_values_are_errors(record: Record, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        check(record)


def test_backfill_of_a_gap_in_an_earlier_file_leaves_no_gap() -> None:
    """The file is the only one read. Its header says that there is an earlier one, which has the gap record."""
    backfilled = [trade(number, backfilled=True) for number in (11, 12)]
    for previous, missing in (("a.jsonl", []), (None, [("13", "19")])):
        check = ReplicaCheck("a")
        records: list[Record] = [replace(header(), previous_file=previous), *backfilled, trade(20), trade(21)]
        for record in records:
            check.take(record)
        check.finish()
        line = check.streams["okx", TRADES].line
        assert isinstance(line, NumberLine)
        found = reckon([("a", line)])
        assert [(each.first, each.last) for each in found.missing_ranges] == missing


@pytest.mark.parametrize(
    ("end", "missing"),
    [
        (repaired("g"), []),
        (lost("g", [(18, 19)]), [(RangeState.LOST, 2)]),
        (None, [(RangeState.OPEN, 5)]),
    ],
)
def test_gap_that_a_file_repeats_is_judged_by_what_the_file_can_have(
    end: Record | None, missing: list[tuple[RangeState, int]]
) -> None:
    """It is the only file read: an earlier one has 13 to 15 of the gap."""
    there = [trade(each, backfilled=True) for each in range(16, 18 if isinstance(end, Lost) or not end else 20)]
    records: list[Record] = [replace(header(), previous_file="a.jsonl"), gap("g", 13, 19), *there, trade(20)]
    replica = check(*records, *([] if end is None else [end]), trade(21))
    (report,) = streams([replica])
    ranges = report.reckoning.missing_ranges
    assert [(each.state, each.missing) for each in ranges if each.state in MISSING] == missing
    assert not report.reckoning.findings
    assert report.reckoning.proved[-1] == (at(16) if isinstance(end, Repaired) else at(20), at(21))


def test_gap_that_later_files_repeat_is_one_gap() -> None:
    records: list[Record] = [trade(1), gap("g", 2, 3), trade(4), trade(2, backfilled=True), gap("g", 2, 3)]
    replica = check(*records, trade(3, backfilled=True), repaired("g"))
    books: list[Record] = [snapshot(1), gap("b", 1, stream=BOOK), gap("b", 1, stream=BOOK), lost("b", stream=BOOK)]
    for report in streams([replica, check(*books, snapshot(4))]):
        assert (report.events["gap"], len(report.reckoning.missing_ranges)) == (1, 1)
        assert not report.reckoning.findings


def test_reported_earlier_time_of_tickers_is_no_contradiction() -> None:
    back: list[Record] = [ticker(9), resync("ClockSetBack", stream=TICKER), ticker(5), ticker(6)]
    assert stream(check(*back), TICKER).order.findings == []
    unreported: list[Record] = [ticker(9), resync("Silent", stream=TICKER), ticker(5)]
    assert [each.kind for each in stream(check(*unreported), TICKER).order.findings] == ["TickerBackInTime"]


def test_data_of_derivatives_goes_to_its_stream() -> None:
    replica = check(funding(1), mark_price(1), mark_price(2), open_interest(1), liquidation(2), liquidation(1))
    found = {name.rpartition("/")[2]: (each.records, each.out_of_order) for (_, name), each in replica.streams.items()}
    assert found == {"funding": (1, 0), "markprice": (2, 0), "openinterest": (1, 0), "liquidation": (2, 0)}


@pytest.mark.parametrize(
    ("records", "finding"),
    [
        ([mark_price(2), mark_price(1)], "MarkPriceBackInTime"),
        ([open_interest(2), open_interest(1)], "OpenInterestBackInTime"),
        ([funding(2), funding(1)], "FundingBackInTime"),
        ([funding(2), funding(1, kind="settled", due=0)], None),
    ],
)
def test_state_of_a_derivative_that_goes_back_is_a_contradiction(records: list[Record], finding: str | None) -> None:
    (report,) = streams([check(*records)])
    assert [each.kind for each in report.reckoning.findings] == ([finding] if finding else [])


@pytest.mark.parametrize(
    "record", [replace(trade(1), price="nan"), replace(ticker(1), last="-1"), replace(quote(1), bid="")]
)
def test_number_that_is_no_plain_decimal_is_an_impossible_value(record: Record) -> None:
    with pytest.raises(RecordError, match=r"record with an impossible value: .* is not a plain decimal"):
        check(record)


CROSSED = snapshot(1, 1, bid="11"), update(1, 2, 9)


def test_instrument_before_its_book_tells_that_it_may_be_crossed() -> None:
    assert kinds(check(instrument(status="auction"), *CROSSED)) == []
    assert kinds(check(instrument(), *CROSSED)) == ["Crossed"]
    assert kinds(check(instrument(status="auction", symbol="ETH-USDT"), *CROSSED)) == ["Crossed"]
    assert kinds(check(CROSSED[0], instrument(2, status="auction"), CROSSED[1])) == []


def test_instrument_of_an_earlier_run_tells_nothing() -> None:
    replica = ReplicaCheck("a")
    replica.take(instrument(status="auction"))
    replica.start_run()
    for record in CROSSED:
        replica.take(record)
    replica.finish()
    assert kinds(replica) == ["Crossed"]


def kinds(replica: ReplicaCheck) -> list[str]:
    line = stream(replica, BOOK).line
    assert isinstance(line, BookLine)
    return [each.kind for each in line.findings]
