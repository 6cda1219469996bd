"""A restart resumes at the sinks' positions without a gap and without duplicates."""

import msgspec
import pytest

from market_collector.book.book import Book
from market_collector.feed.checkpoint_state import Positions, Written, positions, resume
from market_collector.feed.effects import Emit
from market_collector.feed.ledger import Ledger, Loss
from market_collector.model.events import Gap, Lost, Orderbook, Record, Repaired, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

NOTHING_WRITTEN = Written({}, {}, {}, ())
TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def ledger() -> Ledger:
    return Ledger("okx", [TRADES, BOOK, Stream("BTC-USDT", DataType.TICKER)], 60.0, at(0))


def take(one: Ledger, *numbers: int, seconds: float = 1.0) -> list[Record]:
    trades = [Trade("okx", "BTC-USDT", n, 1, str(n), str(n), 1, "buy", "1", "1") for n in numbers]
    return one.ids.take_trades(one.ids.streams[TRADES], trades, at(seconds))


def gaps(records: list[Record]) -> list[tuple[str | None, str | None, str]]:
    return [(gap.first_id, gap.last_id, gap.reason) for gap in records if isinstance(gap, Gap)]


def start_book(one: Ledger, sequence: int) -> list[Record]:
    record = Orderbook("okx", "BTC-USDT", sequence, 2, "snapshot", [], [], sequence, None)
    records = one.books.add_snapshot(one.books.streams[BOOK], 1, Book(record), record, at(1))
    one.books.streams[BOOK].observe(record, at(1))
    return records


def saved(one: Ledger, *losses: Loss) -> Positions:
    """Through the file's form and back."""
    return msgspec.json.decode(msgspec.json.encode(positions(one, losses, {"out": "a:1"})), type=Positions)


def test_gap_since_the_last_process_has_its_reason() -> None:
    before, after = ledger(), ledger()
    take(before, 100)
    assert resume(after, saved(before), NOTHING_WRITTEN, at(2)) == []
    assert gaps(take(after, 105, seconds=3)) == [("101", "104", "Restarted")]


def test_ids_before_those_that_were_read_back_are_not_taken_for_late_ones() -> None:
    """Without a checkpoint, the end of the file shows only the last ids."""
    after = ledger()
    resume(after, saved(ledger()), Written({"BTC-USDT/trade": [(101, 1_000), (100, 1_000)]}, {}, {}, ()), at(2))
    assert take(after, 98, 100, seconds=2.1) == []
    assert after.check_overdue(at(9)) == []


def test_data_written_after_the_checkpoint_is_neither_missing_nor_repeated() -> None:
    before, after = ledger(), ledger()
    take(before, 100)
    written = Written({"BTC-USDT/trade": [(101, 101), (102, 102), (104, 104)]}, {}, {}, ())
    resume(after, saved(before), written, at(2))
    records = take(after, 102, 107, seconds=3)
    assert records[-1:] == take(ledger(), 107)
    assert after.duplicates == 1
    assert gaps(records) == [("103", "103", "Restarted"), ("105", "106", "Restarted")]
    assert [(each.from_time_ns, each.to_time_ns) for each in records if isinstance(each, Gap)] == [
        (102, 104),
        (104, 107),
    ]


def test_an_open_gap_goes_on_under_its_old_id() -> None:
    before, after = ledger(), ledger()
    _, gap, _ = take(before, 100, 104)
    resume(after, saved(before), NOTHING_WRITTEN, at(5))
    assert after.check_overdue(at(9)) == []
    *_, end = take(after, 101, 102, 103, seconds=6)
    assert isinstance(gap, Gap)
    assert isinstance(end, Repaired)
    assert end.gap_id == gap.gap_id


