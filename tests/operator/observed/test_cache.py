import hashlib
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.observed.cache import Cache, Observed
from market_operator.observed.pods import read_pod
from market_operator.resource.naming import Key
from market_operator.resource.shares import Shares
from owned import owned

Make = Callable[..., Any]
KEY = Key("md", "okx-btc")


@pytest.fixture
def cache() -> Cache:
    return Cache()


def managed(
    uid: str = "c1", version: int = 1, name: str = "okx-btc-0", namespace: str = "md", **data: str
) -> dict[str, Any]:
    annotations = {"marketcollector.dev/resource": "okx-btc"}
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "annotations": annotations,
        **owned(),
    }
    return {"metadata": meta, "data": data}


def test_managed_object_is_cached_with_its_kind_and_without_unused_fields(cache: Cache) -> None:
    assert cache.put("ConfigMap", managed(x="1"))
    found = cache.observe(KEY).children["ConfigMap", "okx-btc-0"]
    assert (found["kind"], found["data"]) == ("ConfigMap", {"x": "1"})
    assert "managedFields" not in found["metadata"]


def test_older_version_never_replaces_a_newer_one(cache: Cache) -> None:
    cache.put("ConfigMap", managed(version=10, x="new"))
    assert not cache.put("ConfigMap", managed(version=9, x="old"))
    assert not cache.put("ConfigMap", managed(version=10, x="same"))
    assert cache.observe(KEY).children["ConfigMap", "okx-btc-0"]["data"] == {"x": "new"}


def test_similar_objects_take_little_memory_and_keep_their_contents(cache: Cache) -> None:
    def many(number: int) -> dict[str, Any]:
        data = {f"key-{each}": hashlib.sha256(bytes(each)).hexdigest() for each in range(60)}
        return {**managed(f"uid-{number}", name=f"name-{number}"), "data": {**data, "number": str(number)}}

    cache.put("ConfigMap", many(0))
    tracemalloc.start()
    try:
        for number in range(1, 500):
            cache.put("ConfigMap", many(number))
        kept = tracemalloc.get_traced_memory()[0] / 499
    finally:
        tracemalloc.stop()
    assert kept < 1_000, "compressed one by one, each takes 3 KB"
    found = cache.observe(KEY).children
    assert [found["ConfigMap", f"name-{number}"]["data"] for number in range(500)] == [
        many(number)["data"] for number in range(500)
    ]


def test_deletion_of_an_object_keeps_its_successor(cache: Cache) -> None:
    cache.put("Service", managed("c1", 1))
    cache.put("Service", managed("c2", 5))
    cache.drop("Service", managed("c1", 6))
    assert ("Service", "okx-btc-0") in cache.observe(KEY).children


def test_deleted_object_is_not_restored_by_a_late_event(cache: Cache) -> None:
    cache.put("Service", managed("c1", 1))
    cache.drop("Service", managed("c1", 3))
    assert not cache.put("Service", managed("c1", 2))
    assert not cache.observe(KEY).children


def test_objects_of_one_name_are_distinguished_by_kind(cache: Cache) -> None:
    cache.put("Service", managed("c1"))
    cache.put("Deployment", managed("c2"))
    assert set(cache.observe(KEY).children) == {("Service", "okx-btc-0"), ("Deployment", "okx-btc-0")}


def test_pods_are_kept_by_their_uid(cache: Cache, pod_document: Make) -> None:
    cache.put_pod(read_pod(pod_document("p2", version=2)))
    cache.put_pod(read_pod(pod_document("p1", version=2)))
    assert not cache.put_pod(read_pod(pod_document("p1", version=1, ready=False)))
    assert [pod.uid for pod in cache.observe(KEY).pods] == ["p1", "p2"]
    assert [pod.is_ready for pod in cache.pods()] == [True, True]
    found = cache.pod(KEY, "p1")
    assert found
    cache.drop("Pod", pod_document("p1", version=3))
    assert cache.pod(KEY, "p1") is None


def test_metadata_shows_whether_a_version_is_new(cache: Cache, pod_document: Make) -> None:
    def is_new(kind: str, document: dict[str, Any]) -> bool:
        return cache.is_new(kind, {"metadata": document["metadata"]})

    assert is_new("Service", managed(version=5))
    assert is_new("Pod", pod_document("p1", version=5))
    cache.put("Service", managed(version=5))
    cache.put_pod(read_pod(pod_document("p1", version=5)))
    assert [is_new("Service", managed(version=version)) for version in (4, 5, 6)] == [False, False, True]
    assert [is_new("Pod", pod_document("p1", version=version)) for version in (4, 5, 6)] == [False, False, True]
    assert is_new("Pod", pod_document("p2", version=1))
    assert is_new("ConfigMap", managed(version=1))
    cache.drop("Service", managed())
    assert not is_new("Service", managed(version=1)), "a deleted object is not restored"


