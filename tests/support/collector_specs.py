"""A dozen very different specs of a MarketCollector. A change between two of them uses most of the operator.

The previous release (tests/upgrade/previous) accepts all of them, so that upgrades can start from them.
"""

from typing import Any

Spec = dict[str, Any]
MAJORS = ["ADA-USDT", "BTC-USDT", "DOGE-USDT", "ETH-USDT"]


def _file(directory: str, **fields: Any) -> Spec:
    return {"name": directory.strip("/"), "type": "file", "file": {"directory": directory, **fields}}


SPECS: dict[str, Spec] = {
    "plain": {"symbol": "BTC-USDT", "dataTypes": ["trade", "orderbook", "ticker"]},
    "one symbol as a list": {"symbols": ["BTC-USDT"], "dataTypes": ["trade"]},
    "all data types": {
        "symbol": "ETH-USDT",
        "dataTypes": ["trade", "orderbook", "ticker", "candle"],
        "orderbook": {"depth": 400},
        "candle": {"intervals": ["1m", "1h"]},
    },
    "shards": {"symbols": MAJORS, "dataTypes": ["trade"], "shards": 3},
    "replicas": {"symbols": MAJORS[:2], "dataTypes": ["orderbook"], "replicas": 2, "shards": 2},
    "files": {
        "symbol": "BTC-USDT",
        "dataTypes": ["trade"],
        "sinks": [
            {"name": "out", "type": "stdout"},
            _file("/data", compression="zstd", rotate={"size": "1Mi", "interval": "1m"}),
        ],
    },
    "a claim": {"symbol": "BTC-USDT", "dataTypes": ["trade"], "sinks": [_file("/data", claimName="disk")]},
    "suspended": {"symbol": "BTC-USDT", "dataTypes": ["trade"], "suspend": True},
    "a template": {
        "symbol": "BTC-USDT",
        "dataTypes": ["trade"],
        "template": {
            "labels": {"team": "a"},
            "annotations": {"note": "b"},
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}},
            "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"nodeAffinity": {}},
            "env": [{"name": "A", "value": "1"}, {"name": "B"}],
            "imagePullSecrets": [{"name": "registry"}],
            "serviceAccountName": "default",
        },
    },
    "an image": {"symbol": "BTC-USDT", "dataTypes": ["trade"], "template": {"image": "registry.test/collector:1"}},
    "a connection": {
        "symbol": "BTC-USDT",
        "dataTypes": ["ticker"],
        "autoRestart": False,
        "connection": {"pingInterval": "5s", "maxReconnectAttempts": 3, "backoff": {"initial": "2s", "max": "9s"}},
    },
    "talkative": {
        "symbol": "BTC-USDT",
        "dataTypes": ["trade"],
        "logLevel": "debug",
        "storeRawData": True,
        "staleAfter": "5m",
        "healthCheckInterval": "1m30s",
    },
}
