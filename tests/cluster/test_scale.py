"""The scale subresource as Kubernetes' own autoscaler uses it."""

import json
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Eventually = Callable[..., None]
FOUR = ["ADA-USDT", "BTC-USDT", "ETH-USDT", "XRP-USDT"]


def autoscaler(least: int, most: int) -> dict[str, Any]:
    target = {"apiVersion": "marketcollector.dev/v1alpha1", "kind": "MarketCollector", "name": "okx-btc"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "okx-btc"},
        "spec": {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most},
    }


def test_autoscaler_changes_the_shards_and_totals_only_grow(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create(symbols=FOUR, healthCheckInterval="1s")
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    path = f"apis/autoscaling/v2/namespaces/{place.namespace}/horizontalpodautoscalers"
    place.api.call("POST", path, autoscaler(3, 4))
    eventually(lambda: _shards(place, 3))
    kubelet.catch_up()

    def served() -> None:
        """Three new pods deliver. Until they are probed, the old pod delivers all streams."""
        kubelet.catch_up()
        status = place.status()
        assert (status["readyShards"], status["streams"]["summary"]) == (3, "8/8")
        assert status["messages"] >= 300

    eventually(served)
    before = place.status()["messages"]
    place.api.call(
        "PATCH", f"{path}/okx-btc", {"spec": {"minReplicas": 1, "maxReplicas": 2}}, "application/merge-patch+json"
    )
    eventually(lambda: _shards(place, 2))

    def fewer() -> None:
        kubelet.catch_up()
        assert place.condition("Ready")[0] == "True"
        assert place.status()["readyShards"] == 2

    eventually(fewer)
    assert place.status()["messages"] >= before


def _shards(place: Any, count: int) -> None:
    resource = place.api.get("mcol", place.namespace, "okx-btc")
    scale = place.api.call("GET", f"{_path(place)}/scale")
    assert resource["spec"]["shards"] == count
    assert scale["status"]["replicas"] == count, json.dumps(scale["status"])
    assert scale["status"]["selector"] == "marketcollector.dev/collector=okx-btc"


def _path(place: Any) -> str:
    return f"apis/marketcollector.dev/v1alpha1/namespaces/{place.namespace}/marketcollectors/okx-btc"
