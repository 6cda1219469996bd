from collections.abc import Callable
from typing import Any

import pytest

from market_operator.errors import SpecError
from market_operator.manifests.build import build_desired_state
from market_operator.manifests.desired_state import DesiredState
from market_operator.manifests.networkpolicy import NetworkRules
from market_operator.manifests.shard import PodSettings
from market_operator.resource.document import Resource

KINDS = {"ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"}
SYMBOLS = ["ADA-USDT", "BTC-USDT", "ETH-USDT", "SOL-USDT"]


def kinds(desired: DesiredState) -> list[tuple[str, str]]:
    return [(child["kind"], child["metadata"]["name"]) for child in desired.children]


def test_shard_is_a_configmap_a_service_and_a_deployment_in_this_order(resource: Callable[..., Resource]) -> None:
    found = kinds(build_desired_state(resource(), "image"))
    assert [kind for kind, _ in found] == ["ConfigMap", "Service", "Deployment"]
    assert found[1:] == [("Service", "okx-btc-0"), ("Deployment", "okx-btc-0")]


def test_shard_has_a_disruption_budget_only_with_several_replicas(resource: Callable[..., Resource]) -> None:
    found = kinds(build_desired_state(resource(symbols=SYMBOLS, shards=2, replicas=2), "image"))
    assert [name for kind, name in found if kind == "PodDisruptionBudget"] == ["okx-btc-0", "okx-btc-1"]
    assert [kind for kind, _ in found][2::4] == ["PodDisruptionBudget"] * 2, "before the Deployment"
    assert "PodDisruptionBudget" not in dict(kinds(build_desired_state(resource(), "image")))


def test_network_policy_is_built_once_before_all_shards(resource: Callable[..., Resource]) -> None:
    found = kinds(build_desired_state(resource(symbols=SYMBOLS, shards=3), "image", NetworkRules()))
    assert [kind for kind, _ in found].count("NetworkPolicy") == 1
    assert found[0] == ("NetworkPolicy", "okx-btc-collectors")
    assert "NetworkPolicy" not in dict(kinds(build_desired_state(resource(), "image")))


def test_the_same_resource_gives_the_same_objects(resource: Callable[..., Resource]) -> None:
    assert build_desired_state(resource(), "image") == build_desired_state(resource(), "image")


def test_order_of_lists_in_the_spec_changes_nothing(resource: Callable[..., Resource]) -> None:
    one = build_desired_state(resource(symbols=SYMBOLS, dataTypes=["trade", "ticker"]), "image")
    other = build_desired_state(resource(symbols=SYMBOLS[::-1], dataTypes=["ticker", "trade"]), "image")
    assert one.children == other.children


def test_symbol_equals_symbols_with_one_entry(resource: Callable[..., Resource]) -> None:
    one, other = (
        build_desired_state(resource(symbol="A-B"), "image"),
        build_desired_state(resource(symbols=["A-B"]), "image"),
    )
    assert one.children == other.children


def test_added_symbol_changes_one_shard(resource: Callable[..., Resource]) -> None:
    many = [f"C{number}-USDT" for number in range(60)]
    before = set(kinds(build_desired_state(resource(symbols=many, shards=4), "image")))
    after = set(kinds(build_desired_state(resource(symbols=[*many, "NEW-USDT"], shards=4), "image")))
    assert [kind for kind, _ in before - after] == ["ConfigMap"]


def test_every_shard_has_a_template_hash(resource: Callable[..., Resource]) -> None:
    desired = build_desired_state(resource(symbols=SYMBOLS, shards=4), "image")
    assert len(set(desired.templates)) == 4


def test_the_image_of_the_resource_wins(resource: Callable[..., Resource]) -> None:
    assert build_desired_state(resource(template={"image": "own"}), "image").image == "own"
    assert build_desired_state(resource(), "image").image == "image"


def test_invalid_spec_is_refused(resource: Callable[..., Resource]) -> None:
    with pytest.raises(SpecError):
        build_desired_state(resource(shards=2), "image")


def test_common_labels_reach_every_object(resource: Callable[..., Resource]) -> None:
    settings = PodSettings(labels={"cost": "1"})
    found = resource(symbols=SYMBOLS, shards=2, replicas=2, commonLabels={"team": "markets"})
    children = build_desired_state(found, "image", NetworkRules(), settings).children
    assert {child["kind"] for child in children} == KINDS
    for child in children:
        labels = child["metadata"]["labels"]
        assert (labels["team"], labels["cost"]) == ("markets", "1")
        assert labels["app.kubernetes.io/managed-by"] == "market-operator"


def test_common_labels_change_no_selector(resource: Callable[..., Resource]) -> None:
    def selectors(**spec: Any) -> list[Any]:
        children = build_desired_state(resource(**spec), "image").children
        return [child["spec"].get("selector") for child in children if "spec" in child]

    assert selectors(commonLabels={"team": "markets"}) == selectors()
