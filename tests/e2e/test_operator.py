"""The operator itself on a real node: it may die, it keeps to its rights, and every sample works with it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from e2e_operator import Operator
from e2e_places import Place, condition, is_ready, market_collector, restarts, simulator_objects
from kube import ROOT, Document, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SAMPLES = sorted((ROOT / "crds" / "samples").glob("*.yaml"))
SECRETS = sorted((ROOT / "crds" / "samples" / "secrets").glob("*.yaml"))
SIMULATED = {"websocket": "ws://simulator:8443", "rest": "http://simulator:8443"}


def children(place: Place) -> dict[str, Any]:
    """What changes when a child is restarted, replaced or only touched."""
    pods = {pod["metadata"]["uid"]: restarts(pod) for pod in place.owned("pods")}
    generations = {d["metadata"]["uid"]: d["metadata"]["generation"] for d in place.owned("deployments")}
    others = {o["metadata"]["uid"]: o["metadata"]["resourceVersion"] for o in place.owned("configmaps,services")}
    return {"pods": pods, "deployments": generations, "others": others}


def test_a_killed_operator_touches_no_child_and_goes_on_counting(place: Place, operator: Operator) -> None:
    place.apply(market_collector("one"), market_collector("two", symbol="ETH-USDT"))
    for name in ("one", "two"):
        place.wait_ready(name)
    before, counted = children(place), place.wait_moving("messages", "one")
    with place.history("marketcollector", "one") as history:
        operator.kill()
        place.wait_moving("messages", "one", within=45)
    assert children(place) == before
    told = place.status("one")["messages"]
    assert told > counted
    heard = place.collector_status(place.pod("one")["metadata"]["name"])["counters"]["messages"]
    assert told <= heard, "nothing is counted twice"
    assert all(is_ready(version) for version in history.documents())


def test_collectors_run_on_while_no_operator_runs_and_what_happened_is_told_afterwards(
    place: Place, operator: Operator
) -> None:
    place.apply(market_collector())
    place.wait_ready()
    pod, before = place.pod()["metadata"]["name"], children(place)
    reconnections = place.status()["reconnections"]
    operator.pause()
    try:
        dropped = place.fault("drop")["dropped"]
        heard = place.collector_status(pod)["counters"]["messages"]
        eventually(lambda: place.collector_status(pod)["counters"]["messages"] > heard, 20, "the collector goes on")
        assert place.status()["reconnections"] == reconnections, "nobody could tell yet"
    finally:
        operator.resume()
    place.wait_moving("messages")
    assert place.status()["reconnections"] == reconnections + dropped == reconnections + 2, "fills have their own"
    assert children(place) == before


def simulated(sample: Document) -> Document:
    """The sample with the simulator for an exchange, and quick to look at; everything else is as the user finds it."""
    connection = sample["spec"].get("connection", {}) | {"endpoint": SIMULATED}
    return sample | {"spec": sample["spec"] | {"connection": connection, "healthCheckInterval": "2s"}}


def test_every_sample_becomes_ready(place: Place) -> None:
    documents = [document for path in SAMPLES for document in yaml.safe_load_all(path.read_text())]
    symbols = sorted({s for d in documents for s in d["spec"].get("symbols", [d["spec"].get("symbol")])})
    place.apply(*simulator_objects(("--market=7", f"--symbols={','.join(symbols)}", "--rate=50")))
    place.wait_simulator()
    place.apply(*[yaml.safe_load(path.read_text()) for path in SECRETS])
    place.apply(*[simulated(document) for document in documents])
    for document in documents:
        place.wait_ready(document["metadata"]["name"], within=90)
    assert condition(place.resource("okx-suspended"), "Ready").reason == "Suspended"
    assert [restarts(pod) for pod in place.owned("pods")] == [0] * 10, "ten pods, none of them restarted"


def test_with_a_list_of_namespaces_it_keeps_to_them(place: Place, places: Any, operator: Operator) -> None:
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
