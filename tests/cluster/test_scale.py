"""The scale subresource as Kubernetes' own autoscaler uses it."""

import base64
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kube import missing
from tls import authority

Start = Callable[..., Any]
Eventually = Callable[..., None]
METRICS = "external.metrics.k8s.io"
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


class Metric(http.server.BaseHTTPRequestHandler):
    """The API of external metrics, with one metric of one value."""

    value = 0

    def do_GET(self) -> None:
        version = f"{METRICS}/v1beta1"
        point = {"metricName": "load", "metricLabels": {}, "value": str(self.value)}
        point["timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        answers = {
            f"/apis/{version}": {
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": version,
                "resources": [],
            },
            f"/apis/{version}/namespaces": {"kind": "ExternalMetricValueList", "apiVersion": version, "items": [point]},
        }
        answer = answers.get("/".join(self.path.partition("?")[0].split("/")[:5]))
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_: object) -> None:
        """Nothing to log."""


@pytest.fixture
def metric(place: Any, tmp_path: Path) -> Iterator[type[Metric]]:
    """Serves a metric to the cluster's autoscaler, through the API server. Where it has one already, the test is skipped."""
    [node, *_] = place.api.call("GET", "api/v1/nodes")["items"]
    [address] = [each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP"]
    handler = type("OneMetric", (Metric,), {})
    try:
        server = http.server.ThreadingHTTPServer((address, 0), handler)
    except OSError:
        missing("the node is another machine, so its API server cannot ask this one for metrics")
    own = authority(tmp_path)
    server.socket = own.server_context(f"metrics.{place.namespace}.svc").wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with serving(place, address, server.server_port, base64.b64encode(own.file.read_bytes()).decode()):
            yield handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def serving(place: Any, address: str, port: int, certificate: str) -> Iterator[None]:
    """Makes an address the cluster's API of external metrics."""
    namespace, ports = place.namespace, [{"port": port}]
    service = {"metadata": {"name": "metrics"}, "spec": {"ports": ports}}
    place.api.call("POST", f"api/v1/namespaces/{namespace}/services", service)
    slices = {
        "metadata": {"name": "metrics", "labels": {"kubernetes.io/service-name": "metrics"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": ports,
    }
    place.api.call("POST", f"apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices", slices)
    spec = {
        "group": METRICS,
        "version": "v1beta1",
        "groupPriorityMinimum": 100,
        "versionPriority": 100,
        "service": {"name": "metrics", "namespace": namespace, "port": port},
        "caBundle": certificate,
    }
    path = "apis/apiregistration.k8s.io/v1/apiservices"
    place.api.call("POST", path, {"metadata": {"name": f"v1beta1.{METRICS}"}, "spec": spec})
    try:
        yield
    finally:
        place.api.call("DELETE", f"{path}/v1beta1.{METRICS}")


@pytest.mark.alone
def test_autoscaler_follows_a_metric(
    place: Any, kubelet: Any, start: Start, eventually: Eventually, metric: type[Metric]
) -> None:
    """It counts the ready pods that the selector of the scale subresource names, and looks every 15 s."""
    metric.value = 30
    start()
    place.create(symbols=FOUR, healthCheckInterval="1s")
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    target = {"type": "External", "external": {"metric": {"name": "load"}, "target": {"type": "Value", "value": "10"}}}
    scaler = autoscaler(1, 3)
    scaler["spec"] |= {"metrics": [target], "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}
    place.api.call("POST", f"apis/autoscaling/v2/namespaces/{place.namespace}/horizontalpodautoscalers", scaler)
    for value, shards in ((30, 3), (6, 2)):
        metric.value = value

        def scaled(shards: int = shards) -> None:
            kubelet.catch_up()
            _shards(place, shards)
            assert place.status()["readyShards"] == shards

        eventually(scaled)
