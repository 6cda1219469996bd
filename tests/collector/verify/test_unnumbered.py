"""Trades without dense ids in recorded files: doubles, and an account of each interruption."""

from typing import Any

import pytest
from msgspec.structs import replace

from imaginary_exchange import NAME, ImaginaryExchange
from imaginary_trades import TradeLife
from market_collector.exchanges import EXCHANGES
from market_collector.model.events import Connected, Disconnected, Gap, Lost, Record, Recording, Repaired, Trade
from market_collector.verify.document import document
from market_collector.verify.intervals import intervals
from market_collector.verify.merge import streams
from market_collector.verify.replica import ReplicaCheck
from market_collector.verify.report import RangeState, Report, StreamReport
from market_collector.verify.table import text
from records import TRADES, at, dropped
from replica_checks import check


@pytest.fixture(autouse=True)
def _exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))


def trade(name: str, seconds: float, *, backfilled: bool = False) -> Trade:
    return Trade(NAME, "BTC-USDT", at(seconds), at(seconds), name, name, 1, "buy", "1", "1", None, backfilled)


def of_gap(kind: type[Any], from_s: float, to_s: float, **fields: Any) -> Any:
    bounds = {"gap_id": "g1", "from_time_ns": at(from_s), "to_time_ns": at(to_s)}
    head = {"stream": TRADES, "reason": "Disconnected", "data_type": "trade"}
    return kind(NAME, "BTC-USDT", None, at(to_s), **head, **bounds, **fields)


def connected(seconds: float, number: int = 1) -> Connected:
    return Connected(NAME, None, None, at(seconds), None, "Opened", None, "all", number, [TRADES])


def disconnected(seconds: float, number: int = 1) -> Disconnected:
    return Disconnected(NAME, None, None, at(seconds), None, "ConnectionLost", "reset", "all", number, [TRADES])


def whole(from_s: float, to_s: float) -> Recording:
    return Recording(NAME, "BTC-USDT", None, at(to_s), TRADES, "trade", None, at(from_s), at(to_s))


def report_of(*replicas: ReplicaCheck) -> StreamReport:
    (report,) = streams(replicas)
    return report


def judged(*records: Record) -> StreamReport:
    return report_of(check("pod-a", *records))


def states(report: StreamReport) -> list[tuple[RangeState, int | None, int | None]]:
    return [(each.state, each.from_ns, each.to_ns) for each in report.reckoning.missing_ranges]


def test_ids_of_any_form_without_an_interruption_are_complete() -> None:
    report = judged(connected(0), trade("7d4e", 1), trade("903", 2), trade("919", 3))
    assert report.is_complete
    assert report.reckoning.distinct == 3


def test_double_is_counted() -> None:
    report = judged(trade("a", 1), trade("b", 2), trade("a", 1))
    assert (report.reckoning.duplicates, report.reckoning.distinct) == (1, 2)


def test_trades_out_of_order_are_counted_except_backfilled_ones() -> None:
    assert judged(trade("a", 1), trade("c", 3), trade("b", 2)).out_of_order == 1
    assert judged(trade("a", 1), trade("c", 3), trade("b", 2, backfilled=True)).out_of_order == 0


def test_interruption_without_an_account_is_unreported() -> None:
    report = judged(connected(0), trade("a", 1), disconnected(2), connected(3, 2), trade("b", 4))
    assert states(report) == [(RangeState.UNREPORTED, at(1), at(4))]
    assert not report.is_complete


def test_interruption_with_a_gap_record_is_lost_or_filled() -> None:
    before = [connected(0), trade("a", 1), disconnected(2), connected(3, 2), of_gap(Gap, 1, 4)]
    lost = judged(*before, of_gap(Lost, 1, 4), trade("b", 4))
    assert states(lost) == [(RangeState.LOST, at(1), at(4))]
    row = trade("x", 2, backfilled=True)
    repaired = judged(*before, trade("b", 4), row, of_gap(Repaired, 1, 4, missing=0, recovered=1))
    assert states(repaired) == [(RangeState.REPAIRED, at(1), at(4))]
    assert repaired.is_complete


def test_gap_left_open_accounts_for_a_further_interruption() -> None:
    report = judged(
        connected(0), trade("a", 1), disconnected(2), of_gap(Gap, 1, 4), connected(3, 2), trade("b", 4),
        disconnected(5, 2), connected(6, 3), trade("c", 7),
    )  # fmt: skip
    assert [state for state, _, _ in states(report)] == [RangeState.OPEN]


def test_interruption_that_the_collector_has_proved_whole_is_complete() -> None:
    report = judged(connected(0), trade("a", 1), disconnected(2), connected(3, 2), whole(1, 4), trade("b", 4))
    assert report.is_complete


