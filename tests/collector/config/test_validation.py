"""Everything that is wrong with a document is found, once, at its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.config.validation import Capabilities, Fault, counted, faults, path_text, shown
from market_collector.model.streams import DataType

OFFERS = {"okx": Capabilities(frozenset(DataType), (5, 400), ("1m", "1h"))}
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


def found(document: object) -> list[tuple[str, str]]:
    return [(path_text(fault.path), fault.text) for fault in faults(document, OFFERS)]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "shards": 2},
        {"dataTypes": ["orderbook", "candle"], "orderbook": {"depth": 5}, "candle": {"intervals": ["1m", "1h"]}},
        {"connection": {"backoff": {"initial": "1m", "max": "1m"}, "endpoint": {"websocket": "ws://127.0.0.1:1"}}},
        {"sinks": [{"name": "out", "type": "stdout"}, FILE]},
        {"staleAfter": "1h", "healthCheckInterval": "10m", "replicas": 5, "logLevel": "debug"},
        {"template": {"labels": {"a": "b"}, "anything": [1, {"x": None}]}},
    ],
)
def test_a_good_spec_has_no_faults(spec: dict[str, Any]) -> None:
    assert found(resource(**spec)) == []


@pytest.mark.parametrize(
    ("spec", "path", "text"),
    [
        ({"exchange": "okex"}, "spec.exchange", '"okex" is not an exchange; allowed: okx'),
        ({"exchange": None}, "spec.exchange", "is required but missing"),
        ({"exchange": 3}, "spec.exchange", 'must be text, not a number (3); put it in quotes: "3"'),
        ({"symbols": ["BTC-USDT"]}, "spec.symbols", "exactly one of the two"),
        ({"symbol": None}, "spec.symbol", "exactly one of the two"),
        ({"symbol": "BTCUSDT"}, "spec.symbol", '"BTCUSDT" is not a symbol; allowed: BASE-QUOTE'),
        ({"symbol": "BTC-USDT\n"}, "spec.symbol", "is not a symbol"),
        ({"symbol": "A-" + "B" * 39}, "spec.symbol", "is not a symbol"),
        ({"symbol": None, "symbols": []}, "spec.symbols", "has 0 items; allowed: 1 to 500"),
        ({"symbol": None, "symbols": ["A-B", "C-D", "A-B"]}, "spec.symbols[2]", "stands here twice"),
        ({"symbol": None, "symbols": {"A-B": 1}}, "spec.symbols", "must be a list, not a mapping"),
        ({"symbol": None, "symbols": ["A-B", None]}, "spec.symbols[1]", "must be text, not null"),
        (
            {"dataTypes": ["trade", "trades"]},
            "spec.dataTypes[1]",
            '"trades" is not a data type; allowed: trade, orderbook, ticker, candle, balance',
        ),
        (
            {"dataTypes": ["balance"]},
            "spec.credentials",
            "is required with data type balance: credentials: {secretName: NAME}",
        ),
        ({"credentials": {"secretName": "key"}}, "spec.credentials", "is allowed only when dataTypes holds balance"),
        ({"orderbook": {}}, "spec.orderbook", "only when dataTypes holds orderbook"),
        ({"candle": {}}, "spec.candle", "only when dataTypes holds candle"),
        (
            {"dataTypes": ["orderbook"], "orderbook": {"depth": 50}},
            "spec.orderbook.depth",
            "okx has no book of 50 levels; allowed: 5, 400",
        ),
        (
            {"dataTypes": ["candle"], "candle": {"intervals": ["1m", "1w"]}},
            "spec.candle.intervals[1]",
            "okx has no candles of 1w; allowed: 1m, 1h",
        ),
        ({"dataTypes": ["candle"], "candle": {"intervals": ["7m"]}}, "spec.candle.intervals[0]", "allowed: 1s, 1m"),
        ({"storeRawData": "yes"}, "spec.storeRawData", 'must be true or false, not text ("yes")'),
        ({"staleAfter": "2h"}, "spec.staleAfter", '"2h" is not a duration; allowed: 1s to 1h'),
        ({"staleAfter": "60"}, "spec.staleAfter", "is not a duration"),
        ({"staleAfter": 60}, "spec.staleAfter", 'must be text, not a number (60); put it in quotes: "60"'),
        ({"healthCheckInterval": "999ms"}, "spec.healthCheckInterval", "allowed: 1s to 10m"),
        ({"connection": {"pingInterval": "26s"}}, "spec.connection.pingInterval", "allowed: 1s to 25s"),
        ({"connection": {"maxReconnectAttempts": -1}}, "spec.connection.maxReconnectAttempts", "allowed: 0 to 1000000"),
        ({"connection": {"maxReconnectAttempts": True}}, "spec.connection.maxReconnectAttempts", "a whole number"),
        ({"connection": {"backoff": {"initial": "9ms"}}}, "spec.connection.backoff.initial", "allowed: 10ms to 1m"),
        (
            {"connection": {"backoff": {"initial": "30s", "max": "10s"}}},
            "spec.connection.backoff.initial",
            "initial at most max",
        ),
        (
            {"connection": {"endpoint": {"websocket": "http://x"}}},
            "spec.connection.endpoint.websocket",
            "allowed: ws://HOST:PORT or wss://HOST:PORT",
        ),
        ({"sinks": []}, "spec.sinks", "has 0 items; allowed: 1 to 8"),
        ({"sinks": [{"name": "a", "type": "kafka"}]}, "spec.sinks[0].type", "allowed: stdout, file"),
        ({"sinks": [{"name": "a", "type": "file"}]}, "spec.sinks[0].file", "is required for type file"),
        ({"sinks": [{**FILE, "type": "stdout"}]}, "spec.sinks[0].file", "only for type file"),
        ({"sinks": [FILE, {**FILE, "file": {"directory": "/d"}}]}, "spec.sinks[1].name", "names another sink too"),
        ({"sinks": [FILE, {**FILE, "name": "g"}]}, "spec.sinks[1].file.directory", "is another sink's too"),
        (
            {"sinks": [{**FILE, "file": {"directory": "data"}}]},
            "spec.sinks[0].file.directory",
            "is not a directory; allowed: an absolute path",
        ),
        ({"sinks": [{**FILE, "file": {"directory": "/proc/x"}}]}, "spec.sinks[0].file.directory", "is the system's"),
        (
            {"sinks": [{**FILE, "file": {"directory": "/data", "rotate": {"size": "1G"}}}]},
            "spec.sinks[0].file.rotate.size",
            "is not a size; allowed: a number with Ki, Mi or Gi",
        ),
        (
            {"sinks": [{**FILE, "file": {"directory": "/data", "claimName": "c"}}], "replicas": 2},
            "spec.replicas",
            "2 pods would write to one claim",
        ),
        ({"shards": 2}, "spec.shards", "2 shards for 1 symbol; allowed: at most one shard a symbol"),
        ({"shards": 65}, "spec.shards", "allowed: 1 to 64"),
        ({"replicas": 0}, "spec.replicas", "allowed: 1 to 5"),
        ({"datatypes": []}, "spec.datatypes", "there is no such field (did you mean dataTypes?); allowed: exchange,"),
        ({"template": []}, "spec.template", "must be a mapping"),
        ({"connection": "fast"}, "spec.connection", 'must be a mapping (field: value), not text ("fast")'),
        ({"logLevel": "trace"}, "spec.logLevel", '"trace" is not known; allowed: debug, info, warning, error'),
    ],
)
def test_a_fault_says_where_it_is_and_what_is_allowed(spec: dict[str, Any], path: str, text: str) -> None:
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


def test_one_mistake_is_not_reported_twice() -> None:
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
def test_what_is_no_resource_is_said(document: object, path: str) -> None:
    assert path in [place for place, _ in found(document)]


def test_other_metadata_and_status_are_kubernetes_matter() -> None:
    document = resource() | {"status": {"conditions": []}}
    document["metadata"] |= {"labels": {"a": "b"}, "uid": "1", "managedFields": []}
    assert found(document) == []


def test_a_path_reads_as_it_is_written() -> None:
    assert path_text(("spec", "sinks", 0, "file")) == "spec.sinks[0].file"
    assert path_text(()) == ""


def test_long_values_are_shown_short() -> None:
    assert len(shown("x" * 1000)) == 60
    assert shown("a\nb") == '"a\\nb"'


def test_one_is_not_a_plural() -> None:
    assert (counted(1, "item"), counted(0, "item")) == ("1 item", "0 items")


def test_faults_are_records() -> None:
    assert faults([], OFFERS) == [Fault((), "must be a mapping (field: value), not a list")]


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
