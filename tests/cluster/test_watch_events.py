"""Watch events through kopf: it leaves no data of its own, and listings find missed events."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Eventually = Callable[..., None]


def test_kopf_adds_nothing_to_the_resource(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    meta = place.api.get("mcol", place.namespace, "okx-btc")["metadata"]
    assert "finalizers" not in meta
    assert [name for name in meta.get("annotations", {}) if "kopf" in name] == []
    assert {each["manager"] for each in meta["managedFields"]} <= {"market-operator", "Python-urllib"}


def test_status_write_starts_no_reconcile(place: Any, kubelet: Any, start: Start) -> None:
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    before = operator.metric("reconcile_total")
    for number in range(5):
        place.api.merge("mcol", place.namespace, "okx-btc", {"status": {"records": number}}, "/status")
    assert operator.metric("reconcile_total") <= before + 2


def test_only_the_named_namespaces_are_served(place: Any, api: Any, start: Start, namespace: str) -> None:
    start()
    elsewhere = f"{namespace}-not"
    api.call("POST", "api/v1/namespaces", {"metadata": {"name": elsewhere}})
    try:
        made = {**place.create(), "metadata": {"name": "okx-btc"}}
        api.create("mcol", elsewhere, {key: value for key, value in made.items() if key != "status"})
        place.expect("WorkloadReady", "False", "Unschedulable")
        assert api.get("mcol", elsewhere, "okx-btc")["status"]["observedGeneration"] == -1
    finally:
        api.call("DELETE", f"api/v1/namespaces/{elsewhere}")


def test_changes_without_an_operator_are_found_at_the_start(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    operator.stop()
    place.api.delete("services", place.namespace, "okx-btc-0")
    place.create("second")
    start()
    eventually(lambda: place.api.get("services", place.namespace, "okx-btc-0"))
    place.expect("WorkloadReady", "False", "Unschedulable", "second")
