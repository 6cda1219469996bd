"""Metrics for Prometheus, made from plain counters at each scrape, so that they cost the hot path nothing.

`prometheus_client` is imported with the first scrape, which saves 3 MB in a collector that is never scraped.
Labels are bounded by the spec: exchange, stream, connection, sink, and states from closed lists.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from market_collector.feed.latency import BOUNDS_S, LatencyHistogram
from market_collector.model.report import SinkStatus
from market_collector.model.streams import ConnectionState, GapState, StreamState
from market_collector.telemetry.status import ClockStatus, ConnectionStatus, Status, StreamStatus, unix_seconds

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def render(status: Status, exchange: str, latencies: Mapping[str, LatencyHistogram]) -> bytes:
    """The body of ``GET /metrics``; ``latencies`` by stream name."""
    from prometheus_client import ProcessCollector, generate_latest
    from prometheus_client.registry import Collector

    class Scrape(Collector):
        def collect(self) -> Iterator[Metric]:
            yield from _families(status, exchange, latencies)
            yield from ProcessCollector(registry=None).collect()

    return generate_latest(Scrape())


def _families(status: Status, exchange: str, latencies: Mapping[str, LatencyHistogram]) -> Iterator[Metric]:
    build = [((status.version, platform.python_version()), 1)]
    yield _gauge("build_info", "What runs; always 1", build, "version", "python")
    yield from _totals(status, exchange)
    yield from _clock(status.clock)
    yield from _connections(status.connections)
    yield from _streams(status, latencies)
    yield _latency(exchange, latencies)
    negative = [((exchange, stream), each.negative) for stream, each in latencies.items()]
    help_text = (
        "Events that arrived before their exchange's time, as this machine's clock is behind (see clock_skew_seconds)"
    )
    yield _counter("exchange_to_receive_negative", help_text, negative, "exchange", "stream")
    yield from _sinks(status.sinks)


def _totals(status: Status, exchange: str) -> Iterator[Metric]:
    counters = status.counters
    for name, help_text, value in (
        ("messages", "Frames received", counters.messages),
        ("records", "Records made", counters.records),
        ("reconnections", "Connections made again", counters.reconnections),
        ("resyncs", "Order books discarded and requested again", counters.resyncs),
        ("gaps_detected", "Gaps found", counters.gaps_detected),
        ("gaps_repaired", "Gaps closed", counters.gaps_repaired),
        ("slow_reader_closes", "Connections closed because we read too slowly", counters.slow_reader_closes),
        ("missing_trades", "Trades that were found missing", counters.missing_trades),
    ):
        yield _counter(name, help_text, [((exchange,), value)], "exchange")
    known = [((state.value,), sum(gap.state == state for gap in status.gaps)) for state in GapState]
    yield _gauge("gaps", "Gaps that /status lists, by state", known, "state")


def _clock(clock: ClockStatus) -> Iterator[Metric]:
    skew = [] if clock.skew_ms is None else [((), clock.skew_ms / 1000)]
    yield _gauge("clock_skew_seconds", "Exchange's time minus this machine's; above 0 ours is behind", skew)
    uncertainty = [] if clock.uncertainty_ms is None else [((), clock.uncertainty_ms / 1000)]
    yield _gauge("clock_skew_uncertainty_seconds", "Largest error of the skew in either direction", uncertainty)
    yield _counter("clock_steps", "Times that this machine's wall clock was set", [((), clock.steps)])


def _connections(connections: tuple[ConnectionStatus, ...]) -> Iterator[Metric]:
    states = [((each.name, state.value), each.state == state) for each in connections for state in ConnectionState]
    yield _gauge("connection_state", "1 for the state that a connection is in", states, "connection", "state")
    sent = [((each.name,), each.pings_sent) for each in connections]
    yield _counter("pings_sent", "Pings sent to the exchange", sent, "connection")
    received = [((each.name,), each.pongs_received) for each in connections]
    yield _counter("pongs_received", "Pongs received from the exchange", received, "connection")


def _streams(status: Status, latencies: Mapping[str, LatencyHistogram]) -> Iterator[Metric]:
    counts = [((state.value,), sum(each.state == state for each in status.streams)) for state in StreamState]
    yield _gauge("streams", "Streams by state", counts, "state")
    live = [((each.stream,), each.state in (StreamState.LIVE, StreamState.QUIET)) for each in status.streams]
    yield _gauge("stream_live", "1 while a stream is live, or quiet as its exchange confirmed", live, "stream")
    now = unix_seconds(status.time)
    ages = [((each.stream,), age) for each in status.streams if (age := _age(each, now)) is not None]
    yield _gauge("stream_age_seconds", "Time since a stream's last message", ages, "stream")
    lags = [((stream,), each.last_s) for stream, each in latencies.items() if each.last_s is not None]
    yield _gauge("stream_lag_seconds", "Exchange's time to arrival, of a stream's last message", lags, "stream")


def _age(stream: StreamStatus, now: float) -> float | None:
    return now - unix_seconds(stream.last_message_time) if stream.last_message_time else None


def _latency(exchange: str, latencies: Mapping[str, LatencyHistogram]) -> Metric:
    from prometheus_client.metrics_core import HistogramMetricFamily

    name = "market_collector_exchange_to_receive_seconds"
    family = HistogramMetricFamily(name, "Exchange's time of an event to its arrival", labels=("exchange", "stream"))
    for stream, histogram in latencies.items():
        family.add_metric((exchange, stream), list(_cumulative(histogram)), histogram.sum_s)
    return family


def _cumulative(histogram: LatencyHistogram) -> Iterator[tuple[str, float]]:
    total = 0
    for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), histogram.counts, strict=True):
        total += count
        yield bound, total


def _sinks(sinks: tuple[SinkStatus, ...]) -> Iterator[Metric]:
    healthy = [((each.name,), each.healthy) for each in sinks]
    yield _gauge("sink_healthy", "1 while a sink takes data", healthy, "sink")
    queued = [((each.name,), each.queued) for each in sinks]
    yield _gauge("sink_queue_records", "Records that wait to be acknowledged by a sink", queued, "sink")
    acknowledged = [((each.name,), each.acknowledged) for each in sinks]
    yield _counter("sink_acknowledged_records", "Records that a sink has made durable", acknowledged, "sink")
    dropped = [((each.name,), each.dropped) for each in sinks]
    yield _counter("sink_dropped_records", "Records that a sink never got", dropped, "sink")


Values = Iterable[tuple[Sequence[str], float]]


def _counter(name: str, help_text: str, values: Values, *labels: str) -> Metric:
    from prometheus_client.metrics_core import CounterMetricFamily

    family = CounterMetricFamily(f"market_collector_{name}", help_text, labels=labels)
    for place, value in values:
        family.add_metric(place, value)
    return family


def _gauge(name: str, help_text: str, values: Values, *labels: str) -> Metric:
    from prometheus_client.metrics_core import GaugeMetricFamily

    family = GaugeMetricFamily(f"market_collector_{name}", help_text, labels=labels)
    for place, value in values:
        family.add_metric(place, value)
    return family
