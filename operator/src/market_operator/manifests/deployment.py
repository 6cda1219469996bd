"""The Deployment: the pods of one shard, replaced by make-before-break."""

from market_operator.manifests.pod import pod_template
from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document

# A pod is ready as soon as its streams are live; the old one stays until they have been so for as long. It counts for
# roll-outs alone: that data flows is read from the pods themselves.
_MIN_READY_SECONDS = 5


def deployment(shard: Shard, configmap_name: str) -> Document:
    """The Deployment of a shard.

    A new pod is ready only when its streams are live, so with maxUnavailable 0 the old one leaves after that (and after
    a few seconds more, should they fail again at once). Where a
    claim can be written by one pod alone, the old pod must go first, and the hole is repaired.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": shard.metadata(shard.name),
        "spec": {
            "replicas": shard.wanted_pods,
            "revisionHistoryLimit": 2,
            "minReadySeconds": _MIN_READY_SECONDS,
            "progressDeadlineSeconds": 120,
            "strategy": _strategy(shard),
            "selector": {"matchLabels": shard.selector},
            "template": pod_template(shard, configmap_name),
        },
    }


def _strategy(shard: Shard) -> Document:
    if any(sink.file and sink.file.claim_name for sink in shard.spec.sinks):
        return {"type": "Recreate"}
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
