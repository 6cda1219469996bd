"""Whose an object is. tests/cluster shows the same with copies that people make."""

from typing import Any

import pytest

from market_operator.observed.ownership import NO_SHARD, is_managed, owned_shard, owner_key
from market_operator.resource.naming import Key, child_name, labels
from owned import made_by_replicaset, owned

LONG = "long" * 40
[REPLICASET] = made_by_replicaset("okx-btc-1-6d4c")["ownerReferences"]


def pod(resource: str = "okx-btc", shard: int = 1, **meta: Any) -> dict[str, Any]:
    """A pod of a shard."""
    return {
        "metadata": {
            "namespace": "md",
            "labels": {**labels(resource, shard), "pod-template-hash": "6d4c"},
            "annotations": {"marketcollector.dev/resource": resource},
            **made_by_replicaset(f"{child_name(resource, shard)}-6d4c"),
            **meta,
        }
    }


@pytest.mark.parametrize("name", ["okx-btc", LONG])
def test_pod_of_our_deployment_belongs_to_its_shard(name: str) -> None:
    document = pod(name)
    assert owner_key(document) == Key("md", name)
    assert owned_shard(document, Key("md", name)) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"ownerReferences": []},
        made_by_replicaset("okx-btc-1-debug-6d4c"),
        made_by_replicaset("okx-btc-1-77ff"),
        made_by_replicaset("okx-btc-0-6d4c"),
        {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "okx-btc-1-6d4c"}]},
        {"ownerReferences": [{**REPLICASET, "kind": "Job"}]},
        {"ownerReferences": [{**REPLICASET, "apiVersion": "example.com/v1"}]},
        {"labels": {"marketcollector.dev/collector": "okx-btc", "pod-template-hash": "6d4c"}},
    ],
)
def test_pod_of_another_owner_belongs_to_no_shard(change: dict[str, Any]) -> None:
    assert owned_shard(pod(**change), Key("md", "okx-btc")) == NO_SHARD


@pytest.mark.parametrize("shard", ["64", "99999999999", "-1", "\u00b2", ""])
def test_pod_of_a_shard_that_no_resource_may_have_is_not_ours(shard: str) -> None:
    """The API server would refuse a status with its counters."""
    name = f"okx-btc-{shard}-6d4c"
    labels = {"marketcollector.dev/shard": shard, "pod-template-hash": "6d4c"}
    assert owned_shard(pod(labels=labels, **made_by_replicaset(name)), Key("md", "okx-btc")) == NO_SHARD


def test_kind_of_the_same_name_in_another_group_is_not_ours() -> None:
    meta: dict[str, Any] = {"namespace": "md", **owned("okx-btc")}
    meta["ownerReferences"][0] |= {"apiVersion": "other.dev/v1", "name": "theirs"}
    assert not is_managed({"metadata": meta})
    assert owner_key({"metadata": meta}) == Key("md", "")


def test_owner_of_an_unowned_object_is_the_one_that_it_names() -> None:
    meta = {"namespace": "md", "labels": {"marketcollector.dev/collector": "short-1234"}}
    assert owner_key({"metadata": meta}) == Key("md", "short-1234")
    assert owner_key({"metadata": {**meta, "annotations": {"marketcollector.dev/resource": LONG}}}) == Key("md", LONG)


def test_owner_of_a_managed_object_is_its_controller() -> None:
    """Somebody may edit the annotation, which the operator must then find and put back."""
    meta = {"namespace": "md", "annotations": {"marketcollector.dev/resource": "edited"}, **owned("okx-btc")}
    assert owner_key({"metadata": meta}) == Key("md", "okx-btc")
    assert is_managed({"metadata": meta})
