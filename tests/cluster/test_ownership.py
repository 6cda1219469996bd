"""Objects of others that look like the operator's: they are neither deleted nor counted."""

import subprocess
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.resource.naming import labels

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
LABELS = labels("okx-btc", 0)


@pytest.fixture
def served(place: Any, kubelet: Any, start: Start) -> Any:
    """The place of a resource that is Ready, under an operator that lists everything each second."""
    start("--sweep-interval", "1s")
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    return place


def copy_of(document: Document, name: str, **meta: Any) -> Document:
    """A copy under another name, as people make it: with labels and annotations."""
    kept = {key: document["metadata"][key] for key in ("labels", "annotations")}
    return {**document, "metadata": {**kept, "name": name, **meta}, "status": {}}


def roll_out(place: Any, kubelet: Any, eventually: Eventually) -> None:
    """Changes the spec, and waits until the rollout is complete."""
    generation = place.change(logLevel="debug")["metadata"]["generation"]

    def is_done() -> None:
        kubelet.catch_up()
        assert place.status()["observedGeneration"] == generation
        assert place.condition("WorkloadReady")[0] == "True"

    eventually(is_done)


def test_copies_with_the_operators_labels_are_not_deleted(served: Any, kubelet: Any, eventually: Eventually) -> None:
    api, namespace = served.api, served.namespace
    command = ["kubectl", "-n", namespace, "expose", "deployment", "okx-btc-0", "--name", "metrics", "--port", "8080"]
    subprocess.run(command, check=True, capture_output=True)
    deployment = api.get("deployments", namespace, "okx-btc-0")
    owners = {"ownerReferences": deployment["metadata"]["ownerReferences"]}
    copied = copy_of(deployment, "okx-btc-0-debug", **owners)
    copied["spec"]["replicas"] = 0
    api.create("deployments", namespace, copied)
    api.create("configmaps", namespace, {"metadata": {"name": "mine", "labels": LABELS}, "data": {"a": "b"}})
    theirs: Document = {"metadata": {"name": "theirs", "labels": LABELS}, "spec": {"ports": [{"port": 80}]}}
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": "mine", "controller": True}
    other["uid"] = api.get("configmaps", namespace, "mine")["metadata"]["uid"]
    theirs["metadata"]["ownerReferences"] = [other]
    api.create("services", namespace, theirs)
    roll_out(served, kubelet, eventually)
    assert {"metrics", "theirs"} <= served.names("services")
    assert "okx-btc-0-debug" in served.names("deployments")
    assert "mine" in served.names("configmaps")
    assert len(served.names("configmaps")) == 2, "the operator's own old ConfigMap is deleted"


def test_copied_pod_is_not_counted(served: Any, kubelet: Any, eventually: Eventually) -> None:
    api, namespace = served.api, served.namespace
    [document] = kubelet.living()
    copied = copy_of(document, "debug")
    del copied["metadata"]["labels"]["pod-template-hash"]
    api.create("pods", namespace, copied)
    kubelet.run_all(2)
    roll_out(served, kubelet, eventually)
    served.expect_current()
    status = served.status()
    assert status["pods"] == "1/1"
    assert status["messages"] == 200, "the pods before and after the change"


def test_managed_object_that_lost_its_labels_is_known_again(served: Any, eventually: Eventually) -> None:
    """A watch by label reports the loss of a label as a deletion."""
    api, namespace = served.api, served.namespace
    api.merge("services", namespace, "okx-btc-0", {"metadata": {"labels": dict.fromkeys(LABELS)}})

    def is_labelled() -> None:
        assert LABELS.items() <= api.get("services", namespace, "okx-btc-0")["metadata"].get("labels", {}).items()

    eventually(is_labelled)
    api.merge("services", namespace, "okx-btc-0", {"metadata": {"labels": {"app.kubernetes.io/name": "other"}}})
    eventually(is_labelled)


def test_foreign_kind_of_the_same_name_keeps_its_object(served: Any, kubelet: Any, eventually: Eventually) -> None:
    """Another API group may have a MarketCollector too. The field manager's name is not protected either."""
    api, namespace = served.api, served.namespace
    owner = {"apiVersion": "other.dev/v1", "kind": "MarketCollector", "name": "okx-btc", "controller": True}
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "foreign", "labels": LABELS, "ownerReferences": [{**owner, "uid": str(uuid.uuid4())}]},
        "spec": {"ports": [{"port": 80}]},
    }
    path = f"api/v1/namespaces/{namespace}/services/foreign?fieldManager=market-operator&force=true"
    made = api.call("PATCH", path, theirs, "application/apply-patch+yaml")
    roll_out(served, kubelet, eventually)
    assert api.get("services", namespace, "foreign")["metadata"]["uid"] == made["metadata"]["uid"]


def test_resource_created_again_gets_objects_of_its_own(served: Any, kubelet: Any, eventually: Eventually) -> None:
    """The garbage collector may need a while for those of the deleted resource, which are not taken over."""
    api, namespace = served.api, served.namespace
    slow = api.merge("deployments", namespace, "okx-btc-0", {"metadata": {"finalizers": ["op-test/slow"]}})
    api.delete("mcol", namespace, "okx-btc")
    uid = served.create()["metadata"]["uid"]

    def is_waiting() -> None:
        found = served.condition("WorkloadReady")
        assert found[:2] == ("False", "ApplyFailed")
        assert "Deployment okx-btc-0: 409 NotYetDeleted" in found[2]

    eventually(is_waiting)
    kept = api.get("deployments", namespace, "okx-btc-0")["metadata"]
    assert (kept["uid"], kept["ownerReferences"]) == (slow["metadata"]["uid"], slow["metadata"]["ownerReferences"])
    api.merge("deployments", namespace, "okx-btc-0", {"metadata": {"finalizers": None}})

    def is_replaced() -> None:
        kubelet.catch_up()
        [deployment] = api.all("deployments", namespace)
        assert deployment["metadata"]["uid"] != slow["metadata"]["uid"]
        assert [each["uid"] for each in deployment["metadata"]["ownerReferences"]] == [uid]
        assert served.condition("Ready")[:2] == ("True", "Ready")

    eventually(is_replaced)
