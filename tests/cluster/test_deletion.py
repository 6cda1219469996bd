"""Deletion by every policy, of the namespace and of the CRD: nothing remains, and no finalizer delays it."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kube import ROOT
from market_operator.cluster.kinds import CHILDREN

Start = Callable[..., Any]
Eventually = Callable[..., None]
CRD = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/marketcollectors.marketcollector.dev"
DOWN = pytest.mark.parametrize("runs", [True, False], ids=["operator up", "operator down"])


@pytest.fixture
def operator(place: Any, kubelet: Any, start: Start) -> Any:
    """An operator with one resource that is Ready."""
    started = start("--sweep-interval", "2s")
    place.create(symbols=["A-B", "C-D"], shards=2)
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    return started


def remaining(place: Any) -> set[str]:
    """Names of all resources, their managed objects and their pods."""
    selector = "labelSelector=marketcollector.dev/collector"
    paths = {kind.name: kind.path(place.namespace).lstrip("/") for kind in CHILDREN.values()}
    managed = [place.api.call("GET", f"{path}?{selector}")["items"] for path in paths.values()]
    names: set[str] = place.names("mcol") | place.names("pods")
    return names.union(each["metadata"]["name"] for found in managed for each in found)


def nothing_is_left(place: Any) -> None:
    assert remaining(place) == set()


@DOWN
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_deletion_leaves_nothing_and_needs_no_operator(
    place: Any, operator: Any, eventually: Eventually, policy: str, runs: bool
) -> None:
    assert "finalizers" not in place.api.get("mcol", place.namespace, "okx-btc")["metadata"]
    if not runs:
        operator.stop(signal.SIGKILL)
    place.api.delete("mcol", place.namespace, "okx-btc", policy)
    eventually(lambda: nothing_is_left(place))
    assert "Traceback" not in operator.log.read_text()


def test_new_resource_takes_over_orphans_of_the_same_name(place: Any, operator: Any, eventually: Eventually) -> None:
    """With `kubectl delete --cascade=orphan`, a resource can be created again without a gap in its data."""
    before = {each["metadata"]["uid"] for each in place.api.all("pods", place.namespace)}
    place.api.delete("mcol", place.namespace, "okx-btc", "Orphan")
    eventually(lambda: _no_owner(place))
    assert not [line for line in operator.log.read_text().splitlines() if "could not" in line]
    uid = place.create(symbols=["A-B", "C-D"], shards=2)["metadata"]["uid"]

    def taken_over() -> None:
        for deployment in place.api.all("deployments", place.namespace):
            assert [owner["uid"] for owner in deployment["metadata"]["ownerReferences"]] == [uid]
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(taken_over)
    assert {each["metadata"]["uid"] for each in place.api.all("pods", place.namespace)} == before


def _no_owner(place: Any) -> None:
    assert place.names("mcol") == set()
    managed = place.api.all("deployments", place.namespace)
    assert len(managed) == 2
    assert not [deployment for deployment in managed if deployment["metadata"].get("ownerReferences")]


@DOWN
def test_terminating_namespace_causes_no_error(
    place: Any, operator: Any, api: Any, eventually: Eventually, runs: bool
) -> None:
    """Managed objects vanish before their resource and cannot be created again. That is no failed write."""
    if not runs:
        operator.stop(signal.SIGKILL)
    api.call("DELETE", f"api/v1/namespaces/{place.namespace}")
    eventually(lambda: nothing_is_left(place))
    log = operator.log.read_text()
    assert "could not" not in log
    assert "Traceback" not in log


@pytest.fixture
def only_test_resources(api: Any, namespace: str, eventually: Eventually) -> Iterator[None]:
    """Deleting the CRD deletes every resource of the cluster, so all of them must belong to a test.

    Namespaces of earlier end-to-end tests may not have ended yet: their pods stream for 10 s more.
    """

    def are_ours() -> None:
        found = api.call("GET", "apis/marketcollector.dev/v1alpha1/marketcollectors")["items"]
        others = {each["metadata"]["namespace"] for each in found} - {namespace}
        theirs = [name for name in others if not name.startswith("op-")]
        assert not theirs, f"MarketCollectors in {', '.join(theirs)} would be deleted with the CRD"

    eventually(are_ours)
    yield
    apply_crd()


def apply_crd() -> None:
    file = str(ROOT / "crds/marketcollectors.yaml")
    subprocess.run(["kubectl", "apply", "--server-side", "--force-conflicts", "-f", file], check=True)
    subprocess.run(["kubectl", "wait", "--for=condition=Established", "--timeout=30s", "-f", file], check=True)


@pytest.mark.alone  # deletes the CRD
@pytest.mark.usefixtures("only_test_resources")
def test_operator_ends_when_the_crd_is_gone_and_serves_again_after_it(
    place: Any, operator: Any, api: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    """The kubelet restarts the operator's container, so the operator waits for the CRD by ending."""
    api.call("DELETE", CRD)
    for each in (operator, start(wait=False)):
        assert each.process.wait(timeout=40) == 1
        assert "the MarketCollector CRD is not installed. Run" in each.log.read_text().splitlines()[-1]
    apply_crd()
    eventually(lambda: nothing_is_left(place))
    start()
    eventually(place.create)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
