"""The headless Service: a name under which a shard's pods can be scraped and looked at."""

from market_operator.manifests.shard import Shard
from market_operator.resource.document import Document
from market_operator.resource.naming import HTTP_PORT


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
