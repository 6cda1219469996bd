from market_operator.resource.naming import Key
from market_operator.scheduling.work_queue import WorkQueue
from market_operator.telemetry.metrics import Metrics


def test_names_follow_the_interface() -> None:
    metrics = Metrics()
    metrics.watch_queue(WorkQueue(lambda: 0.0))
    metrics.watch_health(lambda: ["Healthy", "Healthy", "Unknown"])
    metrics.reconciles.labels("done").inc()
    text = metrics.render().decode()
    assert 'market_operator_reconcile_total{result="done"} 1.0' in text
    assert 'market_operator_resources{health="Healthy"} 2.0' in text
    assert 'market_operator_resources{health="Degraded"} 0.0' in text
    assert "_created" not in text
    for name in (
        "depth",
        "adds_total",
        "retries_total",
        "unfinished_work_seconds",
        "latency_seconds_count",
        "work_duration_seconds_count",
    ):
        assert f"market_operator_workqueue_{name}" in text


def test_the_queue_shows_itself() -> None:
    metrics, queue = Metrics(), WorkQueue(lambda: 0.0)
    metrics.watch_queue(queue)
    queue.add(Key("md", "a"))
    assert "market_operator_workqueue_depth 1.0" in metrics.render().decode()


def test_two_instances_do_not_share_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.sweeps.inc()
    assert "market_operator_sweeps_total 0.0" in other.render().decode()
