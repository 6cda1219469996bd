"""The headless Service of a shard, for scraping and inspecting its pods."""

from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document
from market_operator.resource.naming import HTTP_PORT


def service(shard: Shard) -> Document:
    """The Service of a shard. It includes pods that are not ready, since these need inspection most."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": shard.metadata(shard.name),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": shard.selector,
            "ports": [{"name": "http", "port": HTTP_PORT, "targetPort": "http", "protocol": "TCP"}],
        },
    }
