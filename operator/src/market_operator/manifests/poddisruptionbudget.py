"""The PodDisruptionBudget: evictions take one replica of a shard at a time."""

from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document


def poddisruptionbudget(shard: Shard) -> Document:
    """The budget of a shard with several replicas. With one replica, a budget would block every node drain.

    Pods that are not ready may always be evicted, because they deliver nothing.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": shard.metadata(shard.name),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": shard.selector},
        },
    }
