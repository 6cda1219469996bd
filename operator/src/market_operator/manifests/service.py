"""The headless Service: a name under which a shard's pods can be scraped and looked at."""

from market_operator.manifests.shard import HTTP_PORT, Shard
from market_operator.resource import Document


def service(shard: Shard) -> Document:
    """The Service of a shard; it names unready pods too, because those are the ones that people want to look at."""
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
