"""The process as a whole: start, probes, metrics, memory, end."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from api_proxy import Hook, Refuse
from market_operator.cluster.kinds import CHILDREN, COLLECTORS, PODS

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


def test_each_kind_is_listed_once_at_the_start(ground: Any) -> None:
    """The watches start from the first listing. Nothing is lost between them: test_deletion_before_the_watch_is_seen."""
    kinds = {kind.plural for kind in (*CHILDREN.values(), PODS, COLLECTORS)}
    ground.start()
    ground.eventually(lambda: _same({call.kind for call in ground.proxy.calls if call.is_watch}, kinds), pods=False)
    listed = Counter(call.kind for call in ground.proxy.calls if call.is_list and call.namespace == ground.namespace)
    assert listed == Counter(kinds)


def test_deletion_before_the_watch_is_seen(ground: Any) -> None:
    """The watch starts from the first listing, which had the Service."""
    ground.place.create()
    ground.start()
    old = _service(ground, "")
    ground.kill()

    def delete() -> None:
        ground.place.api.delete("services", ground.namespace, "okx-btc-0")

    pick = ground.proxy.on(lambda call: call.is_watch and call.kind == "services", Hook(before=delete), times=1)
    ground.start()
    _service(ground, old)
    assert pick.hits == 1


def _service(ground: Any, other_than: str) -> str:
    """Waits until the resource has a Service with another uid, and returns its uid."""
    found: list[str] = []

    def claim() -> None:
        found.append(ground.place.api.get("services", ground.namespace, "okx-btc-0")["metadata"]["uid"])
        assert found[-1] != other_than

    ground.eventually(claim, pods=False)
    return found[-1]


def _same(found: object, expected: object) -> None:
    assert found == expected


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
