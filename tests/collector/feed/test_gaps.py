"""Every gap ends as filled or lost, for any number of gaps."""

from msgspec.structs import replace

from market_collector.book.continuity import IdRange
from market_collector.feed.gaps import OPEN_GAPS_KEPT, GapBounds, Gaps
from market_collector.model.events import Lost, Repaired
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason
from market_collector.model.streams import DataType, GapState, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
NOW = Moment(1.0, 1_000_000_000)


def span(first: int, last: int) -> GapBounds:
    return GapBounds(first, last)


def test_lost_record_lists_the_lost_ids() -> None:
    gaps = Gaps("okx")
    (gap,) = gaps.open(TRADES, span(1, 10), GapReason.IDS_MISSING, NOW)
    known = gaps.known[gap.gap_id]
    gaps.recover(known, 7)
    gaps.lose(known, [IdRange(4, 4, 0.0), IdRange(9, 9, 0.0)])
    gaps.lose(known, [IdRange(5, 5, 0.0)])
    lost = gaps.close(known, EndReason.NOT_IN_HISTORY, NOW)
    assert isinstance(lost, Lost)
    assert (lost.recovered, lost.missing, lost.ranges) == (7, 3, [("4", "5"), ("9", "9")])
    assert (known.state, gaps.lost, gaps.repaired) == (GapState.LOST, 1, 0)
    assert (gaps.missing_trades, gaps.recovered_trades, gaps.lost_trades) == (10, 7, 3)


def test_gap_without_lost_ids_is_closed_as_filled() -> None:
    gaps = Gaps("okx")
    (gap,) = gaps.open(TRADES, span(1, 2), GapReason.IDS_MISSING, NOW)
    gaps.recover(gaps.known[gap.gap_id], 2)
    repaired = gaps.close(gaps.known[gap.gap_id], EndReason.BACKFILLED, NOW)
    assert isinstance(repaired, Repaired)
    assert (repaired.recovered, repaired.missing, gaps.all_open()) == (2, 0, [])


def test_open_gaps_are_repeated_for_files_that_start() -> None:
    gaps, later = Gaps("okx"), Moment(2.0, 2_000_000_000)
    (first,) = gaps.open(TRADES, span(1, 2), GapReason.IDS_MISSING, NOW)
    (second,) = gaps.open(TRADES, span(5, 6), GapReason.IDS_MISSING, NOW)
    gaps.open(TRADES, span(8, 9), GapReason.DROPPED, NOW, sink="a")
    assert gaps.repeat(later) == [replace(each, receive_time_ns=2_000_000_000) for each in (first, second)]
    gaps.recover(gaps.known[first.gap_id], 2)
    gaps.close(gaps.known[first.gap_id], EndReason.BACKFILLED, NOW)
    assert [each.gap_id for each in gaps.repeat(later)] == [second.gap_id]


def test_gaps_of_the_same_moment_have_ids_of_their_own() -> None:
    gaps = Gaps("okx")
    (one,) = gaps.open(TRADES, span(1, 2), GapReason.DROPPED, NOW, sink="a")
    (other,) = gaps.open(TRADES, span(1, 2), GapReason.DROPPED, NOW, sink="b")
    assert one.gap_id != other.gap_id
    assert [known.sink for known in gaps.all_open()] == ["a", "b"]


def test_nearest_gaps_are_merged_when_too_many_are_open() -> None:
    gaps = Gaps("okx")
    for number in range(OPEN_GAPS_KEPT):
        assert len(gaps.open(TRADES, span(number * 100, number * 100 + 9), GapReason.IDS_MISSING, NOW)) == 1
    near = OPEN_GAPS_KEPT * 100 - 80
    new, merged = gaps.open(TRADES, span(near, near + 4), GapReason.IDS_MISSING, NOW)
    assert merged.merges is not None
    assert new.gap_id in merged.merges
    assert (merged.first_id, merged.last_id, merged.missing) == (str((OPEN_GAPS_KEPT - 1) * 100), str(near + 4), 15)
    still = gaps.all_open()
    assert len(still) == OPEN_GAPS_KEPT
    assert sum(known.gap.missing or 0 for known in still) == OPEN_GAPS_KEPT * 10 + 5
    assert gaps.detected == OPEN_GAPS_KEPT + 1
