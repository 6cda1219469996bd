from collections.abc import Callable
from typing import Any

import pytest

from market_operator.manifests.networkpolicy import NetworkRules, exchange_ports, networkpolicy
from market_operator.resource.document import Resource
from market_operator.resource.spec import read_spec

OPERATOR = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "market-operator"}}}
SIBLINGS = {"podSelector": {"matchLabels": {"marketcollector.dev/collector": "okx-btc"}}}
PROMETHEUS = {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}}}


@pytest.fixture
def policy(resource: Callable[..., Resource]) -> Callable[..., Any]:
    """The spec of a resource's policy; keyword arguments are fields of the resource's spec."""

    def make(traffic: NetworkRules, **spec: Any) -> Any:
        found = resource(**spec)
        return networkpolicy(found, read_spec(found), traffic)["spec"]

    return make


def ports(rule: dict[str, Any]) -> list[tuple[int, str]]:
    return [(each["port"], each["protocol"]) for each in rule["ports"]]


def test_only_readers_reach_the_pods_and_only_on_the_http_port(policy: Callable[..., Any]) -> None:
    spec = policy(NetworkRules(readers=(OPERATOR, PROMETHEUS)))
    [way_in] = spec["ingress"]
    assert way_in["from"] == [OPERATOR, PROMETHEUS, SIBLINGS]
    assert ports(way_in) == [(8080, "TCP")]
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_ingress_stays_open_when_there_are_no_readers(policy: Callable[..., Any]) -> None:
    spec = policy(NetworkRules())
    assert spec["policyTypes"] == ["Egress"]
    assert "ingress" not in spec


def test_egress_allows_only_dns_the_exchange_and_pods_of_the_resource(policy: Callable[..., Any]) -> None:
    dns, exchange, siblings = policy(NetworkRules(readers=(OPERATOR,)))["egress"]
    assert siblings == {"to": [SIBLINGS], "ports": [{"port": 8080, "protocol": "TCP"}]}
    assert ports(dns) == [(53, "UDP"), (53, "TCP")]
    assert ports(exchange) == [(443, "TCP"), (8443, "TCP")]


def test_extra_egress_follows_the_builtin_rules(policy: Callable[..., Any]) -> None:
    rule = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": 3128}]}
    assert policy(NetworkRules(egress=(rule,)))["egress"][3:] == [rule]


def test_blocked_networks_are_excluded_from_the_exchange_rule(policy: Callable[..., Any]) -> None:
    """The tenant chooses the port, so that a policy by port would allow a cloud's metadata service."""
    endpoint = {"rest": "http://169.254.169.254"}
    rules = NetworkRules(readers=(OPERATOR,), blocked=("169.254.0.0/16", "fe80::/10"))
    dns, exchange, _ = policy(rules, connection={"endpoint": endpoint})["egress"]
    assert exchange["to"] == [
        {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}},
        {"ipBlock": {"cidr": "::/0", "except": ["fe80::/10"]}},
    ]
    assert ports(exchange) == [(80, "TCP"), (8443, "TCP")]
    assert "to" not in dns, "a DNS cache on the node has a link-local address"


def test_exchange_rule_has_both_families_when_one_has_blocked_networks(policy: Callable[..., Any]) -> None:
    exchange = policy(NetworkRules(blocked=("fd00:ec2::/32",)))["egress"][1]
    assert [each["ipBlock"]["cidr"] for each in exchange["to"]] == ["0.0.0.0/0", "::/0"]
    assert "except" not in exchange["to"][0]["ipBlock"]


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ({}, [443, 8443]),
        ({"websocket": "wss://h"}, [443]),
        ({"websocket": "ws://h", "rest": "http://h"}, [80]),
        ({"websocket": "ws://[::1]:9443/", "rest": "https://h:65535"}, [9443, 65535]),
        ({"rest": "http://h:8000"}, [8000, 8443]),
    ],
)
def test_endpoint_ports_replace_those_of_the_exchange(
    resource: Callable[..., Resource], endpoint: dict[str, str], expected: list[int]
) -> None:
    assert exchange_ports(read_spec(resource(connection={"endpoint": endpoint}))) == expected


def test_policy_selects_all_shards_and_belongs_to_the_resource(resource: Callable[..., Resource]) -> None:
    found = networkpolicy(resource(), read_spec(resource()), NetworkRules())
    assert found["spec"]["podSelector"] == {"matchLabels": {"marketcollector.dev/collector": "okx-btc"}}
    assert found["metadata"]["name"] == "okx-btc-collectors"
    assert "marketcollector.dev/shard" not in found["metadata"]["labels"]
    assert found["metadata"]["ownerReferences"][0]["uid"] == "uid-1"
