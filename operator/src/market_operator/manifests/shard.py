"""What every builder is told: the resource, its spec, the shard, and what the operator was started with."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from market_operator.models import API_VERSION, BALANCE, KIND, Spec
from market_operator.names import RESOURCE_ANNOTATION, child_name, labels
from market_operator.resource import Document, Resource

HTTP_PORT = 8080


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of one resource; `image` is the operator's own choice of collector image."""

    resource: Resource
    spec: Spec
    number: int
    symbols: tuple[str, ...]
    image: str

    @property
    def name(self) -> str:
        """Name of the shard's Deployment and Service."""
        return child_name(self.resource.key.name, self.number)

    @property
    def wanted_pods(self) -> int:
        """How many pods shall run."""
        return 0 if self.spec.suspend else self.spec.replicas

    @property
    def collects_account(self) -> bool:
        """Whether this shard collects what belongs to no symbol: one must, and the first one does."""
        return self.number == 0 and BALANCE in self.spec.data_types

    def metadata(self, name: str) -> Document:
        """Name, labels and owner. The owner does not block on its children: nothing ever waits for the operator."""
        return {
            "name": name,
            "namespace": self.resource.key.namespace,
            "labels": labels(self.resource.key.name, self.number),
            "annotations": {RESOURCE_ANNOTATION: self.resource.key.name},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": KIND,
                    "name": self.resource.key.name,
                    "uid": self.resource.uid,
                    "controller": True,
                }
            ],
        }


def canonical(document: Any) -> str:
    """`document` as compact JSON, the same text for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(document: Any) -> str:
    """A short hash of the content."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:10]
