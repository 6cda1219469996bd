"""The annotation marketcollector.dev/paused: the operator observes a resource and changes nothing of it."""

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
PAUSED = "marketcollector.dev/paused"


def annotate(place: Any, value: str | None) -> None:
    place.api.merge("mcol", place.namespace, "okx-btc", {"metadata": {"annotations": {PAUSED: value}}})


def test_paused_resource_is_observed_and_not_changed(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.expect_current()
    annotate(place, "true")
    place.expect("WorkloadReady", "True", "Paused")
    before = place.versions()
    place.change(logLevel="debug")
    place.api.merge("deployments", place.namespace, "okx-btc-0", {"spec": {"minReadySeconds": 9}})
    assert "stops changes of ConfigMap okx-btc-0-" in place.expect("Stalled", "True", "Paused")
    assert place.condition("Ready")[:2] == ("True", "Ready")
    changed = {name for name, version in place.versions().items() if before.get(name) != version}
    assert changed - {"configmaps/okx-btc-handover"} <= {"mcol/okx-btc"}, "positions are kept current"
    annotate(place, None)
    kubelet.run_all(2)
    place.expect("WorkloadReady", "True", "AllPodsRunning")
    assert place.api.get("deployments", place.namespace, "okx-btc-0")["spec"]["minReadySeconds"] == 5
