"""The operator on a real node: it can crash, it keeps to its namespaces, and every sample works."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from e2e_operator import Operator
from e2e_places import (
    Place,
    as_arbitrary_user,
    condition,
    is_ready,
    market_collector,
    restarts,
    simulator_name,
    simulator_objects,
)
from kube import ROOT, Document, eventually

pytestmark = pytest.mark.e2e

SAMPLES = sorted((ROOT / "crds" / "samples").glob("*.yaml"))
SECRETS = sorted((ROOT / "crds" / "samples" / "secrets").glob("*.yaml"))


def managed_objects(place: Place) -> dict[str, Any]:
    """UIDs, versions and restarts, which change when a managed object is replaced, written or restarted."""
    pods = {pod["metadata"]["uid"]: restarts(pod) for pod in place.owned("pods")}
    generations = {d["metadata"]["uid"]: d["metadata"]["generation"] for d in place.owned("deployments")}
    found = [o["metadata"] for o in place.owned("configmaps,services")]
    # The handover document is as current as the status.
    others = {meta["uid"]: meta["resourceVersion"] for meta in found if not meta["name"].endswith("-handover")}
    return {"pods": pods, "deployments": generations, "others": others}


def test_operator_runs_as_an_arbitrary_user(operator: Operator) -> None:
    """As on OpenShift. A further instance stands by, and is ready once it has listed everything."""
    in_namespace = ("-n", operator.namespace)
    operator.tools.apply(as_arbitrary_user(operator.pods()[0]), namespace=operator.namespace)
    try:
        operator.tools.kubectl(*in_namespace, "wait", "pod/arbitrary-user", "--for=condition=Ready", "--timeout=100s")
    finally:
        operator.tools.kubectl(*in_namespace, "delete", "pod", "arbitrary-user", "--now")


@pytest.mark.alone
def test_killed_operator_changes_no_object_and_continues_counting(place: Place, operator: Operator) -> None:
    place.apply(market_collector("one"), market_collector("two", symbol="ETH-USDT"))
    for name in ("one", "two"):
        place.wait_ready(name)
    before, counted = managed_objects(place), place.wait_moving("messages", "one")
    with place.history("marketcollector", "one") as history:
        operator.kill()
        place.wait_moving("messages", "one")
    assert managed_objects(place) == before
    reported = place.status("one")["messages"]
    assert reported > counted
    collected = place.collector_status(place.pod("one")["metadata"]["name"])["counters"]["messages"]
    assert reported <= collected, "nothing is counted twice"
    assert all(is_ready(version) for version in history.documents())


@pytest.mark.alone
def test_collectors_run_without_an_operator_and_are_counted_afterwards(place: Place, operator: Operator) -> None:
    place.apply(market_collector())
    place.wait_ready()
    pod, before = place.pod()["metadata"]["name"], managed_objects(place)
    reconnections = place.status()["reconnections"]
    operator.pause()
    try:
        dropped = place.fault("drop")["dropped"]
        collected = place.collector_status(pod)["counters"]["messages"]
        eventually(lambda: place.collector_status(pod)["counters"]["messages"] > collected, "the collector continues")
        assert place.status()["reconnections"] == reconnections, "no operator could report it yet"
    finally:
        operator.resume()
    place.wait_moving("messages")
    assert place.status()["reconnections"] == reconnections + dropped == reconnections + 2, (
        "fills have a connection of their own"
    )
    assert managed_objects(place) == before


def simulated(sample: Document) -> Document:
    """The unchanged sample, except that its exchange is a simulator and probes are frequent."""
    host = f"{simulator_name(sample['spec']['exchange'])}:8443"
    endpoint = {"websocket": f"ws://{host}", "rest": f"http://{host}", "allowPlainLogin": True}
    connection = sample["spec"].get("connection", {}) | {"endpoint": endpoint}
    return sample | {"spec": sample["spec"] | {"connection": connection, "healthCheckInterval": "2s"}}


def symbols_of(samples: list[Document], exchange: str) -> list[str]:
    specs = [sample["spec"] for sample in samples if sample["spec"]["exchange"] == exchange]
    return sorted({symbol for spec in specs for symbol in spec.get("symbols", [spec.get("symbol")])})


def test_every_sample_becomes_ready_and_collects(place: Place) -> None:
    samples = [document for path in SAMPLES for document in yaml.safe_load_all(path.read_text())]
    exchanges = {sample["spec"]["exchange"] for sample in samples}
    for exchange in exchanges:
        place.apply(*simulator_objects(symbols_of(samples, exchange), exchange))
    for exchange in exchanges:
        place.wait_simulator(exchange)
    place.apply(*[yaml.safe_load(path.read_text()) for path in SECRETS])
    place.apply(*[simulated(sample) for sample in samples])
    for sample in samples:
        place.wait_ready(sample["metadata"]["name"])
    assert condition(place.resource("okx-suspended"), "Ready").reason == "Suspended"
    assert [restarts(pod) for pod in place.owned("pods")] == [0] * 16, "sixteen pods, none of them restarted"
    for name in sorted(f"{exchange}-btc" for exchange in exchanges):
        place.wait_moving("records", name)
        status = place.status(name)
        assert (status["health"], status["gaps"]["detected"]) == ("Healthy", 0), status


@pytest.mark.alone
def test_operator_serves_only_the_listed_namespaces(place: Place, places: Any, operator: Operator) -> None:
    elsewhere = places.take()
    operator.keep_log()
    try:
        operator.install(f"namespaces={{{place.namespace}}}")
        place.apply(market_collector())
        elsewhere.apply(market_collector())
        place.wait_ready()
        place.wait_moving("messages")
        assert condition(elsewhere.resource(), "Ready").status == "Unknown"
        assert not elsewhere.owned("deployments")
        operator.keep_log()
    finally:
        operator.install()
        elsewhere.wait_ready()
        elsewhere.tools.delete_namespaces(elsewhere.namespace)
