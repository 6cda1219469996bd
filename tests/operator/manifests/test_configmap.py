import json
from collections.abc import Callable
from typing import Any

import pytest

from market_operator.manifests.configmap import configmap, document
from market_operator.manifests.shard import Shard


def test_document_is_the_spec_as_the_user_wrote_it(shard: Callable[..., Shard]) -> None:
    found = document(shard(staleAfter="10s", connection={"endpoint": {"websocket": "ws://10.0.0.1:1"}}))
    assert (found["contract"], found["name"], found["namespace"], found["shard"]) == (1, "okx-btc", "md", 0)
    assert found["spec"] == {
        "exchange": "okx",
        "symbols": ["BTC-USDT"],
        "dataTypes": ["orderbook", "ticker", "trade"],
        "staleAfter": "10s",
        "connection": {"endpoint": {"websocket": "ws://10.0.0.1:1"}},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"replicas": 2},
        {"healthCheckInterval": "5s"},
        {"suspend": True},
        {"template": {"labels": {"a": "b"}}},
        {"staleAfter": "60s"},
        {"sinks": [{"name": "out", "type": "stdout"}]},
    ],
)
def test_operator_only_fields_restart_no_collector(shard: Callable[..., Shard], fields: dict[str, Any]) -> None:
    assert configmap(shard(**fields)) == configmap(shard())


def test_common_labels_are_not_in_the_document(shard: Callable[..., Shard]) -> None:
    labelled, plain = configmap(shard(commonLabels={"team": "markets"})), configmap(shard())
    assert (labelled["data"], labelled["metadata"]["name"]) == (plain["data"], plain["metadata"]["name"])


def test_defaults_of_a_list_item_restart_no_collector_when_written(shard: Callable[..., Shard]) -> None:
    """Earlier CRDs stored them in the resource."""
    written = {"rotate": {"size": "256Mi", "interval": "1h"}, "compression": "none", "fsyncInterval": "1s"}

    def with_file(**fields: Any) -> dict[str, Any]:
        return configmap(shard(sinks=[{"name": "a", "type": "file", "file": {"directory": "/data", **fields}}]))

    assert with_file(**written) == with_file()


def test_default_depth_of_the_exchange_restarts_no_collector(shard: Callable[..., Shard]) -> None:
    """The CRD once had it as a default, so that stored resources have it."""
    assert document(shard(orderbook={"depth": 400})) == document(shard(orderbook={}))


def test_the_name_changes_with_the_content(shard: Callable[..., Shard]) -> None:
    assert configmap(shard())["metadata"]["name"] != configmap(shard(logLevel="debug"))["metadata"]["name"]


def test_a_configmap_never_changes(shard: Callable[..., Shard]) -> None:
    found = configmap(shard())
    assert found["immutable"] is True
    assert json.loads(found["data"]["collector.json"])["spec"]["exchange"] == "okx"


@pytest.mark.parametrize("volume", [{"claimName": "disk"}, {"sizeLimit": "1Gi"}])
def test_volume_of_a_sink_is_not_in_the_document(shard: Callable[..., Shard], volume: dict[str, str]) -> None:
    sink = {"name": "a", "type": "file", "file": {"directory": "/data", **volume}}
    assert [*document(shard(sinks=[sink]))["spec"]["sinks"]] == [
        {"name": "a", "type": "file", "file": {"directory": "/data"}}
    ]


def test_balances_belong_to_the_first_shard(shard: Callable[..., Shard]) -> None:
    first = shard(dataTypes=["trade", "balance"], credentials={"secretName": "key"}, symbols=["A-B", "C-D"], shards=2)
    second = Shard(first.resource, first.spec, 1, ("C-D",), first.image)
    assert document(first)["spec"]["dataTypes"] == ["balance", "trade"]
    assert document(first)["spec"]["credentials"] == {"secretName": "key"}
    assert document(second)["spec"] == {"exchange": "okx", "symbols": ["C-D"], "dataTypes": ["trade"]}
