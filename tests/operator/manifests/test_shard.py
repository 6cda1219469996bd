from collections.abc import Callable

from market_operator.manifests.shard import Shard, canonical, digest


def test_the_owner_is_the_controller_and_does_not_block(shard: Callable[..., Shard]) -> None:
    [owner] = shard().metadata("x")["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("MarketCollector", "uid-1", True)
    assert "blockOwnerDeletion" not in owner


def test_a_suspended_resource_wants_no_pods(shard: Callable[..., Shard]) -> None:
    assert shard(replicas=3).replicas == 3
    assert shard(replicas=3, suspend=True).replicas == 0


def test_equal_content_has_one_serialization_and_one_hash() -> None:
    assert canonical({"b": 1, "a": "ü"}) == '{"a":"ü","b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
