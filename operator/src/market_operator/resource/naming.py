"""Names, labels and annotations of everything that belongs to one resource."""

import hashlib
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

from market_spec.api import GROUP

CONTAINER = "collector"
HTTP_PORT = 8080

MANAGER = "market-operator"
SHARD_LABEL = f"{GROUP}/shard"
COLLECTOR_LABEL = f"{GROUP}/collector"
POD_HASH_LABEL = "pod-template-hash"
"""Set by the Deployment controller."""
RESOURCE_ANNOTATION = f"{GROUP}/resource"
APPLIED_ANNOTATION = f"{GROUP}/applied"
TEMPLATE_ANNOTATION = f"{GROUP}/template"
PAUSED_ANNOTATION = f"{GROUP}/paused"
OURS = f"app.kubernetes.io/managed-by={MANAGER},{COLLECTOR_LABEL}"
"""Label selector of all managed objects."""

# A NetworkPolicy's name has at most 253 characters. Space for the resource's name before "-collectors":
_LONGEST_OF_POLICIES = 242
# A Service's name is a DNS label of at most 63 characters that starts with a letter. Space for the resource's name
# besides "-63" (the shard) and "-0123456789" (the hash in a ConfigMap's name):
_LONGEST = 49


class Key(NamedTuple):
    """The namespace and name of a resource; the work queue holds keys."""

    namespace: str
    name: str

    @classmethod
    def of(cls, namespace: str, name: str) -> Self:
        """The key with interned strings, since many places keep it."""
        return cls(sys.intern(namespace), sys.intern(name))

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def is_paused(document: Mapping[str, Any]) -> bool:
    """Whether a user asks the operator to change nothing of a resource; its metadata is enough."""
    return str(document["metadata"].get("annotations", {}).get(PAUSED_ANNOTATION, "false")) != "false"


def child_name(resource: str, shard: int) -> str:
    """Name of a shard's Deployment and Service: the resource's name, shortened if it is too long, and the shard."""
    return f"{_short(resource, _LONGEST, '^[a-z][-a-z0-9]*$')}-{shard}"


def policy_name(resource: str) -> str:
    """Name of the NetworkPolicy of all shards, shortened if it is too long."""
    return f"{_short(resource, _LONGEST_OF_POLICIES, '.*')}-collectors"


def handover_name(resource: str) -> str:
    """Name of the ConfigMap with the handover document, shortened if it is too long."""
    return f"{_short(resource, _LONGEST_OF_POLICIES, '.*')}-handover"


def label_value(resource: str) -> str:
    """The resource's name as a label value (at most 63 characters; resource names may have 253)."""
    return _short(resource, 63, ".*")


def labels(resource: str, shard: int | None = None) -> dict[str, str]:
    """The labels of the managed objects of a shard, or of the resource as a whole."""
    return {
        "app.kubernetes.io/name": "market-collector",
        "app.kubernetes.io/instance": label_value(resource),
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/component": "collector",
        **selector(resource, shard),
    }


def selector(resource: str, shard: int | None = None) -> dict[str, str]:
    """The labels that select the pods of a shard, or of the resource.

    They must never change, because a Deployment's selector is immutable.
    """
    return {COLLECTOR_LABEL: label_value(resource)} | ({} if shard is None else {SHARD_LABEL: str(shard)})


def _short(name: str, longest: int, pattern: str) -> str:
    """`name` if it fits and matches `pattern`, otherwise its first characters and a hash of all of it."""
    if len(name) <= longest and re.fullmatch(pattern, name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    head = re.sub("[^-a-z0-9]", "-", name)[: longest - 10]
    return f"{head if head[0].isalpha() else f'm{head[:-1]}'}-{digest}"
