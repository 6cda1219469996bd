"""J. Upgrade and roll-back, between the previous release (tests/upgrade/previous) and this one, on running resources."""

import subprocess
import tarfile
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import pytest
import yaml

from collector_specs import SPECS
from kube import CHART, ROOT

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
Define = Callable[[Document], None]
PREVIOUS = ROOT / "tests" / "upgrade" / "previous"
[OLD_CHART] = PREVIOUS.glob("market-operator-*.tgz")
DEFINITION = "apis/apiextensions.k8s.io/v1/customresourcedefinitions/marketcollectors.marketcollector.dev"
RESOURCES = 50
LATER = {"type": "integer", "format": "int64", "description": "What a later release counts."}
# Of the releases that share nothing else, the collector's image is the one thing that may restart pods.
IMAGE = ("--collector-image", "localhost/market-collector:same")


def old_definition() -> Document:
    with tarfile.open(OLD_CHART) as chart:
        member = chart.extractfile("market-operator/files/marketcollectors.yaml")
        assert member
        document: Document = yaml.safe_load(member)
    return document


def new_definition() -> Document:
    document: Document = yaml.safe_load((ROOT / "crds/marketcollectors.yaml").read_text())
    return document


pytestmark = pytest.mark.alone  # changes the CRD


@pytest.fixture
def define(api: Any) -> Iterator[Callable[[Document], None]]:
    """Puts a version of the definition into place, as an upgrade does; afterwards it is as before."""

    def put(document: Document) -> None:
        api.call("PATCH", DEFINITION, {"spec": document["spec"]}, "application/merge-patch+json")

    before = api.call("GET", DEFINITION)
    yield put
    words = {
        field: dict.fromkeys(api.call("GET", DEFINITION)["metadata"].get(field, ())) | before["metadata"].get(field, {})
        for field in ("annotations", "labels")
    }
    api.call("PATCH", DEFINITION, {"spec": before["spec"], "metadata": words}, "application/merge-patch+json")


@pytest.fixture
def start_old(start: Start) -> Start:
    """Starts the previous release's operator; its coverage is not this one's."""

    def begin(*arguments: str) -> Any:
        environment = {"PYTHONPATH": str(PREVIOUS / "market_operator.zip")}
        return start(
            *arguments, environment=environment | {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
        )

    return begin


def create_many(place: Any) -> dict[str, str]:
    """Fifty resources of all the ways to use them; the name of the spec by the name of the resource."""
    names = dict(zip((f"r{number:02}" for number in range(RESOURCES)), cycle(SPECS), strict=False))
    for name, spec in names.items():
        place.create(name, **_spread_by_hand(SPECS[spec]))
    return names


def _spread_by_hand(spec: dict[str, Any]) -> dict[str, Any]:
    """Several replicas are spread over nodes since this release, which changes their template, unless the user said how."""
    if spec.get("replicas", 1) == 1:
        return spec
    return {**spec, "template": {**spec.get("template", {}), "topologySpreadConstraints": []}}


def all_told(place: Any) -> None:
    """Whether an operator has looked at every resource as it is now."""
    for each in place.api.all("mcol", place.namespace):
        assert each["status"]["observedGeneration"] == each["metadata"]["generation"], each["metadata"]["name"]
        assert [c for c in each["status"]["conditions"] if c["type"] == "WorkloadReady"], each["metadata"]["name"]


def all_passed(operator: Any) -> Callable[[], None]:
    """A claim: every resource was passed over, and nothing waits."""

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
    """The pods, when there are as many as the Deployments want."""

    def claim() -> None:
        wanted = sum(each["spec"]["replicas"] for each in place.api.all("deployments", place.namespace))
        assert len(pods(place)) == wanted

    eventually(claim, 60)
    return pods(place)


def test_j_an_upgrade_and_its_roll_back_restart_no_pod(
    place: Any, define: Define, start: Start, start_old: Start, eventually: Eventually
) -> None:
    define(old_definition())
    operator = start_old(*IMAGE)
    create_many(place)
    eventually(lambda: all_told(place), 60)
    before, running = templates(place), settled_pods(place, eventually)

    def replace_by(next_start: Start) -> None:
        """Ends the operator and starts another; nothing may have changed when it has looked at everything."""
        nonlocal operator
        assert operator.stop() == 0
        operator = next_start(*IMAGE)
        eventually(all_passed(operator), 60)
        eventually(lambda: all_told(place))
        assert templates(place) == before
        assert settled_pods(place, eventually) == running

    define(new_definition())
    replace_by(start)
    replace_by(start_old)
    define(old_definition())
    replace_by(start_old)
    assert "Traceback" not in operator.log.read_text()


def helm(*arguments: str) -> str:
    done = subprocess.run(["helm", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.usefixtures("define")
def test_j_the_chart_is_upgraded_and_rolled_back_with_its_definition_and_loses_no_resource(
    place: Any, api: Any, namespace: str, eventually: Eventually
) -> None:
    release = (namespace, "--namespace", namespace)
    # Nobody else's operator runs here, and a first release takes over a definition that was installed by hand.
    settings = ("--set", "replicas=0,rbac.aggregate=false", "--take-ownership", "--force-conflicts")

    made: dict[str, str] = {}

    def stands(definition: Document) -> Callable[[], None]:
        """A claim: this definition is in place, and every resource; the API server takes a moment to serve both."""
        versions = definition["spec"]["versions"]

        def claim() -> None:
            assert api.call("GET", DEFINITION)["spec"]["versions"][0]["schema"] == versions[0]["schema"]
            assert {each["metadata"]["name"]: each["metadata"]["uid"] for each in api.all("mcol", namespace)} == made

        return claim

    helm("install", release[0], str(OLD_CHART), *release[1:], *settings)
    eventually(stands(old_definition()))
    made |= {name: place.create(name)["metadata"]["uid"] for name in ("a", "b")}
    for step, definition in (
        (("upgrade", release[0], str(CHART), *release[1:], *settings), new_definition()),
        (("rollback", release[0], "1", *release[1:], "--force-conflicts"), old_definition()),
        (("upgrade", release[0], str(CHART), *release[1:], *settings), new_definition()),
        (("uninstall", *release), new_definition()),
    ):
        helm(*step)
        eventually(stands(definition))


def later_definition() -> Document:
    """The definition of a release to come, which counts and tells more."""
    document = new_definition()
    status = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    status["later"] = LATER
    status["gaps"]["properties"]["later"] = LATER
    shard = status["shardStatuses"]["items"]["properties"]
    shard["base"]["properties"]["later"] = shard["epochs"]["items"]["properties"]["later"] = LATER
    return document


def test_j_what_a_later_release_wrote_into_the_status_outlives_this_one(
    place: Any, kubelet: Any, define: Define, start: Start, eventually: Eventually
) -> None:
    define(later_definition())
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
