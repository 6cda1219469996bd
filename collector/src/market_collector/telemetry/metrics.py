"""Metrics for Prometheus, made from plain counters at each scrape, so that they cost the hot path nothing.

`prometheus_client` is imported with the first scrape, which saves 3 MB in a collector that is never scraped. It writes
everything but the samples of single streams: these are 20 for each stream, and it takes 15 us for one.
Labels are bounded by the spec: exchange, stream, connection, sink, and states from closed lists.
"""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

from market_collector.exchanges import is_partial
from market_collector.feed.latency import BOUNDS_S
from market_collector.feed.stream_state import StreamProgress, UnnumberedProgress
from market_collector.model.report import SinkStatus
from market_collector.model.streams import ConnectionState, GapState, StreamState
from market_collector.telemetry.status import ClockStatus, ConnectionStatus, Status, unix_seconds

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

LATENCY = "market_collector_exchange_to_receive_seconds"
STREAM = "\0"
"""Stands for a stream's name in a template."""


def load() -> None:
    """Import the client library. This takes 50 ms: call it in a thread before the first `render`."""
    import prometheus_client  # noqa: F401


def render(status: Status, exchange: str, streams: Collection[StreamProgress]) -> Iterator[bytes]:
    """Yield the body of ``GET /metrics`` in many small pieces. The status needs no streams."""
    from prometheus_client import ProcessCollector

    yield _text([*_families(status, exchange, streams), *ProcessCollector(registry=None).collect()])
    for family, samples in _families_of_streams(unix_seconds(status.time), exchange, streams):
        yield _text([family])
        yield from map(str.encode, samples)


def _text(families: Iterable[Metric]) -> bytes:
    from prometheus_client import generate_latest
    from prometheus_client.registry import Collector

    class Scrape(Collector):
        def collect(self) -> Iterable[Metric]:
            return families

    return generate_latest(Scrape())


def _families(status: Status, exchange: str, streams: Iterable[StreamProgress]) -> Iterator[Metric]:
    build = [((status.version, platform.python_version()), 1)]
    yield _gauge("build_info", "What runs; always 1", build, "version", "python")
    yield from _totals(status, exchange)
    yield from _clock(status.clock)
    yield from _connections(status.connections)
    states = Counter(each.state for each in streams)
    yield _gauge("streams", "Streams by state", [((state.value,), states[state]) for state in StreamState], "state")
    yield from _partial(exchange, streams)
    yield from _sinks(status.sinks)


def _partial(exchange: str, streams: Iterable[StreamProgress]) -> Iterator[Metric]:
    partial = [((str(each.stream),), 1) for each in streams if is_partial(exchange, each.stream.data_type)]
    if partial:
        yield _gauge("stream_partial", "1 if the exchange reports only a part of a stream's events", partial, "stream")


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
        ("too_many_requests_closes", "Connections closed for too many requests", counters.too_many_requests_closes),
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
    if problems := [((each.name, each.problem), 1) for each in connections if each.problem]:
        help_text = "1 while an exchange refuses a connection for this reason"
        yield _gauge("connection_problem", help_text, problems, "connection", "problem")
    sent = [((each.name,), each.pings_sent) for each in connections]
    yield _counter("pings_sent", "Pings sent to the exchange", sent, "connection")
    received = [((each.name,), each.pongs_received) for each in connections]
    yield _counter("pongs_received", "Pongs received from the exchange", received, "connection")


Samples = Iterable[str]
"""Samples, for each stream one string of complete lines."""


def _families_of_streams(
    now: float, exchange: str, streams: Collection[StreamProgress]
) -> Iterator[tuple[Metric, Samples]]:
    """Yield each family without its samples, and these. ``now`` is in seconds since 1970."""
    live = ((str(each.stream), int(each.state in (StreamState.LIVE, StreamState.QUIET))) for each in streams)
    help_text = "1 while a stream is live, or quiet as its exchange confirmed"
    yield _family("stream_live", "gauge", help_text), _samples("stream_live", live)
    ages = ((str(each.stream), now - each.last_wall_ns / 1e9) for each in streams if each.last_wall_ns)
    help_text = "Time since a stream's last message"
    yield _family("stream_age_seconds", "gauge", help_text), _samples("stream_age_seconds", ages)
    lags = ((str(each.stream), lag) for each in streams if (lag := each.latency.last_s) is not None)
    help_text = "Exchange's time to arrival, of a stream's last message"
    yield _family("stream_lag_seconds", "gauge", help_text), _samples("stream_lag_seconds", lags)
    help_text = "Exchange's time of an event to its arrival"
    yield _family("exchange_to_receive_seconds", "histogram", help_text), _histograms(exchange, streams)
    yield from _audits([each for each in streams if isinstance(each, UnnumberedProgress) and each.is_audited])
    negative = ((str(each.stream), each.latency.negative) for each in streams)
    help_text = (
        "Events that arrived before their exchange's time, as this machine's clock is behind (see clock_skew_seconds)"
    )
    name = "exchange_to_receive_negative"
    yield _family(name, "counter", help_text), _samples(f"{name}_total", negative, f'exchange="{exchange}",')


def _audits(streams: Sequence[UnnumberedProgress]) -> Iterator[tuple[Metric, Samples]]:
    """Yield the counters of audited minutes, if there are any."""
    if not streams:
        return
    agreeing = ((str(each.stream), each.agreeing_minutes) for each in streams)
    help_text = "Minutes whose trades sum up to the volume of their candle"
    yield _family("agreeing_minutes", "counter", help_text), _samples("agreeing_minutes_total", agreeing)
    differing = ((str(each.stream), each.differing_minutes) for each in streams)
    help_text = "Minutes whose trades do not sum up to the volume of their candle"
    yield _family("differing_minutes", "counter", help_text), _samples("differing_minutes_total", differing)


def _family(name: str, kind: Literal["gauge", "counter", "histogram"], help_text: str) -> Metric:
    from prometheus_client.metrics_core import Metric

    return Metric(f"market_collector_{name}", help_text, kind)


def _samples(name: str, values: Iterable[tuple[str, float]], labels: str = "") -> Samples:
    """Names of streams need no escaping: the spec allows only letters, digits and hyphens in symbols."""
    return (f'market_collector_{name}{{{labels}stream="{stream}"}} {value}\n' for stream, value in values)


def _histograms(exchange: str, streams: Iterable[StreamProgress]) -> Samples:
    labels = f'{{exchange="{exchange}",stream="{STREAM}"'
    buckets = [f'{LATENCY}_bucket{labels},le="{bound}"}} %d\n' for bound in (*map(str, BOUNDS_S), "+Inf")]
    template = "".join([*buckets, f"{LATENCY}_count{labels}}} %d\n", f"{LATENCY}_sum{labels}}} %r\n"])
    for each in streams:
        counts = tuple(accumulate(each.latency.counts))
        yield (template % (*counts, counts[-1], each.latency.sum_s)).replace(STREAM, str(each.stream))


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