def test_gap_written_after_the_checkpoint_resumes_unless_closed() -> None:
    before, after = ledger(), ledger()
    _, gap, _ = take(before, 100, 104)
    assert isinstance(gap, Gap)
    early = saved(ledger())
    filled = {"BTC-USDT/trade": [(100, 1), (104, 1)]}
    resume(after, early, Written(filled, {}, {gap.gap_id: gap}, ()), at(5))
    assert [known.gap for known in after.gaps.all_open()] == [gap]
    closed = ledger()
    whole = {"BTC-USDT/trade": [(101, 1), (102, 1), (103, 1)]}
    resume(closed, saved(before), Written(whole, {}, {}, {gap.gap_id}), at(5))
    assert closed.gaps.all_open() == []


@pytest.mark.parametrize("last", [100, 99, None])
def test_gap_that_was_written_last_stays_open(last: int | None) -> None:
    """A kill cut off the trade beyond it, or that of the time before it. Both come later."""
    before, earlier, after = ledger(), ledger(), ledger()
    _, gap, _ = take(before, 100, 104)
    assert isinstance(gap, Gap)
    if last is not None:
        take(earlier, last)
    assert resume(after, saved(earlier), Written({}, {}, {gap.gap_id: gap}, ()), at(5)) == []
    (known,) = after.gaps.all_open()
    assert [(each.first, each.last) for each in after.ids.still_missing(known)] == [(101, 103)]
    assert known.recovered == 0
    assert gaps(take(after, 104, seconds=6)) == ([("100", "100", "Restarted")] if last == 99 else [])
    *_, end = take(after, 101, 102, 103, seconds=6)
    assert isinstance(end, Repaired)
    assert (end.gap_id, end.recovered) == (gap.gap_id, 3)


def test_gap_filled_before_the_crash_is_closed_at_once() -> None:
    before, after = ledger(), ledger()
    take(before, 100, 103)
    filled = {"BTC-USDT/trade": [(101, 1), (102, 1)]}
    (effect,) = resume(after, saved(before), Written(filled, {}, {}, ()), at(5))
    (end,) = effect.records
    assert isinstance(end, Repaired)
    assert (end.recovered, end.missing) == (2, 0)


def test_ids_written_before_the_crash_count_as_recovered() -> None:
    before, after = ledger(), ledger()
    take(before, 100, 104)
    resume(after, saved(before), Written({"BTC-USDT/trade": [(101, 1), (102, 1)]}, {}, {}, ()), at(5))
    (known,) = after.gaps.all_open()
    assert (known.recovered, [missing.size for missing in after.ids.still_missing(known)]) == (2, [1])


def test_book_updates_missed_between_two_runs_are_a_gap() -> None:
    before, after = ledger(), ledger()
    start_book(before, 7)
    (effect,) = resume(after, saved(before), Written({}, {"BTC-USDT/orderbook": 9}, {}, ()), at(5))
    (gap,) = effect.records
    assert isinstance(gap, Gap)
    assert (gap.after_sequence, gap.reason) == (9, "Restarted")
    lost, _ = start_book(after, 30)
    assert isinstance(lost, Lost)
    assert (lost.after_sequence, lost.resumed_sequence, lost.to_time_ns) == (9, 30, 30)


def test_records_dropped_before_a_crash_are_backfilled_after_it() -> None:
    before, after = ledger(), ledger()
    take(before, 100)
    effects = resume(after, saved(before, Loss("out", str(TRADES), 3, ((97, 99),))), NOTHING_WRITTEN, at(5))
    assert [(effect.sink, [type(r) for r in effect.records]) for effect in effects if isinstance(effect, Emit)] == [
        ("out", [Gap])
    ]
    (known,) = after.gaps.all_open()
    assert (known.sink, known.missing[0].size) == ("out", 3)


def test_streams_that_are_not_collected_any_more_are_left_alone() -> None:
    before = ledger()
    take(before, 100, 104)
    other = Ledger("okx", [BOOK], 60.0, at(0))
    assert resume(other, saved(before), NOTHING_WRITTEN, at(5)) == []
