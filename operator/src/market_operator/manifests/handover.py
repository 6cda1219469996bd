"""The ConfigMap with the handover document: where every stream of a resource ended, for the pods that come next.

Every pod mounts it, and it changes while they run, so it is the only ConfigMap that is not immutable. There is none
before the first pod runs.
"""

from collections.abc import Mapping

from market_operator.manifests.shard import metadata
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import handover_name

HANDOVER_FILE = "handover.json"


def stored_handover(children: Mapping[tuple[str, str], Document], resource: str) -> str | None:
    """The document among the managed objects of a resource: None if there is none, empty if it is not in memory."""
    child = children.get(("ConfigMap", handover_name(resource)))
    return None if child is None else str(child.get("data", {}).get(HANDOVER_FILE, ""))


def is_handover(manifest: Document) -> bool:
    """Whether a manifest is that of a handover document."""
    return HANDOVER_FILE in manifest.get("data", ())


def handover(resource: Resource, text: str, more_labels: Mapping[str, str]) -> Document:
    """The ConfigMap with the document `text`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(resource, handover_name(resource.key.name), more_labels),
        "data": {HANDOVER_FILE: text},
    }
