"""The desired state of one resource."""

from dataclasses import dataclass

from market_operator.resource.document import Document
from market_spec.spec import Spec


@dataclass(frozen=True, slots=True)
class DesiredState:
    """What shall exist: the spec with its defaults, the objects in the order of creation, one template hash a shard."""

    spec: Spec
    children: tuple[Document, ...]
    templates: tuple[str, ...]
    image: str
