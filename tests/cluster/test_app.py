"""The process as a whole: start, probes, metrics, rights, memory, end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Start = Callable[..., Any]
RULES = [
    {"apiGroups": ["marketcollector.dev"], "resources": ["marketcollectors"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["marketcollector.dev"], "resources": ["marketcollectors/status"], "verbs": ["patch"]},
    {
        "apiGroups": ["apps"],
        "resources": ["deployments"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {
        "apiGroups": [""],
        "resources": ["services", "configmaps"],
        "verbs": ["get", "list", "watch", "create", "patch", "delete"],
    },
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]},
]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_soon_and_well_when_asked_to(place: Any, start: Start, name: int) -> None:
    operator = start()
    place.create()
    place.expect("WorkloadReady", "False", "Unschedulable")
    began = time.monotonic()
    assert operator.stop(name) == 0
    assert time.monotonic() - began < 5
    assert "stopped, as asked" in operator.log.read_text()
    assert "Traceback" not in operator.log.read_text()


def test_probes_and_metrics_answer(start: Start, place: Any) -> None:
    operator = start()
    place.create()
    place.expect("WorkloadReady", "False", "Unschedulable")
    assert operator.get("/livez") == (200, "ok\n")
    assert operator.metric('api_writes_total{action="apply",kind="Deployment"') == 1
    assert operator.metric("is_leader") == 1
    assert operator.metric('resources{health="Unhealthy"}') == 1
    assert operator.metric("workqueue_adds_total") > 0


def test_a_taken_address_is_told(start: Start) -> None:
    first = start()
    second = start("--http", f"127.0.0.1:{first.port}", wait=False)
    assert second.process.wait(timeout=20) == 1
    assert "address already in use" in second.log.read_text()


def test_a_missing_cluster_is_told(start: Start, tmp_path: Path) -> None:
    operator = start(environment={"KUBECONFIG": str(tmp_path / "none")}, wait=False)
    assert operator.process.wait(timeout=20) == 1
    assert "no access to a cluster" in operator.log.read_text()


def test_neither_models_nor_the_synchronous_client_are_loaded() -> None:
    """They cost 15 to 100 MB. kopf itself loads three models (metadata, owner reference, managed fields)."""
    code = "import json, sys, market_operator.app; print(json.dumps(sorted(sys.modules)))"
    modules = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    models = [m for m in modules if m.startswith(("kubernetes.client.models.", "kubernetes.aio.client.models."))]
    assert len(models) <= 3, models
    assert [m for m in modules if m.startswith(("kubernetes.client.api.", "kubernetes.aio.client.api."))] == []


@pytest.fixture
def account(api: Any, namespace: str, kubeconfig: str, tmp_path: Path) -> dict[str, str]:
    """An environment in which the process has the rights of RULES in the test's namespace, and no other."""
    api.call("POST", f"api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "operator"}})
    rbac = f"apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    api.call("POST", f"{rbac}/roles", {"metadata": {"name": "operator"}, "rules": RULES})
    binding = {
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    }
    api.call("POST", f"{rbac}/rolebindings", binding)
    path = f"api/v1/namespaces/{namespace}/serviceaccounts/operator/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.call("POST", path, request)["status"]["token"]
    view = subprocess.run(
        ["kubectl", "config", "view", "--raw", "--minify", "-o", "json"], check=True, capture_output=True
    )
    config = json.loads(view.stdout)
    config["users"][0]["user"] = {"token": token}
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    return {"KUBECONFIG": str(file)}


def test_the_documented_rights_are_enough(place: Any, kubelet: Any, start: Start, account: dict[str, str]) -> None:
    operator = start("--sweep-interval", "1s", environment=account)
    place.create(symbols=["A-B", "C-D"], shards=2)
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    place.change(shards=1)
    place.expect("WorkloadReady", "False", "Unschedulable")
    time.sleep(2)
    log = operator.log.read_text().lower()
    assert "forbidden" not in log
    assert "not enough permissions" not in log


def test_a_right_that_is_missing_is_told_and_the_rest_goes_on(
    place: Any, start: Start, account: dict[str, str], namespace: str
) -> None:
    path = f"apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/operator"
    less = [{**rule, "verbs": ["get", "list", "watch"]} if "services" in rule["resources"] else rule for rule in RULES]
    less.append({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch", "delete"]})
    place.api.call("PATCH", path, {"rules": less}, "application/merge-patch+json")
    operator = start(environment=account)
    place.create()
    message = place.expect("WorkloadReady", "False", "ApplyFailed")
    assert "Service okx-btc-0: 403 Forbidden" in message
    assert place.names("deployments") == {"okx-btc-0"}
    time.sleep(3)
    assert operator.metric("workqueue_retries_total") < 8, "retries slow down"
    place.api.call("PATCH", path, {"rules": RULES}, "application/merge-patch+json")
    place.expect("WorkloadReady", "False", "Unschedulable", seconds=40)
    assert place.names("services") == {"okx-btc-0"}
