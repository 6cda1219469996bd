"""What the API server takes the collector takes, and what it refuses the collector refuses.

The API server is stood in for by its own schema (checked with jsonschema, unknown fields refused as kubectl does, set and
map lists unique) and by the operator's models, which state each CEL rule in Python as well; the rules themselves are
proved against a real API server in tests/cluster.
"""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import ValidationError

from market_collector.config.validation import Capabilities, faults
from market_collector.exchanges import EXCHANGES
from market_operator.resource.spec import Spec

CRD = Path(__file__).parents[2] / "crds" / "marketcollectors.yaml"
OFFERS = {name: Capabilities(each.offers, each.book_depths, each.candle_intervals) for name, each in EXCHANGES.items()}
Json = dict[str, Any]


def strict(schema: Any) -> Any:
    """A structural schema as the API server applies it, in plain JSON schema."""
    match schema:
        case list():
            return [strict(item) for item in schema]
        case dict():
            more: Json = {}
            if schema.get("x-kubernetes-list-type") == "set":
                more["uniqueItems"] = True
            if schema.get("type") == "object" and "properties" in schema:
                more["additionalProperties"] = False
            return {key: strict(value) for key, value in schema.items()} | more
        case _:
            return schema


SCHEMA = strict(
    yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def api_server_takes(spec: Json) -> bool:
    if not VALIDATOR.is_valid(spec):
        return False
    names = [sink["name"] for sink in spec.get("sinks", [])]
    if len(names) != len(set(names)):
        return False
    try:
        Spec.model_validate(spec)
    except ValidationError:
        return False
    return True


def collector_takes(spec: Json) -> bool:
    head = {"apiVersion": "marketcollector.dev/v1alpha1", "kind": "MarketCollector", "metadata": {"name": "a"}}
    return not faults({**head, "spec": spec}, OFFERS)


LEAST: Json = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
FILE: Json = {"name": "f", "type": "file", "file": {"directory": "/data"}}

ACCOUNT: Json = {"dataTypes": ["balance", "trade"], "credentials": {"secretName": "okx-key.live"}}


def file(**fields: Any) -> Json:
    return {"sinks": [{**FILE, "file": {"directory": "/data", **fields}}]}


def connection(**fields: Any) -> Json:
    return {"connection": fields}


GOOD: list[Json] = [
    {},
    {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT", "BTC-USDT-SWAP", "1INCH-USDT"], "shards": 4},
    {"dataTypes": ["trade", "orderbook", "ticker", "candle"], "orderbook": {}, "candle": {}},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": 400}},
    ACCOUNT,
    {**ACCOUNT, "dataTypes": ["balance"]},
    {**ACCOUNT, "symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
    {"dataTypes": ["candle"], "candle": {"intervals": ["1s", "1m", "1w"]}},
    {"storeRawData": True, "autoRestart": False, "suspend": True, "replicas": 5},
    {"healthCheckInterval": "1s", "staleAfter": "1h"},
    {"healthCheckInterval": "9m60s", "staleAfter": "1000ms"},
    connection(pingInterval="25s", maxReconnectAttempts=1_000_000),
    connection(backoff={"initial": "10ms", "max": "10m"}),
    connection(backoff={"initial": "60s", "max": "1m"}),
    connection(endpoint={"websocket": "ws://h:1", "rest": "https://h/"}),
    connection(endpoint={"websocket": "wss://10.0.0.1:65535/", "rest": "http://[::1]:8443"}),
    connection(endpoint={}),
    {"sinks": [{"name": "a", "type": "stdout"}, {"name": "b", "type": "stdout"}, FILE]},
    file(claimName="a.b-c", compression="zstd", fsyncInterval="0s"),
    file(rotate={"size": "1Ki", "interval": "24h"}, compression="gzip"),
    file(directory="/var/lib/market-data/a_b.c"),
    {"logLevel": "debug"},
    {"template": {"labels": {"team": "a"}}},
]
BAD: list[Json] = [
    {"exchange": None},
    {"exchange": "okex"},
    {"exchange": "OKX"},
    {"exchange": 1},
    {"symbol": None},
    {"symbols": ["ETH-USDT"]},
    {"symbol": "btc-usdt"},
    {"symbol": "BTCUSDT"},
    {"symbol": "A-"},
    {"symbol": "A-" + "B" * 39},
    {"symbol": None, "symbols": []},
    {"symbol": None, "symbols": ["A-B", "A-B"]},
    {"symbol": None, "symbols": "A-B"},
    {"symbol": None, "symbols": [f"A-B{n}" for n in range(501)]},
    {"dataTypes": None},
    {"dataTypes": []},
    {"dataTypes": "trade"},
    {"dataTypes": ["trades"]},
    {"dataTypes": ["trade", "trade"]},
    {"dataTypes": ["balance"]},
    {"credentials": {"secretName": "okx-key"}},
    {"dataTypes": ["balance"], "credentials": {}},
    {"dataTypes": ["balance"], "credentials": {"secretName": "A"}},
    {"dataTypes": ["balance"], "credentials": {"secretName": "a", "apiKey": "b"}},
    {**ACCOUNT, "dataTypes": ["balance"], "symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
    {"orderbook": {}},
    {"candle": {}},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": 5}},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": 0}},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": "400"}},
    {"dataTypes": ["orderbook"], "orderbook": {"levels": 400}},
    {"dataTypes": ["candle"], "candle": {"intervals": []}},
    {"dataTypes": ["candle"], "candle": {"intervals": ["1m", "1m"]}},
    {"dataTypes": ["candle"], "candle": {"intervals": ["7m"]}},
    {"storeRawData": "true"},
    {"autoRestart": 1},
    {"healthCheckInterval": "999ms"},
    {"healthCheckInterval": "601s"},
    {"healthCheckInterval": 30},
    {"staleAfter": "30"},
    {"staleAfter": "1.5s"},
    {"staleAfter": "-1s"},
    {"staleAfter": ""},
    {"staleAfter": "1h1ms"},
    {"staleAfter": "0000000000000030s"},
    connection(pingInterval="26s"),
    connection(maxReconnectAttempts=-1),
    connection(maxReconnectAttempts=1_000_001),
    connection(maxReconnectAttempts=True),
    connection(backoff={"initial": "9ms"}),
    connection(backoff={"initial": "61s", "max": "10m"}),
    connection(backoff={"max": "99ms"}),
    connection(backoff={"initial": "2s", "max": "1s"}),
    connection(backoff={"max": "500ms"}),
    connection(endpoint={"websocket": "http://h"}),
    connection(endpoint={"websocket": "ws://h/path"}),
    connection(endpoint={"rest": "ws://h"}),
    connection(endpoint={"websocket": "ws://:443"}),
    connection(endpoint={"websocket": "wss:///"}),
    connection(endpoint={"websocket": "ws://h:0"}),
    connection(endpoint={"rest": "http://h:65536"}),
    connection(endpoint={"rest": "http://user@h"}),
    connection(endpoint={"rest": "http://h:"}),
    connection(endpoint={"rest": "https://" + "h" * 250}),
    connection(pingTimeout="1s"),
    {"connection": []},
    {"sinks": []},
    {"sinks": [{"name": "a", "type": "kafka"}]},
    {"sinks": [{"name": "a"}]},
    {"sinks": [{"type": "stdout"}]},
    {"sinks": [{"name": "A", "type": "stdout"}]},
    {"sinks": [{"name": "", "type": "stdout"}]},
    {"sinks": [{"name": "a" * 64, "type": "stdout"}]},
    {"sinks": [{"name": "a", "type": "stdout"}] * 2},
    {"sinks": [{"name": f"a{n}", "type": "stdout"} for n in range(9)]},
    {"sinks": [{"name": "a", "type": "file"}]},
    {"sinks": [{**FILE, "type": "stdout"}]},
    {"sinks": [FILE, {**FILE, "name": "g"}]},
    {"sinks": [{**FILE, "file": {}}]},
    file(directory="data"),
    file(directory="/"),
    file(directory="/data/"),
    file(directory="/data/../etc"),
    file(directory="/etc"),
    file(directory="/proc/self"),
    file(directory="/" + "d" * 255),
    file(claimName="A"),
    file(claimName="a..b"),
    file(rotate={"size": "0Mi"}),
    file(rotate={"size": "256MB"}),
    file(rotate={"size": "1000000000Ki"}),
    file(rotate={"interval": "999ms"}),
    file(rotate={"interval": "25h"}),
    file(compression="lz4"),
    file(fsyncInterval="61s"),
    {**file(claimName="c"), "replicas": 2},
    {"shards": 2},
    {"shards": 0},
    {"shards": 65, "symbol": None, "symbols": [f"A-B{n}" for n in range(70)]},
    {"replicas": 0},
    {"replicas": 6},
    {"replicas": "1"},
    {"suspend": "no"},
    {"logLevel": "trace"},
    {"datatypes": ["trade"]},
    {"template": []},
]


def complete(fields: Json) -> Json:
    return {name: value for name, value in {**LEAST, **fields}.items() if value is not None}


@pytest.mark.parametrize("fields", GOOD)
def test_both_take_what_is_good(fields: Json) -> None:
    spec = complete(fields)
    assert (api_server_takes(spec), collector_takes(spec)) == (True, True)


@pytest.mark.parametrize("fields", BAD)
def test_both_refuse_what_is_bad(fields: Json) -> None:
    spec = complete(fields)
    assert (api_server_takes(spec), collector_takes(spec)) == (False, False)


@hypothesis_settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from([*GOOD, *BAD]), min_size=1, max_size=4))
def test_both_agree_on_any_mixture(parts: list[Json]) -> None:
    mixed: Json = {}
    for part in parts:
        mixed |= part
    spec = complete(mixed)
    assert api_server_takes(spec) == collector_takes(spec)


NUMBERS = st.integers(0, 200_000).map(str)


@hypothesis_settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.sampled_from(["ms", "s", "m", "h", "d", ""])), min_size=1, max_size=3))
def test_both_agree_on_any_duration(parts: list[tuple[str, str]]) -> None:
    text = "".join(number + unit for number, unit in parts)
    for fields in ({"staleAfter": text}, connection(backoff={"initial": text, "max": "1m"}), file(fsyncInterval=text)):
        spec = complete(fields)
        assert api_server_takes(spec) == collector_takes(spec)


@hypothesis_settings(max_examples=300, deadline=None)
@given(st.text("ABZ019-_ab/.", max_size=44), st.sampled_from(["symbol", "directory", "claimName", "sink"]))
def test_both_agree_on_any_name(text: str, place: str) -> None:
    spec = complete(
        {
            "symbol": {"symbol": text},
            "directory": file(directory=f"/{text}"),
            "claimName": file(claimName=text),
            "sink": {"sinks": [{"name": text, "type": "stdout"}]},
        }[place]
    )
    assert api_server_takes(spec) == collector_takes(spec)
