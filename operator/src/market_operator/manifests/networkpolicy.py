"""The NetworkPolicy: what may reach a resource's collectors, and what they may reach."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from market_operator.manifests.shard import metadata
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import HTTP_PORT, policy_name, selector
from market_spec.connection import Endpoint
from market_spec.exchanges import CAPABILITIES
from market_spec.spec import Spec


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """What NetworkPolicies let through to and from collectors, beside DNS and the exchange; in Kubernetes' words.

    `readers` (NetworkPolicyPeers) may reach their HTTP port; the operator itself must be among them, and none means
    everybody. `egress` (NetworkPolicyEgressRules): where else they may go.
    """

    readers: tuple[dict[str, Any], ...] = ()
    egress: tuple[dict[str, Any], ...] = ()


def networkpolicy(resource: Resource, spec: Spec, traffic: NetworkRules) -> Document:
    """The one policy of all shards: in only readers, to the HTTP port; out only DNS, the exchange and what was added.

    Without readers the way in stays open: who reads through the API server cannot be told by labels. (Probes come from
    the node, which no policy keeps out.)
    """
    way_in = {"ingress": [{"from": [*traffic.readers], "ports": _tcp([HTTP_PORT])}]} if traffic.readers else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(resource, policy_name(resource.key.name)),
        "spec": {
            "podSelector": {"matchLabels": selector(resource.key.name)},
            "policyTypes": ["Ingress", "Egress"] if way_in else ["Egress"],
            **way_in,
            "egress": [_DNS, {"ports": _tcp(exchange_ports(spec))}, *traffic.egress],
        },
    }


def exchange_ports(spec: Spec) -> list[int]:
    """The TCP ports at which the exchange is reached, by the resource's addresses or the exchange's own."""
    offer, endpoint = CAPABILITIES[spec.exchange], spec.connection.endpoint or Endpoint()
    return sorted({_port(endpoint.websocket, offer.websocket_port), _port(endpoint.rest, offer.rest_port)})


def _port(address: str | None, default: int) -> int:
    if address is None:
        return default
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme in ("wss", "https") else 80)


def _tcp(ports: Iterable[int]) -> list[Document]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


_DNS: Document = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
