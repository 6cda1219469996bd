"""Upgrade and rollback between the previous release (tests/upgrade/previous) and this one, on running resources."""

import copy
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
import yaml

from collector_specs import SPECS
from kube import CHART, ROOT
from other_release import PREVIOUS

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
InstallCrd = Callable[[Document], None]
[OLD_CHART] = PREVIOUS.glob("market-operator-*.tgz")
CRD = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/marketcollectors.marketcollector.dev"
RESOURCES = 50
LATER = {"type": "integer", "format": "int64", "description": "A counter of a later release."}
# Both releases run the same collector image, because another image would restart the pods.
IMAGE = ("--collector-image", "localhost/market-collector:same")


def old_crd() -> Document:
    with tarfile.open(OLD_CHART) as chart:
        member = chart.extractfile("market-operator/files/marketcollectors.yaml")
        assert member
        document: Document = yaml.safe_load(member)
    return document


def new_crd() -> Document:
    document: Document = yaml.safe_load((ROOT / "crds/marketcollectors.yaml").read_text())
    return document


pytestmark = pytest.mark.alone  # changes the CRD


@pytest.fixture
def install_crd(api: Any) -> Iterator[Callable[[Document], None]]:
    """Installs a version of the CRD, as an upgrade does, and restores the original afterwards."""

    def put(document: Document) -> None:
        api.call("PATCH", CRD, {"spec": document["spec"]}, "application/merge-patch+json")

    before = api.call("GET", CRD)
    yield put
    metadata = {
        field: dict.fromkeys(api.call("GET", CRD)["metadata"].get(field, ())) | before["metadata"].get(field, {})
        for field in ("annotations", "labels")
    }
    api.call("PATCH", CRD, {"spec": before["spec"], "metadata": metadata}, "application/merge-patch+json")


@pytest.fixture
def start_old(start: Start) -> Start:
    """Starts the operator of the previous release, without coverage."""

    def start_previous(*arguments: str) -> Any:
        return start(*arguments, release=PREVIOUS / "market_operator.zip")

    return start_previous


def create_many(place: Any) -> dict[str, str]:
    """Creates 50 resources over all specs; returns the name of the spec by the name of the resource."""
    names = dict(zip((f"r{number:02}" for number in range(RESOURCES)), cycle(SPECS), strict=False))
    for name, spec in names.items():
        place.create(name, **SPECS[spec])
    return names


def all_observed(place: Any) -> None:
    """Asserts that an operator has reconciled every resource at its current generation."""
    for each in place.api.all("mcol", place.namespace):
        assert each["status"]["observedGeneration"] == each["metadata"]["generation"], each["metadata"]["name"]
        assert [c for c in each["status"]["conditions"] if c["type"] == "WorkloadReady"], each["metadata"]["name"]


def all_reconciled(operator: Any) -> Callable[[], None]:
    """A claim that every resource was reconciled and the queue is empty."""

    def claim() -> None:
        assert operator.metric("reconcile_total") >= RESOURCES
        assert operator.metric("workqueue_depth") == 0

    return claim


def templates(place: Any) -> dict[str, Document]:
    return {
        each["metadata"]["name"]: each["spec"]["template"] for each in place.api.all("deployments", place.namespace)
    }


def pods(place: Any) -> set[str]:
    return {each["metadata"]["uid"] for each in place.api.all("pods", place.namespace)}


def settled_pods(place: Any, eventually: Eventually) -> set[str]:
    """The pods, once there are as many as the Deployments request."""

    def claim() -> None:
        desired = sum(each["spec"]["replicas"] for each in place.api.all("deployments", place.namespace))
        assert len(pods(place)) == desired

    eventually(claim)
    return pods(place)


def without_handover(template: Document) -> Document:
    """A template without what this release adds: the handover document, a limit, more time to start. Its hash changes."""
    found: Document = copy.deepcopy(template)
    found["metadata"]["annotations"].pop("marketcollector.dev/template")
    spec = found["spec"]
    spec["volumes"] = [each for each in spec["volumes"] if each["name"] != "handover"]
    for each in spec["volumes"]:
        if each["name"] == "state":
            each["emptyDir"] = {}
    [container] = spec["containers"]
    container["startupProbe"]["failureThreshold"] = 60
    container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] != "handover"]
    arguments = container["args"]
    if "--handover" in arguments:
        at = arguments.index("--handover")
        container["args"] = arguments[:at] + arguments[at + 2 :]
    return found


