"""The desired state of one resource."""

from dataclasses import dataclass

from market_operator.resource.document import Document
from market_spec.spec import Spec


@dataclass(frozen=True, slots=True)
class DesiredState:
    """The spec with its defaults, the managed objects in the order of creation, and one pod template hash per shard."""

    spec: Spec
    children: tuple[Document, ...]
    templates: tuple[str, ...]
    image: str