def test_regular_recording_record_proves_no_interruption() -> None:
    report = judged(
        connected(0), trade("a", 1), trade("b", 2), disconnected(3), connected(4, 2), whole(1, 2), trade("c", 5)
    )
    assert states(report) == [(RangeState.UNREPORTED, at(2), at(5))]


def test_overlapping_connections_are_no_interruption() -> None:
    assert judged(
        connected(0), trade("a", 1), connected(2, 2), disconnected(3, 1), trade("b", 4), disconnected(5, 2)
    ).is_complete


def test_interruption_before_the_first_trade_or_after_the_last_is_none() -> None:
    assert judged(connected(0), disconnected(1), connected(2, 2), trade("a", 3), disconnected(4, 2)).is_complete


def test_time_between_two_runs_needs_an_account() -> None:
    replica = ReplicaCheck("pod-a")
    replica.start_run()
    replica.take(trade("a", 1))
    replica.start_run()
    replica.take(trade("b", 5))
    replica.start_run()
    replica.take(whole(5, 9))
    replica.take(trade("c", 9))
    replica.finish()
    (missing,) = report_of(replica).reckoning.missing_ranges
    assert (missing.state, missing.from_ns, missing.to_ns) == (RangeState.UNREPORTED, at(1), at(5))
    assert "--state-dir" in missing.reason


def test_dropped_trades_are_lost_until_the_next_one() -> None:
    drop = replace(dropped(3), exchange=NAME)
    own = replace(of_gap(Gap, 1, 2), reason="Dropped")
    report = judged(trade("a", 1), drop, own, of_gap(Lost, 1, 2), trade("e", 5))
    (missing,) = report.reckoning.missing_ranges
    assert (missing.state, missing.missing, missing.from_ns, missing.to_ns) == (RangeState.LOST, 3, at(1), at(5))


def test_replica_bridges_what_another_has_lost() -> None:
    one = check("pod-a", trade("a", 1), of_gap(Gap, 1, 4), of_gap(Lost, 1, 4), trade("d", 4))
    two = check("pod-b", trade("a", 1), trade("b", 2), trade("c", 3), trade("d", 4))
    report = report_of(one, two)
    assert [state for state, _, _ in states(report)] == [RangeState.BRIDGED]
    assert report.is_complete


def test_time_between_two_replicas_needs_an_account() -> None:
    one, two = check("pod-a", trade("a", 1), trade("b", 2)), check("pod-b", trade("d", 6), trade("e", 7))
    assert states(report_of(one, two)) == [(RangeState.UNREPORTED, at(2), at(6))]
    reported = check("pod-b", of_gap(Gap, 2, 6), of_gap(Lost, 2, 6), trade("d", 6), trade("e", 7))
    assert [state for state, _, _ in states(report_of(one, reported))] == [RangeState.LOST]


@pytest.mark.parametrize("row", [[], [trade("c", 4, backfilled=True)]], ids=["quiet", "backfilled"])
def test_pod_that_proves_the_time_since_the_one_before_accounts_for_it(row: list[Record]) -> None:
    one = check("pod-a", trade("a", 1), trade("b", 2))
    two = check("pod-b", connected(3), *row, whole(2, 6), trade("d", 6), trade("e", 7))
    assert report_of(one, two).is_complete


def test_report_names_trades_that_are_not_provable() -> None:
    report = Report([judged(trade("a", 1), trade("b", 2))], 1, 2, 0)
    shown = text(report, 120, has_blocks=False)
    assert "not provable between interruptions: its trade ids are not dense" in shown
    assert shown.endswith("trades of imaginary are not provable between interruptions")
    assert document(report)["streams"][0]["numbered"] is False


def test_intervals_say_that_only_the_connection_proves_them() -> None:
    report = judged(trade("a", 1), of_gap(Gap, 1, 4), of_gap(Lost, 1, 4), trade("d", 4), trade("e", 6))
    found = [(each.from_time_ns, each.to_time_ns, each.proof) for each in intervals([report])]
    assert found == [(at(4) + 1, at(6), "connection")]


def test_life_with_every_kind_of_interruption_is_accounted_for() -> None:
    """Let verify judge the collector's records."""
    life = TradeLife("x")
    feed = life.connect(0.0)
    life.brings(feed, "a", "b", seconds=1.0)
    for second in range(2, 40, 2):
        life.lose(feed, float(second))
        life.market.trade(*(f"{second}-{number}" for number in range(second % 7)))
        feed = life.connect(second + 0.5)
        life.brings(feed, f"live-{second}", seconds=second + 0.6)
        if second % 3 == 0:
            life.wakes(feed, second + 1.7)
        else:
            life.learns(feed, second + 0.9)
    for fetch in life.wakes(feed, 60.0):
        life.answers(feed, fetch, life.market.recent(), 60.1)
    report = report_of(check("pod-a", *life.records))
    assert report.counts[RangeState.UNREPORTED] == 0
    assert report.counts[RangeState.LOST] > 0
    assert report.reckoning.duplicates == 0
