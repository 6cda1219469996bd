import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.cache import Cache
from market_operator.observed.pods import read_pod
from market_operator.resource.naming import Key

Make = Callable[..., Any]
KEY = Key("md", "okx-btc")


@pytest.fixture
def store() -> Cache:
    return Cache()


def child(
    uid: str = "c1", version: int = 1, name: str = "okx-btc-0", namespace: str = "md", **data: str
) -> dict[str, Any]:
    annotations = {"marketcollector.dev/resource": "okx-btc"}
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "annotations": annotations,
    }
    return {"metadata": {**meta, "managedFields": [{"manager": "x"}]}, "data": data}


def test_a_child_is_kept_with_its_kind_and_without_what_nobody_asks_for(store: Cache) -> None:
    assert store.put("ConfigMap", child(x="1"))
    found = store.observe(KEY).children["ConfigMap", "okx-btc-0"]
    assert (found["kind"], found["data"]) == ("ConfigMap", {"x": "1"})
    assert "managedFields" not in found["metadata"]


def test_an_older_version_never_replaces_a_newer_one(store: Cache) -> None:
    store.put("ConfigMap", child(version=10, x="new"))
    assert not store.put("ConfigMap", child(version=9, x="old"))
    assert not store.put("ConfigMap", child(version=10, x="same"))
    assert store.observe(KEY).children["ConfigMap", "okx-btc-0"]["data"] == {"x": "new"}


def test_of_many_that_are_alike_little_is_kept_and_each_is_what_it_was(store: Cache) -> None:
    def many(number: int) -> dict[str, Any]:
        data = {f"key-{each}": hashlib.sha256(bytes(each)).hexdigest() for each in range(60)}
        return {**child(f"uid-{number}", name=f"name-{number}"), "data": {**data, "number": str(number)}}

    store.put("ConfigMap", many(0))
    tracemalloc.start()
    try:
        for number in range(1, 500):
            store.put("ConfigMap", many(number))
        kept = tracemalloc.get_traced_memory()[0] / 499
    finally:
        tracemalloc.stop()
    assert kept < 1_000, "compressed alone each takes 3 KB"
    found = store.observe(KEY).children
    assert [found["ConfigMap", f"name-{number}"]["data"] for number in range(500)] == [
        many(number)["data"] for number in range(500)
    ]


def test_the_end_of_one_object_does_not_end_its_successor(store: Cache) -> None:
    store.put("Service", child("c1", 1))
    store.put("Service", child("c2", 5))
    store.drop("Service", child("c1", 6))
    assert ("Service", "okx-btc-0") in store.observe(KEY).children


def test_what_is_gone_never_comes_back_by_late_news(store: Cache) -> None:
    store.put("Service", child("c1", 1))
    store.drop("Service", child("c1", 3))
    assert not store.put("Service", child("c1", 2))
    assert not store.observe(KEY).children


def test_kinds_of_one_name_are_told_apart(store: Cache) -> None:
    store.put("Service", child("c1"))
    store.put("Deployment", child("c2"))
    assert set(store.observe(KEY).children) == {("Service", "okx-btc-0"), ("Deployment", "okx-btc-0")}


def test_pods_are_kept_by_their_uid(store: Cache, pod_document: Make) -> None:
    store.put_pod(read_pod(pod_document("p2", version=2)))
    store.put_pod(read_pod(pod_document("p1", version=2)))
    assert not store.put_pod(read_pod(pod_document("p1", version=1, ready=False)))
    assert [pod.uid for pod in store.observe(KEY).pods] == ["p1", "p2"]
    assert [pod.is_ready for pod in store.pods()] == [True, True]
    found = store.pod(KEY, "p1")
    assert found
    store.drop("Pod", pod_document("p1"))
    assert store.pod(KEY, "p1") is None


def test_metadata_tells_whether_there_is_new(store: Cache, pod_document: Make) -> None:
    def is_new(kind: str, document: dict[str, Any]) -> bool:
        return store.is_new(kind, {"metadata": document["metadata"]})

    assert is_new("Service", child(version=5))
    assert is_new("Pod", pod_document("p1", version=5))
    store.put("Service", child(version=5))
    store.put_pod(read_pod(pod_document("p1", version=5)))
    assert [is_new("Service", child(version=version)) for version in (4, 5, 6)] == [False, False, True]
    assert [is_new("Pod", pod_document("p1", version=version)) for version in (4, 5, 6)] == [False, False, True]
    assert is_new("Pod", pod_document("p2", version=1))
    assert is_new("ConfigMap", child(version=1))
    store.drop("Service", child())
    assert not is_new("Service", child(version=9)), "what is gone never comes back"


def test_nothing_is_known_of_a_stranger(store: Cache) -> None:
    observed = store.observe(Key("md", "other"))
    assert (dict(observed.children), observed.pods) == ({}, ())
    assert store.pod(Key("md", "other"), "p") is None
    store.drop("Pod", child())


