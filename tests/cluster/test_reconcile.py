"""Reconciling on a real API server: managed objects, idempotence, drift, scaling, deletion, refusals."""

import json
import time
from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]
Eventually = Callable[..., None]
THREE = ["ADA-USDT", "BTC-USDT", "ETH-USDT"]


def test_new_resource_gets_its_managed_objects_and_becomes_ready(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    assert place.expect("Ready", "True", "Ready") == "2 of 2 streams deliver"
    status = place.status()
    assert (status["health"], status["pods"], status["streams"]["summary"]) == ("Healthy", "1/1", "2/2")
    assert place.names("deployments") == place.names("services") == {"okx-btc-0"}
    assert "Reconciling" not in {each["type"] for each in status["conditions"]}


def test_managed_objects_belong_to_their_resource(place: Any, start: Start, eventually: Eventually) -> None:
    uid = place.create()["metadata"]["uid"]
    start()
    eventually(lambda: place.api.get("deployments", place.namespace, "okx-btc-0"))
    for kind in ("deployments", "services", "configmaps", "handovers"):
        for managed in place.api.all(kind, place.namespace):
            [owner] = managed["metadata"]["ownerReferences"]
            assert (owner["uid"], owner["controller"], owner.get("blockOwnerDeletion")) == (uid, True, None)
            assert managed["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "market-operator"


def settled(place: Any) -> dict[str, str]:
    """Waits until nothing was written for 8 s; returns the resource versions.

    A Deployment updates its status 5 s after its pods are ready, and counters may be written once more.
    """
    before: dict[str, str] = {}
    while (now := place.api.versions(place.namespace)) != before:
        before = now
        time.sleep(8)
    return before


def test_second_reconcile_writes_nothing_even_by_a_new_operator(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    first = start()
    place.create(symbols=THREE, shards=3, replicas=2)
    kubelet.run_all(6)
    place.expect("Ready", "True", "Ready")
    before = settled(place)
    assert first.stop() == 0
    second = start("--sweep-interval", "1s")

    def repeats_its_work() -> None:
        assert second.metric("sweeps_total") > 2

    eventually(repeats_its_work)
    assert second.metric("reconcile_total") > 0
    assert second.metric("api_writes_total") == 0
    assert second.metric("status_updates_total") == 0
    assert place.api.versions(place.namespace) == before


def test_deleted_managed_object_is_created_again(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    [config] = place.names("configmaps")
    [handover] = place.names("handovers")
    objects = [("services", "okx-btc-0"), ("configmaps", config), ("handovers", handover), ("deployments", "okx-btc-0")]
    for kind, name in objects:
        old = place.api.get(kind, place.namespace, name)["metadata"]["uid"]
        place.api.delete(kind, place.namespace, name)

        def is_back(kind: str = kind, name: str = name, old: str = old) -> None:
            assert place.api.get(kind, place.namespace, name)["metadata"]["uid"] != old

        eventually(is_back)


def test_old_configmap_is_deleted_after_the_rollout_of_a_change(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create()
    [old_pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    [old] = place.names("configmaps")
    place.change(symbol="ETH-USDT")
    kubelet.run_all(2, ready=False)
    place.expect("WorkloadReady", "False", "RollingOut")
    assert place.condition("Reconciling")[0] == "True"
    assert old in place.names("configmaps"), "the old pod still mounts it"
    assert old_pod.name in place.names("pods"), "it stays until the new one is ready"
    new_pod = next(pod for pod in kubelet.pods.values() if pod is not old_pod)
    kubelet.say(new_pod, {"running": {"startedAt": "2026-11-22T10:00:00Z"}}, ready=True)
    place.expect("Ready", "True", "Ready")

    def only_the_new_is_left() -> None:
        assert place.names("pods") == {new_pod.name}
        [config] = place.api.all("configmaps", place.namespace)
        assert json.loads(config["data"]["collector.json"])["spec"]["symbols"] == ["ETH-USDT"]

    eventually(only_the_new_is_left)


def test_operator_only_fields_restart_no_collector(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create()
    [pod] = kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    generation = place.change(healthCheckInterval="5s")["metadata"]["generation"]
    deadline = time.monotonic() + 10
    while place.status()["observedGeneration"] < generation:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert place.names("pods") == {pod.name}


def test_suspend_stops_the_pods_and_resume_starts_them(place: Any, kubelet: Any, start: Start) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.change(suspend=True)
    assert "spec.suspend" in place.expect("Ready", "True", "Suspended")
    assert place.names("pods") == set()
    assert place.names("configmaps")
    total = place.status()["messages"]
    place.change(suspend=False)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    assert place.status()["messages"] >= total == 100


def test_scale_subresource_adds_and_removes_shards(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create(symbols=THREE)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.api.merge("mcol", place.namespace, "okx-btc", {"spec": {"replicas": 3}}, "/scale")

    def three() -> None:
        kubelet.catch_up()
        assert place.status()["shards"] == place.status()["readyShards"] == 3
        assert place.condition("Ready")[:2] == ("True", "Ready")

    eventually(three)

    def each_symbol_in_one_shard() -> None:
        kubelet.catch_up()
        configs = [json.loads(each["data"]["collector.json"]) for each in place.api.all("configmaps", place.namespace)]
        assert sorted(symbol for config in configs for symbol in config["spec"]["symbols"]) == THREE

    eventually(each_symbol_in_one_shard)
    place.change(shards=1)

    def one() -> None:
        kubelet.catch_up()
        assert place.names("deployments") == place.names("services") == {"okx-btc-0"}
        assert len(place.names("configmaps")) == len(place.names("pods")) == 1

    eventually(one)
    place.expect("Ready", "True", "Ready")


def test_resource_created_again_at_once_is_served(
    place: Any, kubelet: Any, start: Start, eventually: Eventually
) -> None:
    start()
    place.create()
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")
    place.api.delete("mcol", place.namespace, "okx-btc")
    uid = place.create()["metadata"]["uid"]

    def is_served() -> None:
        kubelet.catch_up()
        assert place.condition("Ready")[:2] == ("True", "Ready")
        for kind in ("deployments", "services", "configmaps", "handovers"):
            [managed] = place.api.all(kind, place.namespace)
            assert [owner["uid"] for owner in managed["metadata"]["ownerReferences"]] == [uid]

    eventually(is_served)


def test_foreign_object_of_the_same_name_is_left_alone(place: Any, start: Start) -> None:
    theirs = {"metadata": {"name": "okx-btc-0"}, "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 80}]}}
    place.api.create("services", place.namespace, theirs)
    start()
    place.create()
    message = place.expect("WorkloadReady", "False", "ApplyFailed")
    assert "Service okx-btc-0: 409 NameTaken" in message
    assert place.condition("Stalled")[:2] == ("True", "ApplyFailed")
    service = place.api.get("services", place.namespace, "okx-btc-0")
    assert service["spec"]["selector"] == {"app": "theirs"}
    assert "okx-btc-0" in place.names("deployments"), "other objects are still applied"


def test_misspelt_template_field_is_reported_with_its_path(place: Any, start: Start, kubelet: Any) -> None:
    start()
    place.create(template={"dnsConfig": {"nameserver": []}})
    message = place.expect("WorkloadReady", "False", "ApplyFailed")
    assert "Deployment okx-btc-0" in message
    assert ".spec.template.spec.dnsConfig.nameserver: field not declared in schema" in message
    assert place.condition("Stalled")[:2] == ("True", "ApplyFailed"), "a user must act"
    place.change(template={"dnsConfig": None})
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready")


def test_exhausted_quota_is_reported(place: Any, start: Start, kubelet: Any, eventually: Eventually) -> None:
    quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    place.api.create("resourcequotas", place.namespace, quota)
    start()
    place.create()
    assert "exceeded quota" in place.expect("WorkloadReady", "False", "QuotaExceeded")
    # The controller would retry only after minutes; for a new Deployment it tries soon.
    place.api.delete("deployments", place.namespace, "okx-btc-0")
    place.api.merge("resourcequotas", place.namespace, "none", {"spec": {"hard": {"pods": "5"}}})

    def is_ready() -> None:
        kubelet.catch_up()  # the old Deployment may make a pod first
        assert place.condition("Ready")[:2] == ("True", "Ready"), place.condition("Ready")

    eventually(is_ready)


def test_a_name_of_253_characters_is_served(place: Any, kubelet: Any, start: Start) -> None:
    name = ".".join(["long" * 15] * 4)[:253].rstrip(".")
    start()
    place.create(name)
    kubelet.run_all(1)
    place.expect("Ready", "True", "Ready", name)
    [deployment] = place.names("deployments")
    assert len(deployment) <= 63


def test_500_symbols_are_spread_over_8_shards(place: Any, start: Start, eventually: Eventually) -> None:
    start()
    place.create(symbols=[f"C{number}-USDT" for number in range(500)], shards=8)

    def claim() -> None:
        assert len(place.names("deployments")) == len(place.names("configmaps")) == 8
        assert place.status()["streams"]["total"] == 1000
        assert place.status()["symbols"] == "C0-USDT, C1-USDT, C10-USDT +497"

    eventually(claim)
