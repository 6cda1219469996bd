"""The lifecycle of a MarketCollector on a real node: create, change, suspend, resume, delete."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from e2e_operator import Operator
from e2e_places import Place, as_arbitrary_user, condition, is_ready, market_collector, pod_is_ready
from kube import Document, eventually

pytestmark = pytest.mark.e2e


def seconds_since(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def test_new_resource_becomes_ready_and_its_counters_increase(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    place.wait_moving("messages")
    place.wait_moving("records")
    status = place.status()
    assert status["health"] == "Healthy"
    assert status["streams"] == {"total": 3, "live": 3, "summary": "3/3"}
    assert seconds_since(status["lastMessageTime"]) < 15
    assert status["gaps"]["detected"] == 0


def test_table_shows_a_ready_resource(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    header, row = place.kubectl("get", "mcol").splitlines()
    assert header.split()[:7] == ["NAME", "EXCHANGE", "SYMBOLS", "READY", "REASON", "STREAMS", "RECONNECTS"]
    assert row.split()[:4] == ["okx", "okx", "BTC-USDT", "True"]
    assert "3/3" in row


def test_records_of_all_requested_types_reach_the_log(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    pod = place.pod()["metadata"]["name"]

    def all_types() -> bool:
        log = place.kubectl("logs", pod, "--tail=2000")
        return all(f'"type":"{kind}"' in log for kind in ("trade", "orderbook", "ticker"))

    eventually(all_types, what="trade, orderbook and ticker records in kubectl logs")


def test_pod_has_no_token_no_privilege_and_a_read_only_root(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    pod = place.pod()
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["resources"]["limits"]["memory"]
    assert place.kubectl("get", "namespace", place.namespace, "-o", "jsonpath={.metadata.labels}").count("restricted")


def test_collector_runs_as_an_arbitrary_user(place: Place) -> None:
    """As on OpenShift. It is ready once its streams are live and its file is written; its state is written too."""
    place.apply(market_collector(sinks=[{"name": "archive", "type": "file", "file": {"directory": "/data"}}]))
    place.wait_ready()
    place.apply(as_arbitrary_user(place.pod()))
    place.kubectl("wait", "pod/arbitrary-user", "--for=condition=Ready", "--timeout=100s")
    in_pod = ("exec", "arbitrary-user", "--")
    assert place.kubectl(*in_pod, "id", "-u") == "1000680000\n"
    eventually(lambda: "jsonl" in place.kubectl(*in_pod, "ls", "/data"), "a file is written")
    eventually(lambda: place.kubectl(*in_pod, "ls", "/var/lib/market-collector"), "a checkpoint is written")
    assert place.collector_status("arbitrary-user")["health"] == "Healthy"


def rollout(seen: list[Document], old: str) -> list[str]:
    """The states that the old pod and the new one went through, in order."""
    states: dict[str, str] = {}
    steps = []
    for pod in seen:
        name = "old" if pod["metadata"]["uid"] == old else "new"
        state = "going" if "deletionTimestamp" in pod["metadata"] else "ready" if pod_is_ready(pod) else "not ready"
        if states.get(name) != state:
            states[name] = state
            steps.append(f"{name} {state}")
    return steps


def test_old_pod_stops_once_the_new_one_streams_when_the_symbol_changes(place: Place) -> None:
    place.apply(market_collector(symbol="BTC-USDT"))
    place.wait_ready()
    place.wait_condition("WorkloadReady", "True")
    place.wait_available()
    old = place.pod()["metadata"]["uid"]
    with place.history("pods", "-l", place.selector()) as pods:
        place.patch({"symbol": "ETH-USDT"})
        place.wait_ready()
        eventually(
            lambda: [pod["metadata"]["uid"] for pod in place.pods()].count(old) == 0,
            what="the old pod is gone",
        )
    steps = rollout(pods.documents(), old)
    assert steps[:4] == ["old ready", "new not ready", "new ready", "old going"]
    new = place.pod()
    streams = place.collector_status(new["metadata"]["name"])["streams"]
    assert {stream["stream"] for stream in streams} == {"ETH-USDT/trade", "ETH-USDT/orderbook", "ETH-USDT/ticker"}
    assert {stream["state"] for stream in streams} <= {"live", "quiet"}
    place.wait_moving("messages")


def test_every_fill_is_written_exactly_once_during_a_rollout(place: Place) -> None:
    """Merge the records of both pods by their documented identity, because the pods overlap."""
    place.apply(market_collector())
    place.wait_ready()
    place.wait_available()
    old = place.pod()["metadata"]["name"]
    with place.log(old) as before:
        eventually(lambda: before.records(), what="records of the old pod")
        place.patch({"logLevel": "debug"})
        eventually(lambda: before.is_over, what="the old pod has ended")
    place.wait_ready()
    new = place.pod()["metadata"]["name"]
    assert new != old
    with place.log(new) as after:
        eventually(lambda: len(after.records()) > 200, what="records of the new pod")
    fills = [record for log in (before, after) for record in log.records() if record["type"] == "trade"]
    ids = {int(fill["trade_id"]) for fill in fills}
    assert all(fill["count"] == 1 for fill in fills)
    assert ids == set(range(min(ids), max(ids) + 1))
    assert len(fills) > len(ids), "the pods overlapped"
    assert [record for record in after.records() if record["type"] == "gap"] == []


def test_suspend_stops_the_pods_and_resume_continues_the_counters(place: Place) -> None:
    place.apply(market_collector())
    place.wait_ready()
    counted = place.wait_moving("messages")
    place.patch({"suspend": True})
    eventually(lambda: not place.pods(), what="all pods are gone")
    resource = place.wait_ready()
    assert condition(resource, "Ready").reason == "Suspended"
    assert resource["status"]["messages"] >= counted
    place.patch({"suspend": False})
    eventually(lambda: place.pods(), what="a pod is created again")
    assert place.wait_ready()["status"]["messages"] >= counted
    assert condition(place.resource(), "Ready").reason != "Suspended"
    place.wait_moving("messages")


def nothing_is_left(place: Place) -> bool:
    return not place.owned("deployments,configmaps,services,poddisruptionbudgets,networkpolicies,pods")


def test_deletion_leaves_nothing_and_needs_no_finalizer(place: Place) -> None:
    place.apply(market_collector())
    resource = place.wait_ready()
    assert not resource["metadata"].get("finalizers")
    assert not nothing_is_left(place)
    place.kubectl("delete", "marketcollector", "okx", "--timeout=10s")
    eventually(lambda: nothing_is_left(place), what="all managed objects are deleted")


@pytest.mark.alone
def test_deletion_works_without_the_operator(place: Place, operator: Operator) -> None:
    place.apply(market_collector())
    place.wait_ready()
    operator.pause()
    try:
        place.kubectl("delete", "marketcollector", "okx", "--timeout=10s")
        eventually(lambda: nothing_is_left(place), what="all managed objects are deleted")
    finally:
        operator.resume()


@pytest.mark.alone
def test_new_resource_is_not_ready_without_an_operator(place: Place, operator: Operator) -> None:
    operator.pause()
    try:
        place.apply(market_collector())
        assert condition(place.resource(), "Ready").status == "Unknown"
        assert not is_ready(place.resource())
    finally:
        operator.resume()
    place.wait_ready()