def test_object_whose_labels_are_put_back_is_known_again(cache: Cache) -> None:
    """A watch reports an object as deleted when it loses the label that the watch selects by."""
    cache.put("Service", managed(version=1))
    cache.drop("Service", managed(version=2))
    assert cache.put("Service", managed(version=3))
    cache.drop("Service", managed(version=2))
    assert ("Service", "okx-btc-0") in cache.observe(KEY).children, "a late event deletes nothing newer"


[OWNER] = owned()["ownerReferences"]


@pytest.mark.parametrize(
    "change",
    [
        {"ownerReferences": []},
        {"ownerReferences": [{**OWNER, "controller": False}]},
        {"ownerReferences": [{**OWNER, "apiVersion": "other.dev/v1alpha1"}]},
        {"ownerReferences": [{**OWNER, "kind": "Deployment"}]},
        {"managedFields": [{"manager": "kubectl-expose", "operation": "Update"}]},
        {"managedFields": [{"manager": "market-operator", "operation": "Update"}]},
    ],
)
def test_object_that_the_operator_did_not_make_is_ignored(cache: Cache, change: dict[str, Any]) -> None:
    theirs = managed(version=2)
    theirs["metadata"] |= change
    assert not cache.put("Service", theirs)
    assert cache.put("Service", managed(version=3))
    theirs["metadata"]["resourceVersion"] = "4"
    assert cache.put("Service", theirs), "the loss of an object is an event"
    assert not cache.observe(KEY).children
    assert not cache.put("Service", managed(version=3)), "a late event gives nothing back"


def test_unknown_resource_has_no_objects(cache: Cache) -> None:
    observed = cache.observe(Key("md", "other"))
    assert (dict(observed.children), observed.pods) == ({}, ())
    assert cache.pod(Key("md", "other"), "p") is None
    cache.drop("Pod", managed())


def test_complete_listing_reveals_stale_objects(cache: Cache, pod_document: Make) -> None:
    cache.put("Service", managed("c1", 1, "a"))
    cache.put("Service", managed("c2", 2, "b"))
    cache.put("Service", managed("c3", 99, "c"))
    cache.put("Deployment", managed("c4", 1, "a"))
    cache.put("Service", managed("c5", 1, "a", "elsewhere"))
    cache.put_pod(read_pod(pod_document("p1", version=1)))
    assert [stale["metadata"]["uid"] for stale in cache.stale_objects("Service", "md", {"c1"}, 50)] == ["c2"]
    assert [stale["metadata"]["uid"] for stale in cache.stale_objects("Pod", None, set(), 50)] == ["p1"]
    for stale in cache.stale_objects("Service", "md", {"c1"}, 50):
        cache.drop("Service", stale)
    assert cache.stale_objects("Service", "md", {"c1"}, 50) == []


def deployment(version: int = 1, replicas: int = 1, **status: Any) -> dict[str, Any]:
    meta = {
        **managed(version=version)["metadata"],
        "generation": version,
        "labels": {"marketcollector.dev/shard": "0", "cost": "7"},
        "annotations": {"marketcollector.dev/resource": "okx-btc", "marketcollector.dev/applied": "h"},
    }
    return {"metadata": meta, "spec": {"replicas": replicas, "paused": False}, "status": status}


NAME = ("Deployment", "okx-btc-0")


def test_settled_object_is_reduced_to_an_outline(cache: Cache) -> None:
    cache.put("Deployment", deployment(replicas=2, updatedReplicas=1))
    assert cache.observe(KEY).settled == frozenset()
    cache.mark_applied(KEY, [NAME])
    observed = cache.observe(KEY)
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


def test_answer_to_the_operators_own_write_is_settled(cache: Cache) -> None:
    cache.put("Deployment", deployment(), is_settled=True)
    assert cache.observe(KEY).settled == {NAME}


def test_settled_object_stays_settled_when_only_its_status_changes(cache: Cache) -> None:
    cache.put("Deployment", deployment(), is_settled=True)
    cache.put("Deployment", deployment(version=2, updatedReplicas=3))
    observed = cache.observe(KEY)
    assert observed.settled == {NAME}
    assert observed.children[NAME]["status"] == {"updatedReplicas": 3}


def test_settled_object_is_compared_in_full_again_when_edited(cache: Cache) -> None:
    cache.put("Deployment", deployment(), is_settled=True)
    cache.put("Deployment", deployment(version=2, replicas=5))
    observed = cache.observe(KEY)
    assert observed.settled == frozenset()
    assert observed.children[NAME]["spec"] == {"replicas": 5, "paused": False}


