"""The operator reads all fields of a collector's status that conditions and counters need."""

import json
from typing import Any

from market_collector.exchanges.interface import ProblemKind
from market_collector.model.report import SinkStatus
from market_collector.model.streams import ConnectionState, GapState, StreamState
from market_collector.telemetry import status as said
from market_operator.observed.reports import Report, read_report
from market_operator.status import streams
from market_operator.status.reasons import Reason

TIME = "2026-11-22T10:00:00.123Z"
RECEIVED = "2026-11-22T10:00:00Z"
"""The operator keeps times to the second."""


def document(**parts: Any) -> said.Status:
    head: dict[str, Any] = {"name": "okx-btc", "namespace": "default", "shard": 3, "version": "0.1.0"}
    return said.Status(
        **head, epoch="uid/start", started_at=TIME, time=TIME, **{"health": said.Health.DEGRADED, **parts}
    )


FULL = document(
    reason="1 open gap",
    counters=said.Counters(
        messages=1,
        records=2,
        reconnections=3,
        resyncs=4,
        dropped_records=5,
        gaps_detected=6,
        gaps_repaired=7,
        gaps_lost=8,
        missing_trades=9,
        recovered_trades=10,
        lost_trades=11,
        skipped_updates=12,
        unreadable_frames=13,
    ),
    connections=tuple(
        said.ConnectionStatus(name=f"c-{state}", state=state, since=TIME, reason=f"why {state}", problem=f"Is{state}")
        for state in ConnectionState
    ),
    clock=said.ClockStatus(skew_ms=-3.5, uncertainty_ms=20.0, steps=1, checked_at=TIME),
    last_reconnect=said.LastReconnect(time=TIME, reason="closed by the exchange"),
    last_message_time=TIME,
    streams=tuple(
        said.StreamStatus(
            stream=f"{state.upper()}-USDT/trade", state=state, since=TIME, reason=f"Why{state}", message="m"
        )
        for state in StreamState
    ),
    gaps=tuple(
        said.GapStatus(id=f"g-{state}", stream="BTC-USDT/trade", state=state, detected_at=TIME, reason=f"why {state}")
        for state in GapState
    ),
    sinks=(
        SinkStatus(name="out", type="stdout"),
        SinkStatus(name="archive", type="file", healthy=False, dropped=9, error="disk full"),
    ),
)


def received(status: said.Status) -> Report:
    return read_report(said.encode(status))


def test_the_head_arrives() -> None:
    report = received(FULL)
    assert (report.epoch, report.shard, report.health, report.reason) == ("uid/start", 3, "Degraded", "1 open gap")
    assert (report.last_message_time, report.last_reconnect_time) == (RECEIVED, RECEIVED)
    assert report.last_reconnect_reason == "closed by the exchange"


def test_every_counter_of_the_operator_is_in_the_status() -> None:
    counters = received(FULL).counters
    assert counters.numbers == tuple(range(1, 14))
    assert counters.missing_trades == FULL.counters.missing_trades


def test_connections_arrive_with_state_and_reason() -> None:
    connections = received(FULL).connections
    assert [(each.name, each.state, each.since, each.reason, each.problem) for each in connections] == [
        (f"c-{state}", state.value, RECEIVED, f"why {state}", f"Is{state}") for state in ConnectionState
    ]


def test_region_has_one_name_in_both_programs() -> None:
    assert ProblemKind.REGION.value == Reason.REGION_RESTRICTED


def test_streams_arrive_with_state_and_reason() -> None:
    """The words of a live one are dropped: nobody reads them."""
    found = {each.state: each for each in received(FULL).streams}
    live = found.pop(StreamState.LIVE.value)
    assert (live.name, live.reason) == ("LIVE-USDT/trade", "Whylive")
    assert {each.message for each in found.values()} == {"m"}
    assert {(each.name, each.symbol, each.state, each.since, each.reason) for each in found.values()} == {
        (f"{state.upper()}-USDT/trade", f"{state.upper()}-USDT", state.value, RECEIVED, f"Why{state}")
        for state in set(StreamState) - {StreamState.LIVE}
    }


def test_streams_of_open_gaps_arrive() -> None:
    assert {GapState.OPEN} < set(GapState)
    assert received(FULL).open_gaps == ("BTC-USDT/trade",)


def test_sinks_keep_their_errors() -> None:
    assert [(each.name, each.healthy, each.error) for each in received(FULL).sinks] == [
        ("out", True, ""),
        ("archive", False, "disk full"),
    ]


def test_a_collector_that_has_just_started_is_read() -> None:
    report = received(document())
    assert (list(report.streams), report.last_message_time, report.last_reconnect_time) == ([], "", "")


def test_operator_reads_the_epoch_and_counters_of_a_termination_message() -> None:
    whole, message = received(FULL), read_report(said.termination_message(FULL))
    assert (message.epoch, message.shard, message.counters) == (whole.epoch, whole.shard, whole.counters)
    assert (list(message.streams), message.open_gaps, message.sinks) == ([], (), ())


def test_the_operator_knows_every_stream_state() -> None:
    assert {state.value for state in StreamState} == set(streams._ORDER)
    assert set(streams.DELIVERING) == {StreamState.LIVE.value, StreamState.QUIET.value}


def test_both_speak_the_same_contract() -> None:
    assert json.loads(said.encode(document()))["contract"] == said.CONTRACT == 1
