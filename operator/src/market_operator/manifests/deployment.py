"""The Deployment of one shard. New pods start before old ones stop."""

from market_operator.manifests.pod import pod_template
from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document

# How long a new pod's streams must stay live before the old pod stops. It affects rollouts only; conditions come from
# the pods' reports.
MIN_READY_SECONDS = 5


def deployment(shard: Shard, configmap_name: str) -> Document:
    """The Deployment of a shard.

    A pod is ready when its streams are live, so with maxUnavailable 0 the old pod stops only after that. A
    PersistentVolumeClaim with one writer needs the old pod to stop first; the collector backfills that gap.

    `paused` is set because a rollout that somebody paused would never end.
    """
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": shard.metadata(shard.name),
        "spec": {
            "replicas": shard.replicas,
            "paused": False,
            "revisionHistoryLimit": 2,
            "minReadySeconds": MIN_READY_SECONDS,
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
