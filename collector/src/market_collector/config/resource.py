"""A MarketCollector resource, as a user writes it."""

from typing import Annotated, Any, ClassVar

from market_spec.api import API_VERSION, KIND
from market_spec.fields import DnsLabel, DnsName
from market_spec.kinds import Constant
from market_spec.section import Section
from market_spec.spec import Spec


class Metadata(Section, frozen=True, kw_only=True):
    """The part of a resource's metadata that a collector needs; Kubernetes checks the rest."""

    allows_unknown: ClassVar[bool] = True
    name: DnsName
    namespace: DnsLabel = "default"


class Resource(Section, frozen=True, kw_only=True):
    """A whole MarketCollector, as a user writes it."""

    api_version: Annotated[str, Constant(API_VERSION)]
    kind: Annotated[str, Constant(KIND)]
    metadata: Metadata
    spec: Spec
    status: dict[str, Any] | None = None
    """Ignored."""
