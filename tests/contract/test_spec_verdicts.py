"""Python and the API server judge every spec alike: the CRD's schema and CEL rules come from the rules in Python.

Here the API server is the generated CRD: its schema, its defaults and its CEL rules. The jsonschema library checks the
schema and refuses unknown fields, as kubectl does. Google's CEL library evaluates the rules. tests/cluster has a real
API server.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from market_spec.kinds import Findings
from market_spec.spec import read_spec

CRD = Path(__file__).parents[2] / "crds" / "marketcollectors.yaml"
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
            if schema.get("x-kubernetes-int-or-string"):
                more["type"] = ["integer", "string"]
            if isinstance(schema.get("pattern"), str):  # $ is the very end for the API server
                more["pattern"] = re.sub(r"\$\Z", r"\\Z", schema["pattern"])
            if schema.get("type") == "object" and "properties" in schema:
                more["additionalProperties"] = False
            return {key: strict(value) for key, value in schema.items()} | more
        case _:
            return schema


SCHEMA: Json = yaml.safe_load(CRD.read_text())["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
VALIDATOR = jsonschema.Draft202012Validator(strict(SCHEMA))


def api_server_accepts(spec: Json) -> bool:
    return VALIDATOR.is_valid(spec) and not any(broken(SCHEMA, defaulted(SCHEMA, spec)))


def defaulted(schema: Json, value: Any) -> Any:
    """The value with the schema's defaults filled in."""
    if isinstance(value, dict) and "properties" in schema:
        filled = {name: each["default"] for name, each in schema["properties"].items() if "default" in each} | value
        return {name: defaulted(schema["properties"][name], each) for name, each in filled.items()}
    if isinstance(value, list) and "items" in schema:
        return [defaulted(schema["items"], item) for item in value]
    return value