def test_upgrade_adds_only_the_handover_and_rollback_removes_it(
    place: Any, install_crd: InstallCrd, start: Start, start_old: Start, eventually: Eventually
) -> None:
    """This release restarts each pod once (CHANGELOG). The same release again restarts none."""
    install_crd(old_crd())
    operator = start_old(*IMAGE)
    create_many(place)
    eventually(lambda: all_observed(place))
    settled_pods(place, eventually)
    before = templates(place)

    def replaced_by(next_start: Start) -> dict[str, Document]:
        """The templates after the first reconciles of another operator."""
        nonlocal operator
        assert operator.stop() == 0
        operator = next_start(*IMAGE)
        eventually(all_reconciled(operator))
        eventually(lambda: all_observed(place))
        return templates(place)

    install_crd(new_crd())
    after = replaced_by(start)
    assert {name: without_handover(each) for name, each in after.items()} == {
        name: without_handover(each) for name, each in before.items()
    }
    assert replaced_by(start) == after
    assert replaced_by(start_old) == before
    install_crd(old_crd())
    assert replaced_by(start_old) == before
    assert "Traceback" not in operator.log.read_text()


def helm(*arguments: str) -> str:
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("install_crd")
def test_chart_upgrade_and_rollback_change_the_crd_and_keep_resources(
    place: Any, api: Any, namespace: str, eventually: Eventually
) -> None:
    release = (namespace, "--namespace", namespace)
    # No other operator runs here, and the first release adopts a CRD that was installed by hand.
    settings = ("--set", "replicas=0,rbac.aggregate=false", "--take-ownership", "--force-conflicts")

    made: dict[str, str] = {}

    def is_installed(crd: Document) -> Callable[[], None]:
        """A claim that this CRD is installed and every resource exists. The API server serves both with a delay."""
        versions = crd["spec"]["versions"]

        def claim() -> None:
            assert api.call("GET", CRD)["spec"]["versions"][0]["schema"] == versions[0]["schema"]
            assert {each["metadata"]["name"]: each["metadata"]["uid"] for each in api.all("mcol", namespace)} == made

        return claim

    helm("install", release[0], str(OLD_CHART), *release[1:], *settings)
    eventually(is_installed(old_crd()))
    made |= {name: place.create(name)["metadata"]["uid"] for name in ("a", "b")}
    for step, crd in (
        (("upgrade", release[0], str(CHART), *release[1:], *settings), new_crd()),
        (("rollback", release[0], "1", *release[1:], "--force-conflicts"), old_crd()),
        (("upgrade", release[0], str(CHART), *release[1:], *settings), new_crd()),
        (("uninstall", *release), new_crd()),
    ):
        helm(*step)
        eventually(is_installed(crd))


def later_crd() -> Document:
    """The CRD of a future release, with more counters in the status."""
    document = new_crd()
    status = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    status["later"] = LATER
    status["gaps"]["properties"]["later"] = LATER
    shard = status["shardStatuses"]["items"]["properties"]
    shard["base"]["properties"]["later"] = shard["epochs"]["items"]["properties"]["later"] = LATER
    return document


def test_status_fields_of_a_later_release_are_kept(
    place: Any, kubelet: Any, install_crd: InstallCrd, start: Start, eventually: Eventually
) -> None:
    install_crd(later_crd())
    start()
    place.create(healthCheckInterval="1s")
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")

    def written() -> None:
        [shard] = place.status()["shardStatuses"]
        [epoch] = shard["epochs"]
        shard = {**shard, "base": {**shard["base"], "later": 2}, "epochs": [{**epoch, "later": 3}]}
        later = {"later": 1, "gaps": {"later": 4}, "shardStatuses": [shard]}
        place.api.merge("mcol", place.namespace, "okx-btc", {"status": later}, "/status")
        kept()

    def kept() -> None:
        status = place.status()
        [shard] = status["shardStatuses"]
        found = (status["later"], shard["base"]["later"], shard["epochs"][0]["later"], status["gaps"]["later"])
        assert found == (1, 2, 3, 4)

    eventually(written)
    pod.report["counters"] = {"messages": 777, "gapsDetected": 1}
    pod.report["gaps"] = [{"id": "1", "stream": "BTC-USDT/trade", "state": "open"}]
    place.expect("Complete", "False", "GapsOpen")
    eventually(lambda: _counted(place, 777))
    kept()
    pod.report["gaps"] = []
    place.expect("Complete", "True", "NoGapsOpen")
    kept()


def _counted(place: Any, messages: int) -> None:
    assert place.status()["messages"] == messages