def test_a_complete_listing_shows_the_ghosts(store: Cache, pod_document: Make) -> None:
    store.put("Service", child("c1", 1, "a"))
    store.put("Service", child("c2", 2, "b"))
    store.put("Service", child("c3", 99, "c"))
    store.put("Deployment", child("c4", 1, "a"))
    store.put("Service", child("c5", 1, "a", "elsewhere"))
    store.put_pod(read_pod(pod_document("p1", version=1)))
    assert [ghost["metadata"]["uid"] for ghost in store.stale_objects("Service", "md", {"c1"}, 50)] == ["c2"]
    assert [ghost["metadata"]["uid"] for ghost in store.stale_objects("Pod", None, set(), 50)] == ["p1"]
    for ghost in store.stale_objects("Service", "md", {"c1"}, 50):
        store.drop("Service", ghost)
    assert store.stale_objects("Service", "md", {"c1"}, 50) == []


def deployment(version: int = 1, replicas: int = 1, **status: Any) -> dict[str, Any]:
    meta = {
        **child(version=version)["metadata"],
        "generation": version,
        "labels": {"marketcollector.dev/shard": "0", "cost": "7"},
        "annotations": {"marketcollector.dev/resource": "okx-btc", "marketcollector.dev/applied": "h"},
    }
    return {"metadata": meta, "spec": {"replicas": replicas, "paused": False}, "status": status}


NAME = ("Deployment", "okx-btc-0")


def test_of_what_is_as_wanted_an_outline_is_kept(store: Cache) -> None:
    store.put("Deployment", deployment(replicas=2, updatedReplicas=1))
    assert store.observe(KEY).settled == frozenset()
    store.mark_applied(KEY, [NAME])
    observed = store.observe(KEY)
    outline = observed.children[NAME]
    assert observed.settled == {NAME}
    assert (outline["kind"], outline["spec"], outline["status"]) == (
        "Deployment",
        {"replicas": 2},
        {"updatedReplicas": 1},
    )
    assert outline["metadata"]["labels"] == {"marketcollector.dev/shard": "0"}
    assert outline["metadata"]["annotations"] == {"marketcollector.dev/applied": "h"}
    assert (outline["metadata"]["uid"], outline["metadata"]["generation"]) == ("c1", 1)


def test_the_answer_to_our_own_write_is_as_wanted(store: Cache) -> None:
    store.put("Deployment", deployment(), is_settled=True)
    assert store.observe(KEY).settled == {NAME}


def test_what_the_cluster_notes_in_an_object_changes_nothing_about_it(store: Cache) -> None:
    store.put("Deployment", deployment(), is_settled=True)
    store.put("Deployment", deployment(version=2, updatedReplicas=3))
    observed = store.observe(KEY)
    assert observed.settled == {NAME}
    assert observed.children[NAME]["status"] == {"updatedReplicas": 3}


def test_what_somebody_changed_is_looked_at_anew_as_a_whole(store: Cache) -> None:
    store.put("Deployment", deployment(), is_settled=True)
    store.put("Deployment", deployment(version=2, replicas=5))
    observed = store.observe(KEY)
    assert observed.settled == frozenset()
    assert observed.children[NAME]["spec"] == {"replicas": 5, "paused": False}


def test_nothing_is_settled_that_is_not_known(store: Cache) -> None:
    store.mark_applied(KEY, [NAME])
    assert store.observe(KEY).settled == frozenset()


@pytest.mark.parametrize("scope", ["md", None])
def test_a_pod_that_is_in_no_listing_may_exist_until_one_is_as_new_as_who_knew_it(
    store: Cache, scope: str | None
) -> None:
    assert store.may_exist("p1", "md", version=50)
    store.pods_listed(scope, 49)
    assert store.may_exist("p1", "md", version=50)
    store.pods_listed(scope, 50)
    store.pods_listed(scope, 40)
    assert not store.may_exist("p1", "md", version=50)
    assert store.may_exist("p1", "elsewhere", version=50) == (scope == "md")


def test_a_pod_whose_end_was_told_does_not_exist(store: Cache, pod_document: Make) -> None:
    store.drop("Pod", pod_document(uid="p1"))
    assert not store.may_exist("p1", "md", version=50)


def test_a_pod_that_was_taken_out_of_its_shard_is_nobodys(store: Cache, pod_document: Make) -> None:
    store.put_pod(read_pod(pod_document("p1", version=1)))
    taken = pod_document("p1", version=2)
    del taken["metadata"]["labels"]["marketcollector.dev/shard"]
    assert store.put_pod(read_pod(taken))
    assert store.observe(KEY).pods == ()
    assert not store.put_pod(read_pod(taken)), "it is no news any more"