def broken(schema: Json, value: Any) -> Iterator[str]:
    """The messages of the CEL rules and map lists that the value breaks."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"] and not holds(rule["rule"], value):
            yield rule["message"]
    if isinstance(value, dict):
        for name, each in value.items():
            yield from broken(schema.get("properties", {}).get(name, {}), each)
    if isinstance(value, list) and "items" in schema:
        for keys in schema.get("x-kubernetes-list-map-keys", ()):
            if len({item[keys] for item in value}) < len(value):
                yield f"Duplicate value of {keys}"
        for item in value:
            yield from broken(schema["items"], item)


def holds(rule: str, value: Any) -> bool:
    """Whether a rule is true; the API server refuses also a value for which it cannot be evaluated."""
    return program(rule).eval(data={"self": value}).value() is True


@cache
def program(rule: str) -> Any:
    return cel.NewEnv(variables={"self": cel.Type.DYN}, extensions=[ext_strings.ExtStrings()]).compile(rule)


def python_accepts(spec: Json) -> bool:
    findings = Findings()
    accepted = read_spec(spec, findings) is not None
    assert accepted == (not findings.faults)
    return accepted


LEAST: Json = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
FILE: Json = {"name": "f", "type": "file", "file": {"directory": "/data"}}

ACCOUNT: Json = {"dataTypes": ["balance", "trade"], "credentials": {"secretName": "okx-key.live"}}


def file(**fields: Any) -> Json:
    return {"sinks": [{**FILE, "file": {"directory": "/data", **fields}}]}


def connection(**fields: Any) -> Json:
    return {"connection": fields}


def volume(name: str = "v", **kinds: Any) -> Json:
    return {"template": {"volumes": [{"name": name, **kinds}]}}


def variables(*fields: Json) -> list[Json]:
    return [{"template": {"env": [{"name": "A", **each}]}} for each in fields]


TERM: Json = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}, "namespaces": ["md"]}
SPREAD: Json = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
NODES: Json = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
REQUIRED, PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))


def template(**fields: Any) -> Json:
    return {"template": fields}


def node_affinity(**fields: Any) -> Json:
    return template(affinity={"nodeAffinity": fields})


def near(**fields: Any) -> Json:
    """Affinity to pods with a term with some fields changed."""
    return template(affinity={"podAffinity": {REQUIRED: [{**TERM, **fields}]}})


def mount(path: str, **fields: Any) -> Json:
    mounts = [{"name": "v", "mountPath": path, **fields}]
    return {"template": {**volume(emptyDir={})["template"], "volumeMounts": mounts}}


GOOD: list[Json] = [
    {},
    {"symbol": "BTC-USDT-PERP"},
    {"symbol": None, "symbols": ["BTC-USD-PERP-BTC", "BTC-USDT-250328", "BTC-USD-250328-BTC"]},
    {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT", "SOL-USDT", "1INCH-USDT"], "shards": 4},
    {"dataTypes": ["trade", "orderbook", "ticker", "candle"], "orderbook": {}, "candle": {}},
    {"symbol": "BTC-USDT-PERP", "dataTypes": ["funding", "markprice", "openinterest", "liquidation"]},
    {"symbol": "BTC-USDT-270326", "dataTypes": ["trade", "markprice"]},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": 400}},
    {"exchange": "binance", "dataTypes": ["orderbook"], "orderbook": {"depth": 1000}},
    {"exchange": "binance", "symbol": None, "symbols": ["BTC-USDT", "BTC-USDT-PERP"]},
    {
        "exchange": "binance",
        "symbol": "BTC-USDT-PERP",
        "dataTypes": ["funding", "markprice", "openinterest", "liquidation"],
    },
    {"exchange": "bybit", "symbol": "BTC-USDC-PERP", "dataTypes": ["candle"], "candle": {"intervals": ["1m", "1w"]}},
    {"dataTypes": ["orderbook"], "orderbook": {"snapshotInterval": "90s"}},
    ACCOUNT,
    {**ACCOUNT, "dataTypes": ["balance"]},
    {**ACCOUNT, "symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
    {"dataTypes": ["candle"], "candle": {"intervals": ["1s", "1m", "1w"]}},
    {"storeRawData": True, "autoRestart": False, "suspend": True, "replicas": 5},
    {"auditVolumes": True, "dataTypes": ["trade", "candle"]},
    {"auditVolumes": False},
    {"healthCheckInterval": "1s", "staleAfter": "1h"},
    {"healthCheckInterval": "9m60s", "staleAfter": "1000ms"},
    connection(pingInterval="25s", maxReconnectAttempts=1_000_000),
    connection(backoff={"initial": "10ms", "max": "10m"}),
    connection(backoff={"initial": "60s", "max": "1m"}),
    connection(endpoint={"websocket": "ws://h:1", "rest": "https://h/"}),
    connection(endpoint={"websocket": "wss://10.0.0.1:65535/", "rest": "http://[::1]:8443"}),
    connection(endpoint={}),
    {**ACCOUNT, **connection(endpoint={"websocket": "wss://h:1", "rest": "https://h"})},
    {**ACCOUNT, **connection(endpoint={"websocket": "ws://127.0.0.1:1", "rest": "http://[::1]:1/"})},
    {**ACCOUNT, **connection(endpoint={"websocket": "ws://h", "allowPlainLogin": True})},
    {"sinks": [{"name": "a", "type": "stdout"}, {"name": "b", "type": "stdout"}, FILE]},
    file(claimName="a.b-c", compression="zstd", fsyncInterval="0s"),
    file(rotate={"size": "1Ki", "interval": "24h"}, compression="gzip"),
    file(directory="/var/lib/market-data/a_b.c"),
    {"logLevel": "debug"},
    {"template": {"labels": {"team": "a"}, "env": [{"name": "A"}], "image": "a:b", "affinity": {}}},
    *variables(
        {"value": "x"},
        {"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.labels['team']"}}},
        {"valueFrom": {"secretKeyRef": {"name": "s", "key": "a.b", "optional": True}}},
        {"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
    ),
    {"template": {"env": [{"name": "https_proxy", "value": "http://proxy:3128"}, {"name": "OLD_X", "value": "a:b@c"}]}},
    {"commonLabels": {"team": "a"}, "template": {"imagePullPolicy": "Never", "dnsConfig": {"options": []}}},
    {"template": {"hostAliases": [{"ip": "10.0.0.1"}], "runtimeClassName": "gvisor"}},
    file(sizeLimit="10Gi"),
    {"template": {"annotations": {"apparmor.security.beta.kubernetes.io/x": "1", "container.apparmor": "2"}}},
    {"template": {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "tolerations": [{"operator": "Exists"}]}},
    volume(configMap={"name": "ca", "items": [{"key": "a", "path": "b/.c", "mode": 0}], "optional": True}),
    volume(emptyDir={"medium": "Memory", "sizeLimit": 1024}),
    volume(projected={"sources": [{"secret": {"name": "s"}}, {"configMap": {"name": "c"}}]}),
    mount("/tls", subPath=".dockerconfigjson", readOnly=True),
    {**mount("/data2"), "sinks": [FILE]},
    template(tolerations=[{"key": "a", "value": "b", "effect": "NoExecute", "tolerationSeconds": 0}, {}]),
    template(tolerations=[], topologySpreadConstraints=[]),
    node_affinity(**{REQUIRED: {"nodeSelectorTerms": [NODES, {}]}, PREFERRED: [{"weight": 1, "preference": NODES}]}),
    node_affinity(),
    near(),
    near(labelSelector={}, namespaceSelector={"matchExpressions": [{"key": "a", "operator": "Exists"}]}),
    template(affinity={"podAntiAffinity": {PREFERRED: [{"weight": 100, "podAffinityTerm": TERM}]}}),
    template(topologySpreadConstraints=[SPREAD, {**SPREAD, "minDomains": 2, "nodeTaintsPolicy": "Honor"}]),
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
    {"symbol": "BTC-USDT-SWAP"},
    {"symbol": "BTC-USDT-PERP-USDT"},
    {"symbol": "BTC-USD-PERP"},
    {"symbol": "BTC-USD-PERP-ETH"},
    {"symbol": None, "symbols": ["BTC-USDT", "BTC-USDT-250328-BTC"]},
    {"symbol": "BTC-USDT-251328"},
    {"symbol": "BTC-USDT-250328-USDT-USDT"},
    {"symbol": None, "symbols": ["BTC-USDT", "BTC-USD-250328-60000-C"]},
    {"symbol": "A-" + "B" * 39},
    {"symbol": None, "symbols": []},
    {"symbol": None, "symbols": ["A-B", "A-B"]},
    {"symbol": None, "symbols": "A-B"},
    {"symbol": None, "symbols": [f"A-B{n}" for n in range(501)]},
    {"dataTypes": None},
    {"dataTypes": []},
    {"dataTypes": "trade"},
    {"dataTypes": ["trades"]},
    {"dataTypes": ["trade", "funding"]},
    {"symbol": "BTC-USDT-270326", "dataTypes": ["funding"]},
    {"symbol": None, "symbols": ["BTC-USDT-PERP", "BTC-USDT"], "dataTypes": ["openinterest"]},
    {"dataTypes": ["liquidation"]},
    {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "dataTypes": ["markprice"]},
    {"dataTypes": ["trade", "trade"]},
    {"dataTypes": ["balance"]},
    {"credentials": {"secretName": "okx-key"}},
    {"dataTypes": ["balance"], "credentials": {}},
    {"dataTypes": ["balance"], "credentials": {"secretName": "A"}},
    {"dataTypes": ["balance"], "credentials": {"secretName": "a", "apiKey": "b"}},
    {**ACCOUNT, "dataTypes": ["balance"], "symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
    {"orderbook": {}},
    {"candle": {}},
    {"dataTypes": ["trade", "quote"]},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": 5}},
    {"exchange": "binance", "dataTypes": ["orderbook"], "orderbook": {"depth": 400}},
    {"exchange": "bybit", "dataTypes": ["candle"], "candle": {"intervals": ["1m", "1s"]}},
    {"exchange": "bybit", "dataTypes": ["trade"], "symbol": "BTC-USDT-270326"},
    {"exchange": "bybit", "dataTypes": ["trade"], "symbol": "BTC-USD-PERP-BTC"},
    {"exchange": "bybit", "dataTypes": ["orderbook"], "orderbook": {"depth": 400}},
    {"exchange": "binance", "dataTypes": ["markprice"]},
    {"exchange": "binance", "dataTypes": ["funding"], "symbol": None, "symbols": ["BTC-USDT-PERP", "BTC-USDT"]},
    {"exchange": "binance", "symbol": "BTC-USDT-270326"},
    {"exchange": "binance", "symbol": "BTC-USD-PERP-BTC"},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": 0}},
    {"dataTypes": ["orderbook"], "orderbook": {"snapshotInterval": "0s"}},
    {"dataTypes": ["orderbook"], "orderbook": {"snapshotInterval": 60}},
    {"dataTypes": ["orderbook"], "orderbook": {"depth": "400"}},
    {"dataTypes": ["orderbook"], "orderbook": {"levels": 400}},
    {"dataTypes": ["candle"], "candle": {"intervals": []}},
    {"dataTypes": ["candle"], "candle": {"intervals": ["1m", "1m"]}},
    {"dataTypes": ["candle"], "candle": {"intervals": ["7m"]}},
    {"storeRawData": "true"},
    {"auditVolumes": "true"},
    {"auditVolumes": True},
    {"auditVolumes": True, "dataTypes": ["trade", "candle"], "candle": {"intervals": ["5m"]}},
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
    {**ACCOUNT, **connection(endpoint={"websocket": "ws://h:1"})},
    {**ACCOUNT, **connection(endpoint={"rest": "http://h:1"})},
    {**ACCOUNT, **connection(endpoint={"websocket": "ws://localhost.example"})},
    {**ACCOUNT, **connection(endpoint={"websocket": "ws://127.0.0.1.example"})},
    {**ACCOUNT, **connection(endpoint={"websocket": "ws://h:1", "allowPlainLogin": False})},
    connection(endpoint={"allowPlainLogin": "true"}),
    connection(pingTimeout="1s"),
    {"connection": []},
    {"template": {"env": [{"name": "PYTHONPATH", "value": "/x"}]}},
    {"template": {"env": [{"name": "LD_PRELOAD"}]}},
    {"template": {"env": [{"name": "OPENSSL_CONF", "value": "/x"}]}},
    {"template": {"env": [{"name": "GCONV_PATH", "value": "/x"}]}},
    {"template": {"env": [{"name": "PATH", "value": "/x"}]}},
    {"template": {"env": [{"name": "Https_Proxy", "value": "user:pass@proxy"}]}},
    {"template": {"env": [{"name": "SSLKEYLOGFILE", "value": "/x"}]}},
    {"template": {"env": [{"name": "HTTPS_PROXY", "value": "http://user:pass@proxy:3128"}]}},
    {"template": {"env": [{"name": "http_proxy", "value": "user:pass@proxy"}]}},
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
    {"template": {"resources": {"limits": {"cpu": 0.5}}}},
    {"replicas": 6},
    {"replicas": "1"},
    {"suspend": "no"},
    {"logLevel": "trace"},
    {"datatypes": ["trade"]},
    {"template": []},
    {"template": {"lables": {}}},
    {"template": {"labels": {"marketcollector.dev/shard": "1"}}},
    {"template": {"labels": {"app.kubernetes.io/name": "x"}}},
    {"template": {"labels": {"a": "b" * 64}}},
    {"template": {"annotations": {"marketcollector.dev/x": "1"}}},
    {"template": {"annotations": {"container.apparmor.security.beta.kubernetes.io/collector": "unconfined"}}},
    {"template": {"annotations": {str(number): "" for number in range(33)}}},
    {"template": {"env": [{"name": "POD_UID"}]}},
    *variables(
        {"value": "", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"valueFrom": {}},
        {"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}, "secretKeyRef": {"name": "s", "key": "k"}}},
        {"valueFrom": {"secretKeyRef": {"name": "s"}}},
        {"valueFrom": {"secretKeyRef": {"name": "s", "key": "a/b"}}},
        {"valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}},
        {"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
    ),
    {"commonLabels": {"marketcollector.dev/shard": "1"}},
    {"commonLabels": {"app.kubernetes.io/managed-by": "x"}},
    {"commonLabels": {"a": "b" * 64}},
    file(sizeLimit="much"),
    file(sizeLimit="1Gi", claimName="disk"),
    {"template": {"imagePullPolicy": "Sometimes"}},
    {"template": {"hostAliases": {}}},
    {"template": {"env": [{"name": "A"}, {"name": "A"}]}},
    {"template": {"env": [{"name": "1A"}]}},
    {"template": {"image": "a b"}},
    {"template": {"resources": {"limits": {"cpu": "much"}}}},
    {"template": {"tolerations": ["a"]}},
    template(tolerations=[{"key": 1}]),
    template(tolerations=[{"effect": "NoExec"}]),
    template(tolerations=[{"operator": "In"}]),
    template(tolerations=[{"tolerationSeconds": "60"}]),
    template(tolerations=[{"tolerationSeconds": 2**31}]),
    template(tolerations=[{"seconds": 60}]),
    template(tolerations=[{}] * 17),
    template(affinity={"nodeAffinty": {}}),
    template(affinity=[]),
    node_affinity(**{REQUIRED: {}}),
    node_affinity(**{REQUIRED: {"nodeSelectorTerms": []}}),
    node_affinity(**{REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Near"}]}]}}),
    node_affinity(**{REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"operator": "Exists"}]}]}}),
    node_affinity(**{PREFERRED: [{"weight": 0, "preference": NODES}]}),
    node_affinity(**{PREFERRED: [{"weight": 1}]}),
    near(topologyKey=None),
    near(namespaces=["Not a name"]),
    near(labelSelector={"matchLabels": {"a": 1}}),
    near(labelSelector={"matchExpressions": [{"key": "a", "operator": "Gt"}]}),
    near(labels={}),
    template(topologySpreadConstraints=[{**SPREAD, "maxSkew": 0}]),
    template(topologySpreadConstraints=[{"maxSkew": 1}]),
    template(topologySpreadConstraints=[{**SPREAD, "whenUnsatisfiable": "Never"}]),
    template(topologySpreadConstraints=[{**SPREAD, "nodeAffinityPolicy": "Maybe"}]),
    {"template": {"hostNetwork": True}},
    {"template": {"containers": [{"name": "x"}]}},
    {"template": {"volumeMounts": [{"name": "v", "mountPath": "/tls"}]}},
    volume(),
    volume(emptyDir={}, secret={"secretName": "s"}),
    volume(hostPath={"path": "/"}),
    volume(emptyDir={"medium": "HugePages"}),
    volume(secret={"secretName": "s", "defaultMode": 512}),
    volume(secret={"secretName": "s", "items": [{"key": "k", "path": "../k"}]}),
    volume(projected={"sources": []}),
    volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}),
    volume("sink-0", emptyDir={}),
    volume("state", emptyDir={}),
    mount("/etc"),
    mount("/var"),
    mount("/tls", subPath="a/../b"),
    mount("/tls", subPathExpr="$(A)"),
    {**mount("/data/x"), "sinks": [FILE]},
]


def complete(fields: Json) -> Json:
    return {name: value for name, value in {**LEAST, **fields}.items() if value is not None}


@pytest.mark.parametrize("fields", GOOD)
def test_both_accept_a_valid_spec(fields: Json) -> None:
    spec = complete(fields)
    assert (api_server_accepts(spec), python_accepts(spec)) == (True, True)


@pytest.mark.parametrize("fields", BAD)
def test_both_refuse_an_invalid_spec(fields: Json) -> None:
    spec = complete(fields)
    assert (api_server_accepts(spec), python_accepts(spec)) == (False, False)


def with_newlines(value: Any) -> Iterator[Any]:
    """Copies of a value, each with a newline after one of its strings."""
    match value:
        case str():
            yield f"{value}\n"
        case dict():
            yield from ({**value, name: each} for name, inner in value.items() for each in with_newlines(inner))
        case list():
            yield from (
                [*value[:at], each, *value[at + 1 :]] for at, inner in enumerate(value) for each in with_newlines(inner)
            )


@pytest.mark.parametrize("fields", GOOD)
def test_both_agree_on_a_newline_after_any_string(fields: Json) -> None:
    """Python's own ``$`` also matches before it."""
    for spec in with_newlines(complete(fields)):
        assert api_server_accepts(spec) == python_accepts(spec), spec


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*GOOD, *BAD]), min_size=1, max_size=4))
def test_both_agree_on_any_mixture(parts: list[Json]) -> None:
    mixed: Json = {}
    for part in parts:
        mixed |= part
    spec = complete(mixed)
    assert api_server_accepts(spec) == python_accepts(spec)


