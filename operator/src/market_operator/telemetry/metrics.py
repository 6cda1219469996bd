"""The operator's own metrics (market_operator_*); no label whose values grow with the number of resources."""

from collections import Counter as Tallies
from collections.abc import Callable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)


class Counts(Protocol):
    """Totals of a queue."""

    adds: int
    retries: int


class QueueNumbers(Protocol):
    """The numbers of the work queue. Times are in seconds."""

    @property
    def counts(self) -> Counts: ...
    @property
    def depth(self) -> int: ...
    @property
    def unfinished_work(self) -> float: ...
    @property
    def longest_work(self) -> float: ...


class Metrics:
    """The operator's metrics."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.reconciles = self._counter("reconcile", "Passes over a resource, by how they ended", ("result",))
        self.errors = self._counter("reconcile_errors", "Passes that failed and are tried again")
        self.duration = self._histogram("reconcile_duration_seconds", "How long a pass over a resource took")
        self.latency = self._histogram("workqueue_latency_seconds", "How long a resource waited for a worker")
        self.work_duration = self._histogram("workqueue_work_duration_seconds", "How long a worker had a resource")
        self.writes = self._counter("api_writes", "Writes to the API server", ("action", "kind", "result"))
        self.status_updates = self._counter("status_updates", "Writes of a status, by what changed", ("change",))
        self.probes = self._counter("health_looks", "Looks at collectors, by result", ("result",))
        self.contained_errors = self._counter("contained_errors", "Internal errors about one object", ("kind",))
        self.sweeps = self._counter("sweeps", "Complete listings of all objects")
        self.served = Gauge(
            "market_operator_namespace_served",
            "1 while a namespace of --namespace can be read",
            ("namespace",),
            registry=self.registry,
        )
        self.is_leader = Gauge("market_operator_is_leader", "1 while this instance reconciles", registry=self.registry)

    def record_namespace(self, namespace: str | None, *, is_served: bool) -> None:
        """Shows whether a namespace is served (None: all of them at once, which have no metric)."""
        if namespace:
            self.served.labels(namespace).set(is_served)

    def watch_queue(self, queue: QueueNumbers) -> None:
        """Shows the queue's own numbers on every scrape."""
        self.registry.register(_QueueMetrics(queue))

    def watch_health(self, health: Callable[[], list[str]]) -> None:
        """Shows the resources by health on every scrape; `health` gives one word for each resource."""
        self.registry.register(_HealthMetrics(health))

    def render(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"market_operator_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"market_operator_{name}", text, buckets=_SECONDS, registry=self.registry)


class _QueueMetrics:
    def __init__(self, queue: QueueNumbers) -> None:
        self._queue = queue

    def collect(self) -> list[Metric]:
        """The queue as Prometheus sees it, with the names that operator users know."""
        queue, prefix = self._queue, "market_operator_workqueue"
        return [
            GaugeMetricFamily(f"{prefix}_depth", "Resources that wait for a worker", queue.depth),
            CounterMetricFamily(f"{prefix}_adds", "Times that a resource was queued", queue.counts.adds),
            CounterMetricFamily(
                f"{prefix}_retries", "Times that work was put off after a failure", queue.counts.retries
            ),
            GaugeMetricFamily(
                f"{prefix}_unfinished_work_seconds", "Time that unfinished work took", queue.unfinished_work
            ),
            GaugeMetricFamily(
                f"{prefix}_longest_running_processor_seconds", "Oldest unfinished work", queue.longest_work
            ),
        ]


class _HealthMetrics:
    def __init__(self, health: Callable[[], list[str]]) -> None:
        self._health = health

    def collect(self) -> list[Metric]:
        """The number of resources by health."""
        family = GaugeMetricFamily("market_operator_resources", "Resources by health", labels=["health"])
        for word, count in {**dict.fromkeys(_WORDS, 0), **Tallies(self._health())}.items():
            family.add_metric([word], count)
        return [family]


_WORDS = ("Healthy", "Degraded", "Unhealthy", "Unknown")
