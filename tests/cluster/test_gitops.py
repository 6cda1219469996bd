"""Tools that wait for a resource: none succeeds before the resource is ready."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from helm_release import Release
from kstatus import kstatus
from market_spec.api import API_VERSION, KIND

Start = Callable[..., Any]
Eventually = Callable[..., None]


def test_helm_install_fails_while_no_operator_runs(chart: Path, namespace: str, place: Any) -> None:
    code, output = Release("install", chart, namespace, seconds=8).ends()
    assert code != 0
    assert "MarketCollector" in output, output
    assert kstatus(place.api.get("mcol", namespace, "okx-btc")) == "InProgress"


def test_helm_waits_until_data_flows(chart: Path, namespace: str, place: Any, kubelet: Any, start: Start) -> None:
    start()
    release = Release("install", chart, namespace, seconds=90)
    [pod] = kubelet.run_all(1)
    healthy = pod.report
    pod.report = {**healthy, "streams": [{**each, "state": "pending"} for each in healthy["streams"]]}
    place.expect("Streaming", "False", "StreamsPending")
    assert release.is_waiting(), "pods run, but nothing streams yet"
    pod.report = healthy
    code, output = release.ends()
    assert code == 0, output
    assert place.condition("Ready")[0] == "True"


def test_helm_upgrade_fails_when_the_symbol_is_unknown(
    chart: Path, namespace: str, place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    release = Release("install", chart, namespace, seconds=90)
    kubelet.run_all(1)
    assert release.ends()[0] == 0
    file = chart / "templates/resource.yaml"
    file.write_text(file.read_text().replace("BTC-USDT", "BTC-NOTHING"))
    upgrade = Release("upgrade", chart, namespace, seconds=20)
    eventually(lambda: place.condition("Reconciling"))
    [new] = kubelet.run_all(2, ready=False)
    new.report = {
        **new.report,
        "health": "Unhealthy",
        "streams": [{**each, "state": "refused", "reason": "SymbolNotFound"} for each in new.report["streams"]],
    }
    place.expect("Accepted", "False", "SymbolNotFound")
    assert upgrade.ends()[0] != 0
    assert kstatus(place.api.get("mcol", namespace, "okx-btc")) in ("InProgress", "Failed")


def test_deletion_is_terminating_without_an_operator(place: Any, kubelet: Any, start: Start) -> None:
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.expect_current()
    operator.stop()
    place.api.merge("mcol", place.namespace, "okx-btc", {"metadata": {"finalizers": ["test.example/held"]}})
    place.api.delete("mcol", place.namespace, "okx-btc")
    assert kstatus(place.api.get("mcol", place.namespace, "okx-btc")) == "Terminating"
    place.api.merge("mcol", place.namespace, "okx-btc", {"metadata": {"finalizers": None}})


def test_kubectl_wait_ignores_conditions_of_an_older_generation(
    place: Any, kubelet: Any, start: Start, namespace: str
) -> None:
    """kubectl compares the condition's observedGeneration."""
    operator = start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    operator.stop()
    command = ["kubectl", "wait", "mcol/okx-btc", "-n", namespace, "--for=condition=Ready", "--timeout=3s"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    place.change(symbol="ETH-USDT")
    started = time.monotonic()
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0
    assert time.monotonic() - started > 2


def test_second_kubectl_apply_changes_nothing(namespace: str, tmp_path: Path) -> None:
    file = tmp_path / "resource.yaml"
    sinks = [{"name": "a", "type": "file", "file": {"directory": "/data", "rotate": {"size": "1Gi"}}}]
    spec = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"], "suspend": True, "sinks": sinks}
    given = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "okx-btc"}, "spec": spec}
    file.write_text(json.dumps(given))
    command = ["kubectl", "apply", "-n", namespace, "-f", str(file)]
    printed = [subprocess.run(command, capture_output=True, check=True, text=True).stdout for _ in range(2)]
    assert [line.split()[-1] for line in printed] == ["created", "unchanged"]
