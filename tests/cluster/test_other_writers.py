"""F. Other writers: what is ours is put back, what is theirs stays, and nothing they do in the midst of a pass is lost.

(What an instance whose lease ran out writes is in the tests of the leader.)
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


def test_f_what_a_user_changes_is_put_back_and_what_he_adds_stays(
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


def test_f_what_another_manager_applies_beside_us_stays_over_our_own_applies(
    place: Any, deployment: Callable[[], Document], eventually: Eventually
) -> None:
    """As a tool for backups or costs does, that sets fields of its own in objects of others."""
    meta = {"name": "okx-btc-0", "namespace": place.namespace, "labels": {"cost": "a"}}
    own = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"paused": True}}
    apply = ("apply", "--server-side", "--field-manager=another", "-f", "-")
    kubectl(*apply, stdin=json.dumps(own))
    place.change(symbol="ETH-USDT", template={"labels": {"ours": "new"}})

    def ours_is_new() -> None:
        assert deployment()["spec"]["template"]["metadata"]["labels"]["ours"] == "new"

    eventually(ours_is_new)
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
    assert 'conflict with "market-operator"' in refused.stderr, "who wants what is ours is told whose it is"


def test_f_scaling_in_the_midst_of_passes_ends_at_the_last_word(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create(symbols=THREE)
    words = [3, 1, 2, 3, 1, 3]
    spam = threading.Thread(target=lambda: [place.change(logLevel=word) for word in ("debug", "info") * 5])
    spam.start()
    for count in words:
        kubectl("scale", "mcol/okx-btc", f"--replicas={count}", "-n", place.namespace)
    spam.join()

    def three() -> None:
        kubelet.catch_up()
        assert place.names("deployments") == {f"okx-btc-{number}" for number in range(3)}
        assert place.status()["readyShards"] == 3
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(three, 60)


@pytest.mark.parametrize("kind", ["deployments", "services", "configmaps"])
def test_f_a_child_that_is_deleted_in_the_midst_of_a_roll_out_comes_back_and_it_ends_well(
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

    eventually(rolled_out, 60)
