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
        assert service["spec"]["selector"].keys() == {"marketcollector.dev/collector", "marketcollector.dev/shard"}

    eventually(put_back)


def test_fields_of_another_manager_survive_our_apply(
    place: Any, deployment: Callable[[], Document], eventually: Eventually
) -> None:
    """Backup and cost tools set fields of their own in objects of others."""
    meta = {"name": "okx-btc-0", "namespace": place.namespace, "labels": {"cost": "a"}}
    own = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {"template": {"metadata": {"annotations": {"cost": "b"}}}},
    }
    apply = ("apply", "--server-side", "--field-manager=another", "-f", "-")
    kubectl(*apply, stdin=json.dumps(own))
    place.change(symbol="ETH-USDT", template={"labels": {"ours": "new"}})

    def is_applied() -> None:
        assert deployment()["spec"]["template"]["metadata"]["labels"]["ours"] == "new"

    eventually(is_applied)
    found = deployment()
    theirs = found["spec"]["template"]["metadata"]["annotations"]["cost"]
    assert (found["metadata"]["labels"]["cost"], theirs) == ("a", "b")
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


HACKED = {"type": "Ready", "status": "False", "reason": "Hacked", "message": "x"}


@pytest.mark.parametrize("spec", [{"suspend": True}, {}], ids=["suspended", "running"])
def test_overwritten_status_is_put_right(place: Any, start: Start, eventually: Eventually, spec: Document) -> None:
    """velero #8205, #1272. No event of a managed object or a pod follows."""
    start()
    place.create(**spec)

    def is_right() -> None:
        assert place.status()["observedGeneration"] == 1
        assert {each["type"] for each in place.status()["conditions"]} >= {"Ready", "Accepted", "Complete"}
        assert place.condition("Ready")[1] != "Hacked"

    eventually(is_right)
    hacked = [{**HACKED, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    for status in ({"conditions": hacked}, {"conditions": None}, None):
        place.api.merge("mcol", place.namespace, "okx-btc", {"status": status}, "/status")
        eventually(is_right)


def test_paused_rollout_is_continued_and_reported(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    """kubeblocks #6969. A paused Deployment never ends a rollout."""
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    kubectl("-n", place.namespace, "rollout", "pause", "deployment/okx-btc-0")
    generation = place.change(symbol="ETH-USDT")["metadata"]["generation"]

    def rolled_out() -> None:
        kubelet.catch_up()
        assert place.status()["observedGeneration"] == generation
        assert place.condition("WorkloadReady")[:2] == ("True", "AllPodsRunning")

    eventually(rolled_out)
    eventually(lambda: expect("changed spec.paused. It is put back" in notes(place)))


def test_writer_that_changes_an_object_again_and_again_is_reported(
    place: Any, deployment: Callable[[], Document], eventually: Eventually
) -> None:
    """As an autoscaler of a managed Deployment does. Pauses between the operator's writes grow."""

    def is_stalled() -> None:
        place.api.merge("deployments", place.namespace, "okx-btc-0", {"spec": {"replicas": 3}})
        assert place.condition("WorkloadReady")[1] == "ChangedByOthers"
        assert "changed spec.replicas" in place.condition("Stalled")[2]

    eventually(is_stalled)
    assert deployment()["spec"]["replicas"] == 3, "the operator waits before it writes again"


def notes(place: Any) -> str:
    """The notes of all Events of the resource."""
    events = place.api.call("GET", f"apis/events.k8s.io/v1/namespaces/{place.namespace}/events")["items"]
    return "\n".join(event.get("note", "") for event in events)


def expect(claim: bool) -> None:
    assert claim


def test_second_operator_with_the_same_settings_is_reported(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    """They write the same, except for positions, which each one reads at other times."""
    start()
    start()
    place.create(healthCheckInterval="1s")
    [pod] = kubelet.run_all(1)

    def is_reported() -> None:
        pod.report["counters"]["messages"] += 1
        last = pod.report["counters"]["messages"]
        pod.report["positions"] = {"BTC-USDT/trade": {"line": {"last": last, "time_ns": last}}}
        assert place.condition("WorkloadReady")[1] == "ChangedByOthers"

    eventually(is_reported)
    assert "Stop the other writer" in place.condition("WorkloadReady")[2]
