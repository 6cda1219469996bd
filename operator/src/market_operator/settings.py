"""The operator's settings, with defaults and units."""

from dataclasses import dataclass, field
from typing import Literal

from market_operator.cluster.lease import DEFAULT_TERMS, Terms
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.manifests.shard import ORDINARY, PodSettings
from market_operator.resource.naming import Key
from market_operator.resource.selector import EVERYTHING, Selector
from market_operator.resource.tenants import TenantRules

HealthVia = Literal["direct", "proxy", "auto"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `market-operator run`. Times are in seconds."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to serve; empty means all."""
    selector: Selector = EVERYTHING
    """Labels of the resources to serve."""
    lease: Key | None = None
    """The Lease that elects the leader; without one, this instance leads."""
    lease_terms: Terms = DEFAULT_TERMS
    """Times of the Lease."""
    collector_image: str = "localhost/market-collector:dev"
    """Image of collectors whose resource sets none."""
    pods: PodSettings = ORDINARY
    """Settings of all collectors' pods."""
    http_host: str = "0.0.0.0"  # noqa: S104 - a pod's probes come from outside of it
    http_port: int = 8080
    health_via: HealthVia = "auto"
    """Probe collectors directly (from a pod), through the API server (from a shell), or as fits."""
    counter_interval: float = 60.0
    """Shortest time between two status writes that only change counters."""
    sweep_interval: float = 300.0
    """Time between two complete listings, which find objects of lost events."""
    workers: int = 8
    """Number of resources reconciled at the same time."""
    traffic: NetworkRules | None = None
    """Rules of NetworkPolicies; None creates none, because only the installer knows the readers."""
    tenants: TenantRules = field(default_factory=TenantRules)
    """What a resource may ask for."""
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
