"""Other writers: the operator reverts its own fields, keeps those of others, and loses no change during a reconcile.

test_leader.py covers the writes of an instance whose lease has expired.
"""

import json
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.cluster.conftest import unless_gone

Start = Callable[..., Any]
Eventually = Callable[..., None]
Document = dict[str, Any]
THREE = ["ADA-USDT", "BTC-USDT", "ETH-USDT"]


def kubectl(*arguments: str, stdin: str | None = None) -> None:
    done = subprocess.run(["kubectl", *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def deployment(place: Any, start: Start, eventually: Eventually) -> Callable[[], Document]:
    """Reads the Deployment of a resource that an operator serves."""
    start()
    place.create()

    def read() -> Document:
        found: Document = place.api.get("deployments", place.namespace, "okx-btc-0")
        return found

    eventually(read)
    return read


def test_users_change_is_reverted_and_added_fields_stay(
    place: Any, deployment: Callable[[], Document], eventually: Eventually
) -> None:
    theirs = {"labels": {"team": "mine"}, "annotations": {"note": "mine"}}
    edit = {"metadata": theirs, "spec": {"replicas": 4, "progressDeadlineSeconds": 7}}
    place.api.merge("deployments", place.namespace, "okx-btc-0", edit)
    place.api.merge("services", place.namespace, "okx-btc-0", {"spec": {"selector": {"app": "other"}}})

    def put_back() -> None:
        found = deployment()
        assert (found["spec"]["replicas"], found["spec"]["progressDeadlineSeconds"]) == (1, 120)
        assert found["metadata"]["labels"]["team"] == found["metadata"]["annotations"]["note"] == "mine"
        service = place.api.get("services", place.namespace, "okx-btc-0")
        assert service["spec"]["selector"]["marketcollector.dev/shard"] == "0"

    eventually(put_back)


def test_fields_of_another_manager_survive_our_apply(
    place: Any, deployment: Callable[[], Document], eventually: Eventually
) -> None:
    """Backup and cost tools set fields of their own in objects of others."""
    meta = {"name": "okx-btc-0", "namespace": place.namespace, "labels": {"cost": "a"}}
    own = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"paused": True}}
    apply = ("apply", "--server-side", "--field-manager=another", "-f", "-")
    kubectl(*apply, stdin=json.dumps(own))
    place.change(symbol="ETH-USDT", template={"labels": {"ours": "new"}})

    def is_applied() -> None:
        assert deployment()["spec"]["template"]["metadata"]["labels"]["ours"] == "new"

    eventually(is_applied)
    found = deployment()
    assert (found["metadata"]["labels"]["cost"], found["spec"]["paused"]) == ("a", True)
    managers = {each["manager"] for each in found["metadata"]["managedFields"] if each["operation"] == "Apply"}
    assert managers == {"another", "market-operator"}
    refused = subprocess.run(
        ["kubectl", *apply],
        input=json.dumps(own | {"spec": {"replicas": 3}}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert 'conflict with "market-operator"' in refused.stderr, "the refusal names the owner of the field"


def test_scaling_during_reconciles_ends_at_the_last_value(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create(symbols=THREE)
    counts = [3, 1, 2, 3, 1, 3]
    edits = threading.Thread(target=lambda: [place.change(logLevel=level) for level in ("debug", "info") * 5])
    edits.start()
    for count in counts:
        kubectl("scale", "mcol/okx-btc", f"--replicas={count}", "-n", place.namespace)
    edits.join()

    def three() -> None:
        kubelet.catch_up()
        assert place.names("deployments") == {f"okx-btc-{number}" for number in range(3)}
        assert place.status()["readyShards"] == 3
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(three)


@pytest.mark.parametrize("kind", ["deployments", "services", "configmaps"])
def test_rollout_completes_when_a_managed_object_is_deleted_during_it(
    place: Any, kubelet: Any, start: Start, eventually: Eventually, kind: str
) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.change(symbol="ETH-USDT")
    kubelet.run_all(2, ready=False)
    place.expect("WorkloadReady", "False", "RollingOut")
    for name in place.names(kind):
        place.api.delete(kind, place.namespace, name)
    for pod in kubelet.pods.values():
        if pod.symbols == ["ETH-USDT"] and pod.name in place.names("pods"):
            with unless_gone():
                kubelet.say(pod, {"running": {"startedAt": "2026-11-22T10:00:00Z"}}, ready=True)

    def rolled_out() -> None:
        kubelet.catch_up()
        assert place.condition("Ready")[:2] == ("True", "Ready")
        [config] = place.api.all("configmaps", place.namespace)
        assert json.loads(config["data"]["collector.json"])["spec"]["symbols"] == ["ETH-USDT"]
        assert len(place.names("pods")) == len(place.names("services")) == 1

    eventually(rolled_out)
