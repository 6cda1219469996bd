"""The ConfigMap with the collector document. It is immutable; its name contains a hash of its content."""

from typing import Any

from market_operator.manifests.shard import FILE, Shard, canonical, digest
from market_operator.resource.document import Document
from market_spec.exchanges import BALANCE, CAPABILITIES
from market_spec.section import plain

CONTRACT = 1
# Fields that collectors do not read, so that changing them restarts no collector.
_NOT_FOR_COLLECTORS = {
    "shards",
    "replicas",
    "suspend",
    "template",
    "commonLabels",
    "healthCheckInterval",
    "symbol",
    "symbols",
}


def configmap(shard: Shard) -> Document:
    """The immutable ConfigMap of a shard."""
    text = canonical(document(shard))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": shard.metadata(f"{shard.name}-{digest(text)}"),
        "immutable": True,
        "data": {FILE: text},
    }


def document(shard: Shard) -> Document:
    """The collector document (contract 1): the spec, reduced to the symbols of the shard.

    Only the first shard collects the account. A Secret appears by name, never with its content. Defaults are left out,
    so that a new field with a default restarts no collector.
    """
    given = plain(shard.spec, with_defaults=False)
    spec: dict[str, Any] = {name: value for name, value in given.items() if name not in _NOT_FOR_COLLECTORS}
    spec["symbols"] = list(shard.symbols)
    spec["dataTypes"] = sorted(shard.spec.data_types)
    if not shard.collects_account:
        spec.pop("credentials", None)
        spec["dataTypes"] = [data_type for data_type in spec["dataTypes"] if data_type != BALANCE]
    if spec.get("orderbook", {}).get("depth") == CAPABILITIES[shard.spec.exchange].default_depth:
        del spec["orderbook"]["depth"]  # once a default of the CRD, so that stored resources have it
    for sink in spec.get("sinks", ()):
        for volume_field in ("claimName", "sizeLimit"):
            sink.get("file", {}).pop(volume_field, None)
    key = shard.resource.key
    return {"contract": CONTRACT, "name": key.name, "namespace": key.namespace, "shard": shard.number, "spec": spec}
