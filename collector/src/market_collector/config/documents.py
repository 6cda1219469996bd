"""The collector document that the operator mounts into a pod."""

from typing import Annotated

from market_spec.collection import Collection
from market_spec.fields import DnsLabel, DnsName
from market_spec.kinds import Constant, Number
from market_spec.section import Section

CONTRACT = 1
"""Version of the collector document that this reader understands."""
CREDENTIALS_DIRECTORY = "/etc/market-collector-credentials"
"""Where the operator mounts the Secret of ``spec.credentials``; ``--credentials-dir`` names another directory."""


class CollectorDocument(Section, frozen=True, kw_only=True):
    """One shard's part of a resource."""

    contract: Annotated[int, Constant(CONTRACT)]
    name: DnsName
    namespace: DnsLabel
    shard: Annotated[int, Number(0, 63)]
    spec: Collection