def test_unknown_object_is_not_settled(cache: Cache) -> None:
    cache.mark_applied(KEY, [NAME])
    assert cache.observe(KEY).settled == frozenset()


@pytest.mark.parametrize("scope", ["md", None])
def test_unlisted_pod_may_exist_until_a_listing_of_its_version(cache: Cache, scope: str | None) -> None:
    assert cache.may_exist("p1", "md", version=50)
    cache.pods_listed(scope, 49)
    assert cache.may_exist("p1", "md", version=50)
    cache.pods_listed(scope, 50)
    cache.pods_listed(scope, 40)
    assert not cache.may_exist("p1", "md", version=50)
    assert cache.may_exist("p1", "elsewhere", version=50) == (scope == "md")


def test_pod_does_not_exist_after_its_deleted_event(cache: Cache, pod_document: Make) -> None:
    cache.drop("Pod", pod_document(uid="p1"))
    assert not cache.may_exist("p1", "md", version=50)


def test_released_pod_belongs_to_no_resource(cache: Cache, pod_document: Make) -> None:
    cache.put_pod(read_pod(pod_document("p1", version=1)))
    taken = pod_document("p1", version=2)
    del taken["metadata"]["labels"]["marketcollector.dev/shard"]
    del taken["metadata"]["ownerReferences"]
    assert cache.put_pod(read_pod(taken))
    assert cache.observe(KEY).pods == ()
    assert not cache.put_pod(read_pod(taken)), "a repeated event changes nothing"


def test_object_of_an_earlier_resource_is_not_the_new_ones(cache: Cache) -> None:
    cache.put("Service", managed(version=1))
    assert cache.observe(KEY, "uid-2") == Observed({}, (), earlier=frozenset({("Service", "okx-btc-0")}))
    assert [*cache.observe(KEY, "uid-1").children] == [("Service", "okx-btc-0")]
    assert cache.observe(KEY, "uid-1").earlier == frozenset()


def foreign(kind: str, metadata: dict[str, Any]) -> dict[str, Any]:
    """Metadata as of a managed object, but made by somebody else."""
    labels = {"marketcollector.dev/collector": "okx-btc", "marketcollector.dev/shard": "0"}
    return {"metadata": {**managed()["metadata"], "labels": labels, "ownerReferences": [], **metadata}}


@pytest.mark.parametrize("kind", ["ConfigMap", "Pod"])
def test_objects_of_others_need_not_be_read(cache: Cache, kind: str) -> None:
    assert not cache.is_new(kind, foreign(kind, {"uid": "theirs"}))


def test_managed_object_that_becomes_another_s_is_read(cache: Cache) -> None:
    cache.put("ConfigMap", managed(version=1))
    assert cache.is_new("ConfigMap", foreign("ConfigMap", {"resourceVersion": "2"}))


def test_large_objects_have_a_share_of_the_memory() -> None:
    """They look like the operator's. Without room, their outline is kept: enough to delete or apply them."""
    shares = Shares(4_000_000)
    cache = Cache(shares)
    for number in range(60):
        cache.put("ConfigMap", managed(f"u{number}", name=f"cm{number}", x="y" * 900_000))
    kept = [child for child in cache.observe(KEY).children.values() if "data" in child]
    assert len(kept) == 2
    assert cache.observe(KEY).children["ConfigMap", "cm59"]["metadata"]["uid"] == "u59"
    cache.put("Service", managed("small", name="small", x="y"))
    assert cache.observe(KEY).children["Service", "small"]["data"] == {"x": "y"}
    cache.put("ConfigMap", managed("next", name="next", namespace="quiet", x="y" * 900_000))
    assert cache.observe(Key("quiet", "okx-btc")).children["ConfigMap", "next"]["data"]
    cache.put("ConfigMap", managed("u0", version=2, name="cm0", x="y" * 900_000))
    assert cache.observe(KEY).children["ConfigMap", "cm0"]["data"], "it takes the place of its older version"


def test_share_of_an_object_is_free_when_it_is_settled_or_gone() -> None:
    shares = Shares(4_000_000)
    cache = Cache(shares)
    for number in range(2):
        cache.put("ConfigMap", managed(f"u{number}", name=f"cm{number}", x="y" * 900_000))
    assert shares != Shares(4_000_000)
    cache.mark_applied(KEY, [("ConfigMap", "cm0")])
    cache.drop("ConfigMap", managed("u1", version=2, name="cm1"))
    assert shares == Shares(4_000_000)
