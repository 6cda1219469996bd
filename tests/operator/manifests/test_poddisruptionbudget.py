from collections.abc import Callable

from market_operator.manifests.deployment import deployment
from market_operator.manifests.poddisruptionbudget import poddisruptionbudget
from market_operator.manifests.shard import Shard


def test_one_replica_of_a_shard_may_go_at_a_time_and_a_sick_one_always(shard: Callable[..., Shard]) -> None:
    found = poddisruptionbudget(shard(replicas=3))
    assert found["spec"] == {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": deployment(shard(replicas=3), "config")["spec"]["selector"],
    }
    assert found["metadata"]["name"] == "okx-btc-0"
