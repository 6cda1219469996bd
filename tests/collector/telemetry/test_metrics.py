"""Prometheus text is made from plain numbers, with fixed names and bounded labels."""

import subprocess
import sys
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from market_collector.feed.latency import BOUNDS_S, LatencyHistogram
from market_collector.feed.stream_state import StreamProgress
from market_collector.model.report import SinkStatus
from market_collector.model.streams import ConnectionState, DataType, GapState, Stream, StreamState
from market_collector.telemetry.metrics import render
from market_collector.telemetry.status import (
    ClockStatus,
    ConnectionStatus,
    Counters,
    GapStatus,
    Health,
    Status,
)

STATUS = Status(
    name="okx-btc",
    namespace="default",
    shard=0,
    version="0.1.0",
    epoch="e",
    started_at="2026-11-22T10:00:00.000Z",
    time="2026-11-22T10:05:00.000Z",
    health=Health.DEGRADED,
    counters=Counters(
        messages=7, records=6, reconnections=5, resyncs=4, gaps_detected=3, gaps_repaired=2, missing_trades=1
    ),
    clock=ClockStatus(skew_ms=-1500.0, uncertainty_ms=20.0, steps=2, checked_at="2026-11-22T10:04:30.000Z"),
    connections=(
        ConnectionStatus(name="public", state=ConnectionState.BACKOFF, since="", pings_sent=9, pongs_received=8),
    ),
    gaps=(GapStatus(id="1", stream="A-B/trade", state=GapState.OPEN, detected_at=""),),
    sinks=(SinkStatus(name="out", type="file", healthy=False, queued=3, acknowledged=2, dropped=1),),
)


TRADES, TICKER = Stream("A-B", DataType.TRADE), Stream("A-B", DataType.TICKER)
LAST_NS = 1_795_341_897_500_000_000
"""2026-11-22T10:04:57.500Z."""


def streams(latency: LatencyHistogram | None = None) -> list[StreamProgress]:
    """A live stream with these latencies, and one without messages."""
    live = StreamProgress(TRADES, 0, 0.0, StreamState.LIVE, last_wall_ns=LAST_NS, latency=latency or LatencyHistogram())
    return [live, StreamProgress(TICKER, 0, 0.0)]


def page(latency: LatencyHistogram | None = None) -> str:
    return b"".join(render(STATUS, "okx", streams(latency))).decode()


def samples(latency: LatencyHistogram | None = None) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(page(latency))
    return {(each.name, *sorted(each.labels.values())): each.value for family in families for each in family.samples}


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (("messages_total", "okx"), 7),
        (("records_total", "okx"), 6),
        (("reconnections_total", "okx"), 5),
        (("resyncs_total", "okx"), 4),
        (("gaps_detected_total", "okx"), 3),
        (("gaps_repaired_total", "okx"), 2),
        (("missing_trades_total", "okx"), 1),
        (("gaps", "open"), 1),
        (("gaps", "repaired"), 0),
        (("connection_state", "backoff", "public"), 1),
        (("connection_state", "connected", "public"), 0),
        (("clock_skew_seconds",), -1.5),
        (("clock_skew_uncertainty_seconds",), 0.02),
        (("clock_steps_total",), 2),
        (("pings_sent_total", "public"), 9),
        (("pongs_received_total", "public"), 8),
        (("streams", "live"), 1),
        (("streams", "pending"), 1),
        (("streams", "stale"), 0),
        (("stream_live", "A-B/trade"), 1),
        (("stream_live", "A-B/ticker"), 0),
        (("stream_age_seconds", "A-B/trade"), 2.5),
        (("sink_healthy", "out"), 0),
        (("sink_queue_records", "out"), 3),
        (("sink_acknowledged_records_total", "out"), 2),
        (("sink_dropped_records_total", "out"), 1),
    ],
)
def test_a_number_has_its_name(sample: tuple[str, ...], value: float) -> None:
    name, *labels = sample
    assert samples()[(f"market_collector_{name}", *labels)] == value


def test_stream_of_which_the_exchange_reports_a_part_is_marked() -> None:
    partial = StreamProgress(Stream("A-B-PERP", DataType.LIQUIDATION), 0, 0.0)
    text = b"".join(render(STATUS, "okx", [*streams(), partial])).decode()
    assert 'market_collector_stream_partial{stream="A-B-PERP/liquidation"} 1.0\n' in text
    assert text.count("market_collector_stream_partial{") == 1
    assert "stream_partial" not in page()


