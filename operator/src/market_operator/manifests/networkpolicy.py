"""The NetworkPolicy of a resource's collectors."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from market_operator.manifests.shard import ORDINARY, PodSettings, common_labels, metadata
from market_operator.resource.document import Document, Resource
from market_operator.resource.naming import HTTP_PORT, policy_name, selector
from market_spec.connection import Endpoint
from market_spec.exchanges import CAPABILITIES
from market_spec.spec import Spec


@dataclass(frozen=True, slots=True)
class NetworkRules:
    """Traffic that NetworkPolicies allow in addition to DNS and the exchange.

    `readers` (NetworkPolicyPeers, including the operator) may reach the HTTP port; empty means everyone may.
    `egress` holds further NetworkPolicyEgressRules. `blocked` are networks (CIDR) that the exchange's rule leaves out;
    empty means that it allows every address.
    """

    readers: tuple[dict[str, Any], ...] = ()
    egress: tuple[dict[str, Any], ...] = ()
    blocked: tuple[str, ...] = ()


def networkpolicy(resource: Resource, spec: Spec, rules: NetworkRules, settings: PodSettings = ORDINARY) -> Document:
    """The policy of all shards. It allows ingress from readers, and egress to DNS, the exchange and `rules.egress`.

    Pods of the resource reach each other, because a new pod asks its predecessors for their positions.

    Without readers ingress stays open, because labels cannot select reads through the API server. A policy never blocks
    probes from the node.
    """
    siblings = {"podSelector": {"matchLabels": selector(resource.key.name)}}
    readers = {"from": [*rules.readers, siblings], "ports": _tcp([HTTP_PORT])}
    ingress = {"ingress": [readers]} if rules.readers else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(resource, policy_name(resource.key.name), common_labels(spec, settings)),
        "spec": {
            "podSelector": {"matchLabels": selector(resource.key.name)},
            "policyTypes": ["Ingress", "Egress"] if ingress else ["Egress"],
            **ingress,
            "egress": [
                _DNS,
                {**_everywhere_but(rules.blocked), "ports": _tcp(exchange_ports(spec))},
                {"to": [siblings], "ports": _tcp([HTTP_PORT])},
                *rules.egress,
            ],
        },
    }


def _everywhere_but(blocked: Iterable[str]) -> Document:
    """All addresses of both families but those in `blocked`."""
    networks = [ip_network(each) for each in blocked]
    if not networks:
        return {}
    families = {version: [str(each) for each in networks if each.version == version] for version in (4, 6)}
    return {"to": [_block("0.0.0.0/0", families[4]), _block("::/0", families[6])]}


def _block(cidr: str, excluded: list[str]) -> Document:
    return {"ipBlock": {"cidr": cidr, **({"except": excluded} if excluded else {})}}


def exchange_ports(spec: Spec) -> list[int]:
    """TCP ports of the exchange, from spec.connection.endpoint or the exchange's defaults."""
    defaults, endpoint = CAPABILITIES[spec.exchange], spec.connection.endpoint or Endpoint()
    return sorted({_port(endpoint.websocket, defaults.websocket_port), _port(endpoint.rest, defaults.rest_port)})


def _port(address: str | None, default: int) -> int:
    if address is None:
        return default
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme in ("wss", "https") else 80)


def _tcp(ports: Iterable[int]) -> list[Document]:
    return [{"port": port, "protocol": "TCP"} for port in ports]


_DNS: Document = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
