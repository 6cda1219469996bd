"""The input of every builder: one shard of a resource, and the metadata of its objects."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import RESOURCE_ANNOTATION, child_name, labels, selector
from market_spec.api import API_VERSION, KIND
from market_spec.exchanges import BALANCE
from market_spec.spec import Spec

FILE = "collector.json"


@dataclass(frozen=True, slots=True)
class PodSettings:
    """The operator's settings for all collectors; fields of a resource come first."""

    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    """Names of Secrets in each resource's namespace."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of all managed objects and their pods."""
    has_arbitrary_user: bool = False
    """Leave user and groups to the namespace, as OpenShift requires."""


ORDINARY = PodSettings()


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard of one resource. `image` is the default collector image."""

    resource: Resource
    spec: Spec
    number: int
    symbols: tuple[str, ...]
    image: str
    settings: PodSettings = ORDINARY

    @property
    def name(self) -> str:
        """Name of the shard's Deployment and Service."""
        return child_name(self.resource.key.name, self.number)

    @property
    def replicas(self) -> int:
        """Desired number of pods."""
        return 0 if self.spec.suspend else self.spec.replicas

    @property
    def collects_account(self) -> bool:
        """Whether this shard collects the account. Only the first shard does."""
        return self.number == 0 and BALANCE in self.spec.data_types

    @property
    def stream_count(self) -> int:
        """Number of the shard's streams."""
        return len(self.symbols) * self.spec.streams_per_symbol + self.collects_account

    @property
    def selector(self) -> dict[str, str]:
        """The labels that select the shard's pods."""
        return selector(self.resource.key.name, self.number)

    def metadata(self, name: str) -> Document:
        """Name, labels and owner of an object of the shard."""
        return metadata(self.resource, name, self.common_labels, self.number)

    @property
    def common_labels(self) -> dict[str, str]:
        """The labels of all managed objects besides the operator's own."""
        return common_labels(self.spec, self.settings)


def common_labels(spec: Spec, settings: PodSettings) -> dict[str, str]:
    """The labels that the installer and the resource add to all managed objects."""
    return {**settings.labels, **(spec.common_labels or {})}


def metadata(resource: Resource, name: str, more_labels: Mapping[str, str], shard: int | None = None) -> Document:
    """Name, labels and owner of an object of a shard, or of the whole resource.

    The owner reference does not block deletion, so nothing waits for the operator.
    """
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": resource.key.name,
        "uid": resource.uid,
        "controller": True,
    }
    return {
        "name": name,
        "namespace": resource.key.namespace,
        "labels": {**more_labels, **labels(resource.key.name, shard)},
        "annotations": {RESOURCE_ANNOTATION: resource.key.name},
        "ownerReferences": [owner],
    }


def canonical(document: Any) -> str:
    """`document` as canonical JSON: equal content gives equal strings."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(document: Any) -> str:
    """A short hash of the content."""
    return hashlib.sha256(canonical(document).encode()).hexdigest()[:10]