def test_connection_that_the_exchange_excludes_is_marked() -> None:
    (connection,) = STATUS.connections
    excluded = replace(STATUS, connections=(replace(connection, problem="RegionRestricted"),))
    text = b"".join(render(excluded, "okx", streams())).decode()
    assert 'market_collector_connection_problem{connection="public",problem="RegionRestricted"} 1.0\n' in text
    assert "connection_problem" not in page()


def test_a_stream_without_messages_has_no_age() -> None:
    assert ("market_collector_stream_age_seconds", "A-B/ticker") not in samples()


def test_metrics_include_the_build_and_the_process() -> None:
    found = samples()
    assert any(key[0] == "market_collector_build_info" and "0.1.0" in key for key in found)
    assert found[("process_resident_memory_bytes",)] > 1_000_000


def test_latencies_are_a_cumulative_histogram() -> None:
    histogram = LatencyHistogram()
    for seconds in (0.001, 0.03, 0.04, 99.0, -0.5):
        histogram.observe(seconds)
    found = samples(histogram)
    name = "market_collector_exchange_to_receive_seconds"
    assert found[(f"{name}_bucket", "0.001", "A-B/trade", "okx")] == 2
    assert found[(f"{name}_bucket", "0.05", "A-B/trade", "okx")] == 4
    assert found[(f"{name}_bucket", "+Inf", "A-B/trade", "okx")] == 5
    assert found[(f"{name}_sum", "A-B/trade", "okx")] == pytest.approx(99.071)
    assert found[("market_collector_stream_lag_seconds", "A-B/trade")] == -0.5
    assert found[("market_collector_exchange_to_receive_negative_total", "A-B/trade", "okx")] == 1


@given(st.lists(st.floats(-10, 100)))
def test_every_observation_is_in_exactly_one_bucket(values: list[float]) -> None:
    histogram = LatencyHistogram()
    for value in values:
        histogram.observe(value)
    assert sum(histogram.counts) == len(values)
    assert histogram.counts[0] == sum(value <= BOUNDS_S[0] for value in values)
    assert histogram.counts[-1] == sum(value > BOUNDS_S[-1] for value in values)


def test_the_client_library_is_loaded_by_the_first_scrape_only() -> None:
    code = "import sys, market_collector.telemetry.metrics; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def latencies(*seconds: float) -> LatencyHistogram:
    histogram = LatencyHistogram()
    for each in seconds:
        histogram.observe(each)
    return histogram


@given(st.lists(st.floats(-10, 100), max_size=5))
def test_samples_of_streams_are_those_of_the_client_library(seconds: list[float]) -> None:
    """Names, labels, their order and values, for each kind of family."""
    histogram, empty = latencies(*seconds), LatencyHistogram()
    place = "market_collector_"
    live = GaugeMetricFamily(place + "stream_live", "", labels=("stream",))
    live.add_metric(("A-B/trade",), 1)
    live.add_metric(("A-B/ticker",), 0)
    received = HistogramMetricFamily(place + "exchange_to_receive_seconds", "", labels=("exchange", "stream"))
    negative = CounterMetricFamily(place + "exchange_to_receive_negative", "", labels=("exchange", "stream"))
    for stream, each in (("A-B/trade", histogram), ("A-B/ticker", empty)):
        bounds = zip((*map(str, BOUNDS_S), "+Inf"), accumulate(each.counts), strict=True)
        received.add_metric(("okx", stream), list(bounds), each.sum_s)
        negative.add_metric(("okx", stream), each.negative)
    found = {family.name: family for family in text_string_to_metric_families(page(histogram))}
    for family in (live, received, negative):
        assert found[family.name].type == family.type
        assert found[family.name].samples == family.samples


def test_a_family_has_one_head_and_its_samples_together() -> None:
    lines = page(latencies(0.1)).splitlines()
    heads = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    assert page().endswith("\n")


def test_a_stream_is_a_piece_of_its_own() -> None:
    """The event loop gets a turn between pieces, so no piece may grow with the number of streams."""
    few, many = (
        list(render(STATUS, "okx", [StreamProgress(Stream(f"S{n}-B", DataType.TRADE), 0, 0.0) for n in range(count)]))
        for count in (10, 20)
    )
    assert len(many) > len(few) + 20
    assert max(map(len, many)) < 1.1 * max(map(len, few))
