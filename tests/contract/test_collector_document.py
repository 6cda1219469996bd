"""The collector accepts every document that the operator mounts, and reads all of its fields."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from market_collector.config.settings import Settings, load, read_settings
from market_operator.manifests.build import build_desired_state
from market_operator.resource.document import read_resource

SAMPLES = sorted((Path(__file__).parents[2] / "crds" / "samples").glob("*.yaml"))
FULL: dict[str, Any] = {
    "exchange": "okx",
    "symbols": ["BTC-USDT", "ETH-USDT", "SOL-USDT"],
    "dataTypes": ["trade", "orderbook", "ticker", "candle"],
    "orderbook": {"depth": 400, "snapshotInterval": "1m"},
    "candle": {"intervals": ["1h", "1m"]},
    "storeRawData": True,
    "auditVolumes": True,
    "autoRestart": False,
    "healthCheckInterval": "5s",
    "staleAfter": "90s",
    "connection": {
        "pingInterval": "7s",
        "maxReconnectAttempts": 9,
        "backoff": {"initial": "20ms", "max": "3m"},
        "endpoint": {"websocket": "ws://10.0.0.1:1", "rest": "http://10.0.0.1:2"},
    },
    "sinks": [
        {"name": "out", "type": "stdout"},
        {
            "name": "archive",
            "type": "file",
            "file": {
                "directory": "/data",
                "claimName": "archive",
                "rotate": {"size": "1Mi", "interval": "5m"},
                "compression": "zstd",
                "fsyncInterval": "0s",
            },
        },
    ],
    "shards": 2,
    "logLevel": "debug",
    "template": {"labels": {"team": "a"}},
}
LEAST: dict[str, Any] = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["ticker", "trade"]}


def resource(spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": "okx-btc", "namespace": "markets", "uid": "1", "resourceVersion": "1", "generation": 1},
        "spec": spec,
    }


def read(folder: Path, text: str) -> Settings:
    path = folder / "collector.json"
    path.write_text(text)
    (document,) = load(str(path))
    return read_settings(document)


def mounted(document: dict[str, Any]) -> list[str]:
    """The collector documents of all shards, as they stand in the ConfigMaps."""
    document["metadata"].setdefault("namespace", "default")
    document["metadata"] |= {"uid": "1", "resourceVersion": "1"}
    children = build_desired_state(read_resource(document), "collector:test").children
    return [child["data"]["collector.json"] for child in children if child["kind"] == "ConfigMap"]


@pytest.mark.parametrize("spec", [LEAST, FULL, {**FULL, "shards": 3}, {**FULL, "shards": 1}])
def test_shards_have_the_resources_settings_and_share_its_symbols(tmp_path: Path, spec: dict[str, Any]) -> None:
    document = resource(spec)
    whole = read(tmp_path, json.dumps(document))
    shards = [read(tmp_path, text) for text in mounted(document)]
    assert sorted(symbol for shard in shards for symbol in shard.symbols) == sorted(whole.symbols)
    for number, shard in enumerate(shards):
        expected = replace(whole, shard=number, symbols=shard.symbols, data_types=shard.data_types)
        assert shard == expected
        assert sorted(shard.data_types) == sorted(whole.data_types)


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.name for path in SAMPLES])
def test_every_sample_is_good_for_both(tmp_path: Path, sample: Path) -> None:
    for document in yaml.safe_load_all(sample.read_text()):
        if document["kind"] == "MarketCollector":
            whole = read(tmp_path, json.dumps(document))
            assert {read(tmp_path, text).name for text in mounted(document)} == {whole.name}


def test_the_document_is_plain_json_that_needs_no_yaml(tmp_path: Path) -> None:
    (text,) = mounted(resource(LEAST))
    assert json.loads(text)["contract"] == 1
