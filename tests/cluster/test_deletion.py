"""I. Deletion, in every way there is: it leaves nothing, waits for nobody, and costs the operator nothing."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kube import ROOT
from market_operator.cluster.kinds import CHILDREN

Start = Callable[..., Any]
Eventually = Callable[..., None]
DEFINITION = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/marketcollectors.marketcollector.dev"
DOWN = pytest.mark.parametrize("runs", [True, False], ids=["operator up", "operator down"])


@pytest.fixture
def operator(place: Any, kubelet: Any, start: Start) -> Any:
    """An operator with one resource that is Ready."""
    begun = start("--sweep-interval", "2s")
    place.create(symbols=["A-B", "C-D"], shards=2)
    kubelet.run_all(2)
    place.expect("Ready", "True", "Ready")
    return begun


def left(place: Any) -> set[str]:
    """What is there of any resource: itself, its children, its pods."""
    selector = "labelSelector=marketcollector.dev/collector"
    paths = {kind.name: kind.path(place.namespace).lstrip("/") for kind in CHILDREN.values()}
    children = [place.api.call("GET", f"{path}?{selector}")["items"] for path in paths.values()]
    names: set[str] = place.names("mcol") | place.names("pods")
    return names.union(each["metadata"]["name"] for found in children for each in found)


def nothing_is_left(place: Any) -> None:
    assert left(place) == set()


@DOWN
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_i_deletion_leaves_nothing_and_waits_for_nobody(
    place: Any, operator: Any, eventually: Eventually, policy: str, runs: bool
) -> None:
    assert "finalizers" not in place.api.get("mcol", place.namespace, "okx-btc")["metadata"]
    if not runs:
        operator.stop(signal.SIGKILL)
    place.api.delete("mcol", place.namespace, "okx-btc", policy)
    eventually(lambda: nothing_is_left(place), 40)
    assert "Traceback" not in operator.log.read_text()


def test_i_orphans_run_on_and_a_resource_of_the_same_name_takes_them_over(
    place: Any, operator: Any, eventually: Eventually
) -> None:
    """`kubectl delete --cascade=orphan` is how a resource is made again without a break in its data."""
    before = {each["metadata"]["uid"] for each in place.api.all("pods", place.namespace)}
    place.api.delete("mcol", place.namespace, "okx-btc", "Orphan")
    eventually(lambda: _no_owner(place))
    assert not [line for line in operator.log.read_text().splitlines() if "could not" in line]
    uid = place.create(symbols=["A-B", "C-D"], shards=2)["metadata"]["uid"]

    def taken_over() -> None:
        for child in place.api.all("deployments", place.namespace):
            assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(taken_over)
    assert {each["metadata"]["uid"] for each in place.api.all("pods", place.namespace)} == before


def _no_owner(place: Any) -> None:
    assert place.names("mcol") == set()
    children = place.api.all("deployments", place.namespace)
    assert len(children) == 2
    assert not [child for child in children if child["metadata"].get("ownerReferences")]


@DOWN
def test_i_a_namespace_that_ends_is_no_trouble(
    place: Any, operator: Any, api: Any, eventually: Eventually, runs: bool
) -> None:
    """Children vanish before their resource does, and none can be made again there: that is no failure of a write."""
    if not runs:
        operator.stop(signal.SIGKILL)
    api.call("DELETE", f"api/v1/namespaces/{place.namespace}")
    eventually(lambda: nothing_is_left(place), 40)
    log = operator.log.read_text()
    assert "could not" not in log
    assert "Traceback" not in log


@pytest.fixture
def nobody_elses(api: Any, namespace: str) -> Iterator[None]:
    """The definition takes every resource of the cluster with it, so it must hold none that is not a test's."""
    found = api.call("GET", "apis/marketcollector.dev/v1alpha1/marketcollectors")["items"]
    others = {each["metadata"]["namespace"] for each in found} - {namespace}
    if theirs := [name for name in others if not name.startswith("op-")]:
        pytest.fail(f"MarketCollectors in {', '.join(theirs)} would be deleted with the definition")
    yield
    apply_definition()


def apply_definition() -> None:
    file = str(ROOT / "crds/marketcollectors.yaml")
    subprocess.run(["kubectl", "apply", "--server-side", "--force-conflicts", "-f", file], check=True)
    subprocess.run(["kubectl", "wait", "--for=condition=Established", "--timeout=30s", "-f", file], check=True)


@pytest.mark.alone  # deletes the CRD
@pytest.mark.usefixtures("nobody_elses")
def test_i_without_its_definition_the_operator_says_so_and_ends_and_the_next_one_serves_what_comes_back(
    place: Any, operator: Any, api: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    """A pod that ends is started again by its kubelet, so this is how it waits for the definition."""
    api.call("DELETE", DEFINITION)
    for each in (operator, start(wait=False)):
        assert each.process.wait(timeout=40) == 1
        assert "the MarketCollector CRD is not installed. Run" in each.log.read_text().splitlines()[-1]
    apply_definition()
    eventually(lambda: nothing_is_left(place), 40)
    start()
    eventually(place.create)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
