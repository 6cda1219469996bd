"""How the operator was started; defaults and units in one place."""

from dataclasses import dataclass
from typing import Literal

from market_operator.cluster.lease import DEFAULT_TERMS, Terms
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.resource.naming import Key
from market_operator.resource.selector import EVERYTHING, Selector

HealthVia = Literal["direct", "proxy", "auto"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `market-operator run`; times in seconds.

    `namespaces`: which to serve; none means all. `selector`: labels of the resources to serve. `lease`: the Lease by
    which several instances agree who works, on `lease_terms`; without one, this instance works at once.
    `collector_image`: image of collectors whose resource names none. `health_via`: how collectors' health is read:
    direct (HTTP to the pod's address; from inside the cluster), proxy (through the API server; from a shell), auto
    (direct in a pod, proxy elsewhere). `counter_interval`: shortest time between two writes of a resource's status for
    counters alone; lower it to see numbers sooner. `sweep_interval`: time between two complete listings, which find
    what no event told. `workers`: resources that are worked on at once. `traffic`: what
    NetworkPolicies let through; None makes none, since only who installs knows who reads.
    """

    namespaces: tuple[str, ...] = ()
    selector: Selector = EVERYTHING
    lease: Key | None = None
    lease_terms: Terms = DEFAULT_TERMS
    collector_image: str = "localhost/market-collector:dev"
    http_host: str = "0.0.0.0"  # noqa: S104 - a pod's probes come from outside of it
    http_port: int = 8080
    health_via: HealthVia = "auto"
    counter_interval: float = 60.0
    sweep_interval: float = 300.0
    workers: int = 8
    traffic: NetworkRules | None = None
    log_level: str = "info"
    log_format: Literal["text", "json"] = "text"