def test_every_rule_is_broken_by_a_case() -> None:
    """Otherwise the comparison would not see a rule whose Python and CEL differ."""
    seen = {message for fields in BAD for message in messages(complete(fields))}
    refusals = {message for message in rule_messages(SCHEMA) if " is refused: " in message}
    assert {*rule_messages(SCHEMA)} - seen - refusals == {
        "spec.exchange is immutable; delete the resource and create another",
        "must be BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals, such as BTC-USDT",  # its pattern, too
    }


def messages(spec: Json) -> list[str]:
    return [*broken(SCHEMA, defaulted(SCHEMA, spec))] if VALIDATOR.is_valid(spec) else []


def rule_messages(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        schema = [*schema.values()]
    if isinstance(schema, list):
        for each in schema:
            yield from rule_messages(each)


@pytest.mark.parametrize("fields", BAD)
def test_python_reports_a_message_of_the_api_server(fields: Json) -> None:
    """One of several: Python skips a rule between fields when one of them has a fault of its own."""
    findings = Findings()
    read_spec(complete(fields), findings)
    texts = "\n".join(text for _, text in findings.faults)
    found = [each for each in messages(complete(fields)) if "Duplicate" not in each]
    assert not found or any(each in texts for each in found)


@pytest.mark.parametrize(
    ("symbol", "advice"),
    [
        ("BTC-USDT-SWAP", ". Write BTC-USDT-PERP"),
        ("btc_usdt", ". Write BTC-USDT"),
        ("BTC/USDT", ". Write BTC-USDT"),
        ("BTC-USD-260327-60000-C", ""),
        ("BTC", ""),
    ],
)
def test_api_server_names_the_canonical_symbol_like_python(symbol: str, advice: str) -> None:
    (rule,) = SCHEMA["properties"]["symbol"]["x-kubernetes-validations"]
    assert SCHEMA["properties"]["symbols"]["items"]["x-kubernetes-validations"] == [rule]
    assert not holds(rule["rule"], symbol)
    message = program(rule["messageExpression"]).eval(data={"self": symbol}).value()
    assert message == rule["message"] + advice
    findings = Findings()
    read_spec(complete({"symbol": symbol}), findings)
    assert message in findings.faults[0].text


NUMBERS = st.integers(0, 200_000).map(str)


@hypothesis_settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(NUMBERS, st.sampled_from(["ms", "s", "m", "h", "d", ""])), min_size=1, max_size=3))
def test_both_agree_on_any_duration(parts: list[tuple[str, str]]) -> None:
    text = "".join(number + unit for number, unit in parts)
    for fields in ({"staleAfter": text}, connection(backoff={"initial": text, "max": "1m"}), file(fsyncInterval=text)):
        spec = complete(fields)
        assert api_server_accepts(spec) == python_accepts(spec)


@hypothesis_settings(max_examples=100, deadline=None)
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
    assert api_server_accepts(spec) == python_accepts(spec)
