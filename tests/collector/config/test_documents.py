"""Every fault of a document is found once, at its place, with the value and the constraint."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.config.documents import CollectorDocument
from market_collector.config.resource import Resource
from market_spec.kinds import Findings
from market_spec.messages import path_text
from market_spec.section import Block

GOOD = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
FILE = {"name": "f", "type": "file", "file": {"directory": "/data"}}

FIELDS = st.sampled_from(
    ["spec", "contract", "exchange", "symbol", "symbols", "dataTypes", "sinks", "name", "type", "file", "directory"]
)


def resource(**spec: Any) -> dict[str, Any]:
    kept = {name: value for name, value in {**GOOD, **spec}.items() if value is not None}
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": "okx-btc"},
        "spec": kept,
    }


def found(document: Any) -> list[tuple[str, str]]:
    is_mounted = isinstance(document, dict) and "contract" in document
    findings = Findings()
    Block(CollectorDocument if is_mounted else Resource).read(document, (), findings)
    return [(path_text(path), text) for path, text in findings.faults]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "shards": 2},
        {"dataTypes": ["orderbook", "candle"], "orderbook": {"depth": 400}, "candle": {"intervals": ["1m", "1h"]}},
        {"connection": {"backoff": {"initial": "1m", "max": "1m"}, "endpoint": {"websocket": "ws://127.0.0.1:1"}}},
        {"sinks": [{"name": "out", "type": "stdout"}, FILE]},
        {"staleAfter": "1h", "healthCheckInterval": "10m", "replicas": 5, "logLevel": "debug"},
        {"template": {"labels": {"a": "b"}, "dnsConfig": {"anything": [1, {"x": None}]}}},
    ],
)
def test_a_valid_spec_has_no_faults(spec: dict[str, Any]) -> None:
    assert found(resource(**spec)) == []


@pytest.mark.parametrize(
    ("spec", "path", "text"),
    [
        ({"exchange": "okex"}, "spec.exchange", '"okex" is not allowed: must be okx, binance or bybit'),
        ({"exchange": None}, "spec.exchange", "is required"),
        ({"exchange": 3}, "spec.exchange", "3 is not allowed: must be okx"),
        (
            {"exchange": "OKX"},
            "spec.exchange",
            '"OKX" is not allowed: must be okx, binance or bybit. Did you mean okx?',
        ),
        ({"dataTypes": "trade"}, "spec.dataTypes", 'must be a list, not a string ("trade"). Write ["trade"]'),
        (
            {"symbols": ["BTC-USDT"]},
            "spec.symbols",
            "set exactly one of symbol (one) and symbols (a list) (both are set)",
        ),
        ({"symbol": None}, "spec.symbol", "set exactly one of symbol (one) and symbols (a list) (neither is set)"),
        ({"symbol": "BTCUSDT"}, "spec.symbol", '"BTCUSDT" is not a symbol: must be BASE-QUOTE, BASE-QUOTE-PERP or'),
        ({"symbol": "BTC-USDT\n"}, "spec.symbol", "is not a symbol"),
        ({"symbol": "A-" + "B" * 39}, "spec.symbol", "is not a symbol"),
        ({"symbol": None, "symbols": []}, "spec.symbols", "has 0 items: must have 1 to 500"),
        (
            {"symbol": None, "symbols": ["A-B", "C-D", "A-B"]},
            "spec.symbols[2]",
            '"A-B" is listed twice. List each only once',
        ),
        ({"symbol": None, "symbols": {"A-B": 1}}, "spec.symbols", "must be a list, not a mapping"),
        ({"symbol": None, "symbols": ["A-B", None]}, "spec.symbols[1]", "must be a string, not null"),
        (
            {"dataTypes": ["trade", "trades"]},
            "spec.dataTypes[1]",
            '"trades" is not allowed: must be trade, orderbook, ticker, candle, quote, balance, funding, markprice, openinterest or liquidation. Did you mean trade?',
        ),
        (
            {"dataTypes": ["balance"]},
            "spec.credentials",
            "credentials are required for, and only for, dataTypes with balance (dataTypes: balance)",
        ),
        (
            {"credentials": {"secretName": "key"}},
            "spec.credentials",
            "only for, dataTypes with balance (dataTypes: trade)",
        ),
        ({"orderbook": {}}, "spec.orderbook", "orderbook is only for dataTypes with orderbook (dataTypes: trade)"),
        ({"candle": {}}, "spec.candle", "candle is only for dataTypes with candle (dataTypes: trade)"),
        (
            {"dataTypes": ["orderbook"], "orderbook": {"depth": 50}},
            "spec.orderbook.depth",
            "okx offers order books of depth 400 (depth is 50)",
        ),
        (
            {"dataTypes": ["candle"], "candle": {"intervals": ["1m", "1y"]}},
            "spec.candle.intervals[1]",
            '"1y" is not allowed: must be 1s, 1m, 3m',
        ),
        ({"dataTypes": ["candle"], "candle": {"intervals": ["7m"]}}, "spec.candle.intervals[0]", "must be 1s, 1m"),
        ({"storeRawData": "yes"}, "spec.storeRawData", 'must be true or false, not a string ("yes")'),
        ({"staleAfter": "2h"}, "spec.staleAfter", '"2h" is out of range: must be 1s to 1h. Nearest: 1h'),
        ({"staleAfter": "60"}, "spec.staleAfter", "is not a duration: must be numbers with ms, s, m or h"),
        ({"staleAfter": 60}, "spec.staleAfter", "must be a duration from 1s to 1h, not a number (60). Write 60s"),
        ({"healthCheckInterval": "999ms"}, "spec.healthCheckInterval", "must be 1s to 10m. Nearest: 1s"),
        ({"connection": {"pingInterval": "26s"}}, "spec.connection.pingInterval", "must be 1s to 25s. Nearest: 25s"),
        (
            {"connection": {"maxReconnectAttempts": -1}},
            "spec.connection.maxReconnectAttempts",
            "-1 is out of range: must be 0 to 1000000. Nearest: 0",
        ),
        (
            {"connection": {"maxReconnectAttempts": True}},
            "spec.connection.maxReconnectAttempts",
            "must be an integer, not a boolean (true)",
        ),
        (
            {"connection": {"backoff": {"initial": "9ms"}}},
            "spec.connection.backoff.initial",
            "must be 10ms to 1m. Nearest: 10ms",
        ),
        (
            {"connection": {"backoff": {"initial": "30s", "max": "10s"}}},
            "spec.connection.backoff.initial",
            "initial must not be longer than max (initial is 30s, max is 10s)",
        ),
        (
            {"connection": {"endpoint": {"websocket": "http://x"}}},
            "spec.connection.endpoint.websocket",
            "must be ws://HOST:PORT or wss://HOST:PORT",
        ),
        ({"sinks": []}, "spec.sinks", "has 0 items: must have 1 to 8"),
        ({"sinks": [{"name": "a", "type": "kafka"}]}, "spec.sinks[0].type", "must be stdout or file"),
        (
            {"sinks": [{"name": "a", "type": "file"}]},
            "spec.sinks[0].file",
            "file is required for, and only for, a sink of type file (type is file)",
        ),
        ({"sinks": [{**FILE, "type": "stdout"}]}, "spec.sinks[0].file", "a sink of type file (type is stdout)"),
        ({"sinks": [FILE, {**FILE, "file": {"directory": "/d"}}]}, "spec.sinks[1].name", '"f" is listed twice'),
        (
            {"sinks": [FILE, {**FILE, "name": "g"}]},
            "spec.sinks[1].file.directory",
            'two sinks must not share a directory ("/data" is of sink f too)',
        ),
        (
            {"sinks": [{**FILE, "file": {"directory": "data"}}]},
            "spec.sinks[0].file.directory",
            "is not a directory: must be an absolute path",
        ),
        (
            {"sinks": [{**FILE, "file": {"directory": "/proc/x"}}]},
            "spec.sinks[0].file.directory",
            'a directory of the system; use one such as /data ("/proc/x")',
        ),
        (
            {"sinks": [{**FILE, "file": {"directory": "/data", "rotate": {"size": "1G"}}}]},
            "spec.sinks[0].file.rotate.size",
            "is not a size: must be a number with Ki, Mi or Gi",
        ),
        (
            {"sinks": [{**FILE, "file": {"directory": "/data", "claimName": "c"}}], "replicas": 2},
            "spec.replicas",
            "needs replicas 1: two pods would write the same files (replicas is 2, sink f has a claimName)",
        ),
        ({"shards": 2}, "spec.shards", "shards must not exceed the number of symbols (2 shards, 1 symbol)"),
        ({"shards": 65}, "spec.shards", "must be 1 to 64. Nearest: 64"),
        ({"replicas": 0}, "spec.replicas", "must be 1 to 5. Nearest: 1. To stop the collectors, set suspend"),
        ({"datatypes": []}, "spec.datatypes", "unknown field. Did you mean dataTypes? Allowed: exchange,"),
        ({"template": []}, "spec.template", "must be a mapping"),
        ({"connection": "fast"}, "spec.connection", 'must be a mapping (field: value), not a string ("fast")'),
        ({"template": {"lables": {}}}, "spec.template.lables", "unknown field. Did you mean labels?"),
        ({"template": {"hostNetwork": True}}, "spec.template.hostNetwork", "hostNetwork is refused: pods keep"),
        ({"template": {"env": [{"name": "POD_UID"}]}}, "spec.template.env[0].name", 'set by the operator ("POD_UID")'),
        (
            {"template": {"labels": {"app.kubernetes.io/name": "x"}}},
            "spec.template.labels.app.kubernetes.io/name",
            "are the operator's own",
        ),
        (
            {"template": {"resources": {"limits": {"cpu": "much"}}}},
            "spec.template.resources.limits.cpu",
            '"much" is not a quantity: must be a number with a unit, such as 100m or 1Gi',
        ),
        (
            {"template": {"resources": {"limits": {"cpu": 0.5}}}},
            "spec.template.resources.limits.cpu",
            'must be a quantity such as 100m or 1Gi, not a number (0.5). Write "500m"',
        ),
        (
            {"template": {"volumes": [{"name": "v"}]}},
            "spec.template.volumes[0]",
            "a volume needs exactly one of configMap, secret",
        ),
        (
            {"template": {"volumeMounts": [{"name": "v", "mountPath": "/tls"}]}},
            "spec.template.volumeMounts[0].name",
            'every volumeMount must name a volume of template.volumes ("v"; there is no volume)',
        ),
        (
            {
                "sinks": [FILE],
                "template": {
                    "volumes": [{"name": "v", "emptyDir": {}}],
                    "volumeMounts": [{"name": "v", "mountPath": "/data/x"}],
                },
            },
            "spec.template.volumeMounts[0].mountPath",
            'must not overlap ("/data/x" and "/data")',
        ),
        ({"logLevel": "trace"}, "spec.logLevel", '"trace" is not allowed: must be debug, info, warning or error'),
    ],
)
def test_a_fault_has_its_path_and_the_constraint(spec: dict[str, Any], path: str, text: str) -> None:
    faults_found = found(resource(**spec))
    assert [place for place, _ in faults_found] == [path]
    assert text in faults_found[0][1]


def test_all_faults_are_found_at_once() -> None:
    spec = {"exchange": "okex", "symbol": "btc", "dataTypes": ["trades"], "replicas": 9, "staleAfter": "1s", "x": 1}
    assert {path for path, _ in found(resource(**spec))} == {
        "spec.exchange",
        "spec.symbol",
        "spec.dataTypes[0]",
        "spec.replicas",
        "spec.x",
    }


def test_one_fault_is_not_reported_twice() -> None:
    spec = {"symbol": "btc", "shards": 2, "dataTypes": "trade", "orderbook": {}}
    assert {path for path, _ in found(resource(**spec))} == {"spec.symbol", "spec.dataTypes"}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ([], ""),
        ("text", ""),
        ({}, "apiVersion"),
        ({**resource(), "kind": "Pod"}, "kind"),
        ({**resource(), "apiVersion": "v1"}, "apiVersion"),
        ({**resource(), "metadata": {"name": "A_B"}}, "metadata.name"),
        ({**resource(), "metadata": {"name": "a", "namespace": "a.b"}}, "metadata.namespace"),
        ({**resource(), "spec": None}, "spec"),
        ({**resource(), "spec": []}, "spec"),
        ({"contract": 2, "name": "a", "namespace": "b", "shard": 0, "spec": GOOD}, "contract"),
        ({"contract": True, "name": "a", "namespace": "b", "shard": 0, "spec": GOOD}, "contract"),
        ({"contract": 1, "name": "a", "namespace": "b", "shard": 64, "spec": GOOD}, "shard"),
        ({"contract": 1, "name": "a", "namespace": "b", "spec": GOOD}, "shard"),
    ],
)
def test_a_document_of_another_form_is_refused(document: object, path: str) -> None:
    assert path in [place for place, _ in found(document)]


def test_other_metadata_and_status_are_left_to_kubernetes() -> None:
    document = resource() | {"status": {"conditions": []}}
    document["metadata"] |= {"labels": {"a": "b"}, "uid": "1", "managedFields": []}
    assert found(document) == []


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 99)
    | st.floats(0, 1)
    | st.sampled_from(["okx", "1s", "file", "", "A-B"]),
    # A null in a mapping never comes here: the reader leaves it out, as the API server does.
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner.filter(lambda it: it is not None), max_size=4)
    ),
    max_leaves=15,
)


@given(JUNK)
def test_junk_has_faults_and_never_a_traceback(junk: Any) -> None:
    assert found(junk)
    found({"contract": 1, "name": "a", "namespace": "b", "shard": 0, "spec": junk})
    found(resource(connection=junk, sinks=junk, candle=junk))
