"""Replicas put together."""

from market_collector.verify.merge import streams
from market_collector.verify.replica import ReplicaCheck
from market_collector.verify.report import RangeState, StreamReport
from records import BOOK, TICKER, TRADES, at, gap, lost, snapshot, ticker, trade, update
from replica_checks import check


def by_name(*replicas: ReplicaCheck) -> dict[str, StreamReport]:
    return {report.stream: report for report in streams(replicas)}


def test_a_stream_is_what_all_replicas_have_of_it() -> None:
    left = check("a", trade(1), trade(2), trade(4), gap("g", 3, 3), lost("g"), ticker(1))
    right = check("b", trade(2), trade(3), trade(6), trade(5))
    report = by_name(left, right)[TRADES]
    assert (report.from_ns, report.to_ns, report.records, report.replicas) == (at(1), at(6), 7, ("a", "b"))
    assert report.reckoning.distinct == 6
    assert report.counts == {RangeState.BRIDGED: 2}, "b lacks 4, and says nothing"
    assert report.is_complete
    assert report.events == {"gap": 1, "lost": 1}
    assert len(report.busy) == 6
    assert report.running == ((at(1), at(6)),)


def test_each_kind_of_stream_has_its_own_reckoning() -> None:
    reports = by_name(check("a", trade(1), trade(3), snapshot(1), update(1, 2), ticker(1), ticker(0)))
    assert list(reports) == sorted(reports) == [BOOK, TICKER, TRADES]
    assert reports[BOOK].reckoning.books is not None
    assert reports[TICKER].out_of_order == 1
    assert [finding.kind for finding in reports[TICKER].reckoning.findings] == ["TickerBackInTime"]
    assert not reports[TICKER].is_complete
    assert not reports[TRADES].is_complete


def test_a_stream_without_data_has_no_time() -> None:
    report = by_name(check("a", gap("g", 1, 2)))[TRADES]
    assert (report.from_ns, report.to_ns, report.records) == (None, None, 0)
    assert report.counts == {RangeState.OPEN: 1}
