"""The PodDisruptionBudget: a shard's replicas are never evicted together."""

from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document


def poddisruptionbudget(shard: Shard) -> Document:
    """The budget of a shard with several replicas. (With one it would forbid what every node needs: to be drained.)

    Pods that are not ready may always be evicted: they hold nothing that could be lost.
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
