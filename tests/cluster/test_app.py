"""The process as a whole: start, probes, metrics, memory, end."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api_proxy import Refuse

Start = Callable[..., Any]


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
def test_operator_stops_within_5_s_on_a_signal(place: Any, start: Start, name: int) -> None:
    operator = start()
    place.create()
    place.expect("WorkloadReady", "False", "Unschedulable")
    started = time.monotonic()
    assert operator.stop(name) == 0
    assert time.monotonic() - started < 5
    assert "stopped as asked" in operator.log.read_text()
    assert "Traceback" not in operator.log.read_text()


def test_probe_endpoints_and_metrics_answer(start: Start, place: Any) -> None:
    operator = start()
    place.create()
    place.expect("WorkloadReady", "False", "Unschedulable")
    assert operator.get("/livez") == (200, "ok\n")
    assert operator.metric('api_writes_total{action="apply",kind="Deployment"') == 1
    assert operator.metric("is_leader") == 1
    assert operator.metric('resources{health="Unhealthy"}') == 1
    assert operator.metric("workqueue_adds_total") > 0


def test_operator_fails_when_its_address_is_taken(start: Start) -> None:
    first = start()
    second = start("--http", first.address, wait=False)
    assert second.process.wait(timeout=20) == 1
    assert "address already in use" in second.log.read_text()


def test_operator_fails_when_there_is_no_cluster(start: Start, tmp_path: Path) -> None:
    operator = start(environment={"KUBECONFIG": str(tmp_path / "none")}, wait=False)
    assert operator.process.wait(timeout=20) == 1
    assert "no access to a cluster" in operator.log.read_text()


def test_operator_ends_when_kopf_does_not_find_the_crd(ground: Any) -> None:
    """As when the CRD is deleted between the first listing and kopf's search, which kopf does not repeat."""
    ground.proxy.on(lambda call: call.path == "/apis/marketcollector.dev/v1alpha1", Refuse(404))
    operator = ground.start(wait=False)
    assert operator.process.wait(timeout=20) == 1
    assert "the MarketCollector CRD is not installed. Run" in operator.log.read_text().splitlines()[-1]


def test_neither_models_nor_the_synchronous_client_are_loaded() -> None:
    """They would take 15 to 100 MB. kopf itself loads three models (metadata, owner reference, managed fields)."""
    code = (
        "from market_operator.cluster.slim_import import leave_out_synchronous_client as leave_out; leave_out(); "
        "import json, sys, market_operator.app; print(json.dumps(sorted(sys.modules)))"
    )
    modules = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    models = [m for m in modules if m.startswith(("kubernetes.client.models.", "kubernetes.aio.client.models."))]
    assert len(models) <= 3, models
    assert [m for m in modules if m.startswith(("kubernetes.client.api.", "kubernetes.aio.client.api."))] == []
    assert {"requests", "oauthlib", "websocket", "kubernetes.dynamic"}.isdisjoint(modules)
