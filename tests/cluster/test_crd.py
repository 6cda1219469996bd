"""The CRD as the API server applies it: accepted and refused specs, messages and defaults."""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from market_operator.resource.crd import crd
from market_spec.template import Template
from market_spec.volumes import ProjectedSource, Volume

FILE = {"name": "a", "type": "file", "file": {"directory": "/data"}}
DRY = "?dryRun=All"
BOOK = {"dataTypes": ["orderbook"]}


def document(name: str = "okx-btc", **spec: Any) -> dict[str, Any]:
    fields = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"], **spec}
    return {
        "apiVersion": "marketcollector.dev/v1alpha1",
        "kind": "MarketCollector",
        "metadata": {"name": name},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def file_sink(**fields: Any) -> list[dict[str, Any]]:
    return [{"name": "a", "type": "file", "file": {"directory": "/data", **fields}}]


def volume(source: dict[str, Any], name: str = "v") -> dict[str, Any]:
    return {"template": {"volumes": [{"name": name, **source}]}}


def variable(**fields: Any) -> dict[str, Any]:
    return {"template": {"env": [{"name": "A", **fields}]}}


def mount(path: str, **fields: Any) -> dict[str, Any]:
    return {
        "template": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "volumeMounts": [{"name": "v", "mountPath": path, **fields}],
        }
    }


ITEMS = [{"key": "ca.crt", "path": "certificates/ca.crt", "mode": 256}]
PROJECTED = {"sources": [{"secret": {"name": "s", "items": ITEMS}}, {"configMap": {"name": "c", "optional": True}}]}


PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
POD = {"podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "a"}}}}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
NODE = {"fieldRef": {"fieldPath": "spec.nodeName"}}
KEY = {"credentials": {"secretName": "okx-key"}}
ACCEPTED: list[dict[str, Any]] = [
    {},
    {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "shards": 2},
    {"symbol": None, "symbols": ["BTC-USDT-PERP", "BTC-USD-PERP-BTC", "BTC-USDT-270326", "BTC-USD-270326-BTC"]},
    {**BOOK, "orderbook": {}},
    {**BOOK, "orderbook": {"depth": 400}},
    {"dataTypes": ["candle", "trade"], "candle": {"intervals": ["1s", "1w"]}},
    {"dataTypes": ["balance", "trade"], **KEY, "symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
    {"dataTypes": ["balance"], **KEY},
    {"healthCheckInterval": "1s", "staleAfter": "1h"},
    {"connection": {"backoff": {"initial": "1m", "max": "1m"}, "pingInterval": "25s"}},
    {"connection": {"endpoint": {"websocket": "ws://10.0.0.1:8443", "rest": "http://10.0.0.1:8443"}}},
    {"sinks": [FILE, {"name": "out", "type": "stdout"}]},
    {"sinks": [FILE, {**FILE, "name": "b", "file": {"directory": "/data/b"}}]},
    {"sinks": file_sink(claimName="disk"), "replicas": 1},
    {"replicas": 5, "suspend": True, "logLevel": "debug"},
    {"template": {"labels": {"team": "a"}, "annotations": {"a": "b"}, "env": [{"name": "A", "value": "b"}]}},
    {"template": {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "tolerations": [{"operator": "Exists"}]}},
    {"template": {"tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute"}, {}]}},
    {"template": {"affinity": {"nodeAffinity": {}, "podAntiAffinity": {PREFERRED: [{"weight": 9, **POD}]}}}},
    {"template": {"topologySpreadConstraints": [{**SPREAD, "minDomains": 2, "nodeTaintsPolicy": "Honor"}]}},
    {"connection": {"endpoint": {"websocket": "wss://[2001:db8::1]:65535", "rest": "https://proxy.example.com/"}}},
    volume({"configMap": {"name": "ca-bundle", "items": ITEMS, "defaultMode": 0, "optional": True}}),
    volume({"secret": {"secretName": "client.certificate", "items": ITEMS}}),
    volume({"emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}),
    volume({"persistentVolumeClaim": {"claimName": "instruments", "readOnly": True}}),
    volume({"projected": PROJECTED}),
    mount("/tls", readOnly=True, subPath=".dockerconfigjson"),
    mount("/data2", subPath="a/b..c"),
    {**mount("/tls"), "sinks": [FILE]},
    variable(valueFrom={"secretKeyRef": {"name": "proxy", "key": "url", "optional": True}}),
    variable(valueFrom={"configMapKeyRef": {"name": "proxy", "key": "url"}}),
    variable(valueFrom={"fieldRef": {"fieldPath": "metadata.annotations['example.com/a']"}}),
    {"sinks": file_sink(sizeLimit="1Gi", fsyncInterval="0s"), "commonLabels": {"team": "a"}},
    {"sinks": file_sink(rotate={"size": "1Gi", "interval": "24h"})},
]

IMMUTABLE = "spec.exchange is immutable; delete the resource and create another"
REFUSED_VOLUMES = [each.name for each in Volume.refused]
REFUSED_OF_PODS = {
    "hostNetwork": True,
    "hostPID": True,
    "hostIPC": True,
    "securityContext": {"privileged": True},
    "automountServiceAccountToken": True,
    "containers": [{"name": "x", "image": "x"}],
    "initContainers": [{"name": "x", "image": "x"}],
}
TAKEN = (
    "/etc",
    "/etc/ssl",
    "/proc",
    "/etc/market-collector",
    "/var/lib/market-collector/x",
    "/var/lib",
    "/var",
    "/opt",
)
TOKEN = {"serviceAccountToken": {"path": "token"}}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"exchange": "mtgox"}, 'supported values: "okx", "binance", "bybit"'),
    ({"exchange": None}, "spec.exchange: Required value"),
    ({"dataTypes": None}, "spec.dataTypes: Required value"),
    ({"symbols": ["ETH-USDT"]}, "set exactly one of symbol (one) and symbols (a list)"),
    ({"symbol": None}, "set exactly one of symbol (one) and symbols (a list)"),
    ({"symbol": "btc/usdt"}, "spec.symbol in body should match"),
    ({"symbol": "btc/usdt"}, "such as BTC-USDT. Write BTC-USDT"),
    ({"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT-SWAP"]}, "such as BTC-USDT. Write ETH-USDT-PERP"),
    ({"symbol": "BTC-USD-PERP"}, "On okx the base settles contracts in USD"),
    ({"symbol": "BTC-USDT-PERP-USDT"}, "a symbol ends with the asset that settles it only if that is not the quote"),
    ({"symbol": None, "symbols": ["A-B", "A-B"]}, "Duplicate value"),
    ({"symbol": None, "symbols": [f"C{n}-USDT" for n in range(501)]}, "must have at most 500 items"),
    ({"dataTypes": ["balance"]}, "credentials are required for, and only for, dataTypes with balance"),
    ({"credentials": {"secretName": "key"}}, "credentials are required for, and only for, dataTypes with balance"),
    ({"dataTypes": ["balance"], "credentials": {}}, "secretName: Required value"),
    (
        {
            "dataTypes": ["balance"],
            "credentials": {"secretName": "key"},
            "connection": {"endpoint": {"rest": "http://proxy.internal:8080"}},
        },
        "with credentials, addresses must be wss",
    ),
    (
        {"dataTypes": ["balance"], **KEY, "symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
        "shards must be 1 when balance is the only data type: there is one account",
    ),
    (
        {"dataTypes": ["premium"]},
        'supported values: "trade", "orderbook", "ticker", "candle", "quote", "balance", "funding"',
    ),
    ({"dataTypes": ["funding"]}, "funding is only for symbols of kind perpetual"),
    ({"dataTypes": ["markprice"]}, "are only for symbols of kind perpetual or future"),
    ({"exchange": "binance", "dataTypes": ["funding"]}, "funding is only for symbols of kind perpetual"),
    (
        {"exchange": "binance", "symbol": None, "symbols": ["BTC-USDT-PERP", "BTC-USDT"], "dataTypes": ["liquidation"]},
        "markprice, openinterest and liquidation are only for symbols of kind perpetual or future",
    ),
    ({"auditVolumes": True}, "auditVolumes needs trade in dataTypes, and candle with the interval 1m"),
    ({"dataTypes": ["trade", "trade"]}, "Duplicate value"),
    ({"orderbook": {"depth": 400}}, "orderbook is only for dataTypes with orderbook"),
    ({**BOOK, "orderbook": {"depth": 50}}, "okx offers order books of depth 400"),
    (
        {**BOOK, "exchange": "binance", "orderbook": {"depth": 400}},
        "binance offers order books of depth 20, 50, 100, 500, 1000",
    ),
    ({**BOOK, "exchange": "bybit", "orderbook": {"depth": 400}}, "bybit offers order books of depth 50, 200, 1000"),
    ({"exchange": "bybit", "dataTypes": ["candle"], "candle": {"intervals": ["1s"]}}, "bybit offers candles of 1m, 3m"),
    ({"exchange": "bybit", "symbol": "BTC-USDT-260626"}, "bybit offers instruments of kind spot and perpetual"),
    ({"exchange": "binance", "symbol": "BTC-USDT-260626"}, "binance offers instruments of kind spot and perpetual"),
    (
        {"exchange": "binance", "symbol": "BTC-USDT-PERP-USDT"},
        "the asset that settles it only if that is not the quote",
    ),
    ({"exchange": "binance", "symbol": "BTC-USD-PERP-BTC"}, "the asset that settles it only if that is not the quote"),
    ({"candle": {"intervals": ["1m"]}}, "candle is only for dataTypes with candle"),
    ({"dataTypes": ["quote", "trade"]}, "quote needs orderbook in dataTypes"),
    ({"dataTypes": ["candle"], "candle": {"intervals": ["7m"]}}, 'Unsupported value: "7m"'),
    ({"staleAfter": "2h"}, "out of range: must be 1s to 1h"),
    ({"staleAfter": "soon"}, "spec.staleAfter in body should match"),
    ({"staleAfter": "99999999999999h"}, "spec.staleAfter"),
    ({"healthCheckInterval": "500ms"}, "out of range: must be 1s to 10m"),
    ({"connection": {"pingInterval": "26s"}}, "out of range: must be 1s to 25s"),
    ({"connection": {"maxReconnectAttempts": -1}}, "greater than or equal to 0"),
    ({"connection": {"backoff": {"initial": "1ms"}}}, "out of range: must be 10ms to 1m"),
    ({"connection": {"backoff": {"max": "11m"}}}, "out of range: must be 100ms to 10m"),
    ({"connection": {"backoff": {"initial": "10s", "max": "5s"}}}, "initial must not be longer than max"),
    ({"connection": {"endpoint": {"websocket": "http://x"}}}, "websocket in body should match"),
    ({"connection": {"endpoint": {"rest": "ws://x"}}}, "rest in body should match"),
    ({"shards": 2}, "shards must not exceed the number of symbols"),
    ({"shards": 65}, "less than or equal to 64"),
    ({"replicas": 0}, "Nearest: 1. To stop the collectors, set suspend to true"),
    ({"shards": 0}, "Nearest: 1. To stop the collectors, set suspend to true"),
    ({"template": {"resources": {"limits": {"cpu": 0.5}}}}, "limits.cpu in body must be of type integer,string"),
    ({"sinks": []}, "should have at least 1 items"),
    ({"sinks": [{"name": "a", "type": "kafka"}]}, 'supported values: "stdout", "file"'),
    ({"sinks": [{"name": "a", "type": "file"}]}, "file is required for, and only for, a sink of type file"),
    ({"sinks": [{**FILE, "type": "stdout"}]}, "file is required for, and only for, a sink of type file"),
    ({"sinks": [FILE, FILE]}, "Duplicate value"),
    ({"sinks": [FILE, {**FILE, "name": "b"}]}, "two sinks must not share a directory"),
    ({"sinks": file_sink(directory="data")}, "directory in body should match"),
    ({"sinks": file_sink(directory="/data/../etc")}, "directory in body should match"),
    ({"sinks": file_sink(directory="/etc")}, "directory must not be or be below a directory of the system"),
    ({"sinks": file_sink(directory="/proc/self")}, "directory must not be or be below a directory of the system"),
    ({"sinks": file_sink(rotate={"size": "10"})}, "size in body should match"),
    ({"sinks": file_sink(rotate={"interval": "25h"})}, "out of range: must be 1s to 24h"),
    ({"orderbook": {"snapshotInterval": "25h"}}, "out of range: must be 1s to 24h"),
    ({"sinks": file_sink(compression="lzma")}, 'supported values: "none", "gzip", "zstd"'),
    ({"sinks": file_sink(fsyncInterval="2m")}, "out of range: must be 0s to 1m"),
    ({"sinks": file_sink(claimName="disk"), "replicas": 2}, "a sink with claimName needs replicas 1"),
    ({"template": {"labels": {"marketcollector.dev/shard": "1"}}}, "are the operator's own"),
    ({"template": {"labels": {"app.kubernetes.io/name": "x"}}}, "are the operator's own"),
    ({"template": {"annotations": {"marketcollector.dev/template": "x"}}}, "are the operator's own"),
    (
        {"template": {"annotations": {"container.apparmor.security.beta.kubernetes.io/collector": "unconfined"}}},
        "annotations container.apparmor.security.beta.kubernetes.io/* are refused",
    ),
    ({"template": {"env": [{"name": "POD_UID"}]}}, "POD_NAME and POD_UID are set by the operator"),
    ({"template": {"resources": {"limits": {"cpu": "much"}}}}, "in body should match"),
    ({"connection": {"endpoint": {"websocket": "ws://:443"}}}, "websocket in body should match"),
    ({"connection": {"endpoint": {"rest": "https://host:65536"}}}, "rest in body should match"),
    ({"connection": {"endpoint": {"rest": "https://user:secret@host"}}}, "rest in body should match"),
    (volume({}), "a volume needs exactly one of configMap, secret, emptyDir, persistentVolumeClaim, projected"),
    (volume({"unheardOf": {}}), "a volume needs exactly one of"),
    (volume({"emptyDir": {}, "secret": {"secretName": "a"}}), "a volume needs exactly one of"),
    *((volume({kind: {}, "emptyDir": {}}), f"{kind} is refused") for kind in REFUSED_VOLUMES),
    (volume({"hostPath": {"path": "/"}}), "hostPath is refused: it would reach the node"),
    (volume({"projected": {"sources": [TOKEN]}}), "serviceAccountToken is refused: collectors get no token"),
    *((volume({"projected": {"sources": [{each.name: {}}]}}), each.name) for each in ProjectedSource.refused),
    (volume({"projected": {"sources": [{}]}}), "a projected source needs exactly one of configMap, secret"),
    (volume({"projected": {"sources": []}}), "should have at least 1 items"),
    (volume({"secret": {"secretName": "other-namespace/key"}}), "secretName in body should match"),
    (volume({"secret": {"secretName": "../key"}}), "secretName in body should match"),
    (volume({"configMap": {"name": "other/config"}}), "name in body should match"),
    (volume({"persistentVolumeClaim": {"claimName": "other/disk"}}), "claimName in body should match"),
    (volume({"secret": {"secretName": "s", "items": [{"key": "k", "path": "../k"}]}}), "path in body should match"),
    (volume({"secret": {"secretName": "s", "items": [{"key": "k", "path": "/k"}]}}), "path in body should match"),
    (volume({"secret": {"secretName": "s", "defaultMode": 512}}), "less than or equal to 511"),
    (volume({"emptyDir": {"medium": "HugePages"}}), 'supported values: "Memory"'),
    *(
        (volume({"emptyDir": {}}, name), "are the operator's own")
        for name in ("config", "state", "credentials", "sink-0", "sink-12")
    ),
    (volume({"emptyDir": {}}, "A"), "name in body should match"),
    ({"template": {"volumes": [{"name": "v", "emptyDir": {}}] * 2}}, "Duplicate value"),
    ({"template": {"volumeMounts": [{"name": "v", "mountPath": "/tls"}]}}, "must name a volume of template.volumes"),
    (mount("tls"), "mountPath in body should match"),
    (mount("/"), "mountPath in body should match"),
    (mount("/data/../etc"), "mountPath in body should match"),
    *((mount(path), "must not overlap with a directory of the system") for path in TAKEN),
    (mount("/tls", subPath="../x"), "subPath in body should match"),
    (mount("/tls", subPath="a/../../x"), "subPath in body should match"),
    (mount("/tls", subPath="/etc"), "subPath in body should match"),
    (mount("/tls", mountPropagation="Bidirectional"), "mountPropagation is refused"),
    (mount("/tls", subPathExpr="$(POD_NAME)"), "subPathExpr is refused"),
    *(({**mount(path), "sinks": [FILE]}, "must not overlap") for path in ("/data", "/data/x")),
    ({**mount("/a"), "sinks": file_sink(directory="/a/b")}, "a volumeMount and a sink's directory must not overlap"),
    (variable(value="", valueFrom=NODE), "value and valueFrom must not be set together"),
    (variable(valueFrom={}), "valueFrom needs exactly one of"),
    *(
        (variable(name=name, value="/data/own"), "PATH and others are refused: they change the image's program")
        for name in ("LD_PRELOAD", "OPENSSL_CONF", "GCONV_PATH")
    ),
    *(
        (variable(name=name, value="http://user:secret@proxy:3128"), "a proxy's password must use valueFrom")
        for name in ("HTTPS_PROXY", "Https_Proxy")
    ),
    (variable(valueFrom={"fieldRef": {"fieldPath": "spec.hostNetwork"}}), "fieldPath in body should match"),
    (variable(valueFrom={**NODE, "resourceFieldRef": {}}), "resourceFieldRef is refused"),
    (variable(valueFrom={**NODE, "fileKeyRef": {}}), "fileKeyRef is refused"),
    ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "are the operator's own"),
    ({"sinks": file_sink(sizeLimit="1Gi", claimName="disk")}, "sizeLimit is only for a sink without claimName"),
    *(({"template": {field: value}}, f"{field} is refused") for field, value in REFUSED_OF_PODS.items()),
    ({"template": {"resources": {"limits": {"cpu": 0.5}}}}, "limits.cpu in body must be of type integer,string"),
    ({"template": {"tolerations": [{"key": 1}]}}, "tolerations[0].key in body must be of type string"),
    ({"template": {"tolerations": [{"effect": "NoExec"}]}}, 'Unsupported value: "NoExec"'),
    ({"template": {"affinity": {"podAffinity": {PREFERRED: [{"weight": 101, **POD}]}}}}, "less than or equal to 100"),
    ({"template": {"affinity": {"podAffinity": {PREFERRED: [{"weight": 1, "podAffinityTerm": {}}]}}}}, "topologyKey"),
    ({"template": {"topologySpreadConstraints": [{**SPREAD, "maxSkew": 0}]}}, "greater than or equal to 1"),
]


@pytest.mark.parametrize("spec", ACCEPTED)
def test_valid_spec_is_accepted(api: Any, spec: dict[str, Any]) -> None:
    assert api.create("mcol", "default", document(**spec), DRY)["spec"]["exchange"] == "okx"


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_invalid_spec_is_refused_with_the_allowed_values(api: Any, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match="invalid") as refusal:
        api.create("mcol", "default", document(**spec), DRY)
    assert message in str(refusal.value)


def rules(node: dict[str, Any], path: str = "spec") -> Iterator[tuple[str, dict[str, str]]]:
    """Every rule below a schema, with the path that the API server names in a refusal."""
    for rule in node.get("x-kubernetes-validations", ()):
        yield path + rule.get("fieldPath", ""), rule
    for name, inner in node.get("properties", {}).items():
        yield from rules(inner, f"{path}.{name}")
    if "items" in node:
        yield from rules(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from rules(node["additionalProperties"], f"{path}[]")


def spec_schema() -> dict[str, Any]:
    found: dict[str, Any] = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def refusal(api: Any, spec: dict[str, Any]) -> str:
    try:
        api.create("mcol", "default", document(**spec), DRY)
    except Exception as error:
        return re.sub(r"\[\d+\]", "[]", str(error))
    return ""


def test_every_rule_of_the_crd_has_a_refused_case(api: Any) -> None:
    """Match rules by the path and message of a refusal. A test below covers the rule about changes."""
    messages = "\n".join(refusal(api, spec) for spec, _ in REFUSED)
    found = [(path, rule) for path, rule in rules(spec_schema()) if rule["message"] != IMMUTABLE]
    assert len(found) > 15
    pattern = '{}: Invalid value: (("[^"]*"|[0-9]+): )?{}'
    untested = [
        rule
        for rule in found
        if not re.search(pattern.format(*map(re.escape, (rule[0], rule[1]["message"]))), messages)
    ]
    assert untested == []


def paths(value: Any, path: str = "spec") -> set[str]:
    """All paths in a document."""
    items = value.items() if isinstance(value, dict) else ()
    below = [paths(inner, f"{path}.{name}") for name, inner in items]
    below += [paths(inner, f"{path}[]") for inner in value] if isinstance(value, list) else []
    return {path}.union(*below)


def test_every_rule_of_the_crd_has_an_accepted_case(api: Any) -> None:
    """Each rule was evaluated on a present field and held. Fields that are always refused have no such case."""
    met = set[str]().union(*(paths(api.create("mcol", "default", document(**spec), DRY)["spec"]) for spec in ACCEPTED))
    found = [(path, rule) for path, rule in rules(spec_schema()) if "is refused" not in rule["message"]]
    assert [path for path, _ in found if path not in met] == []


def test_every_refused_pod_field_has_a_case() -> None:
    assert {each.name for each in Template.refused} == set(REFUSED_OF_PODS)


@pytest.mark.parametrize("field", ["hostPath", "subdomain", "ephemeralContainers"])
def test_other_pod_fields_are_dropped_from_the_template(api: Any, field: str) -> None:
    made = api.create("mcol", "default", document(template={field: [{"x": 1}]}), DRY)
    assert field not in made["spec"]["template"]


def test_volume_cannot_name_another_namespace(api: Any) -> None:
    """The API server drops the added field, so the volume stays in the resource's namespace."""
    secret = {"secretName": "s", "namespace": "other"}
    made = api.create("mcol", "default", document(**volume({"secret": secret, "namespace": "other"})), DRY)
    assert "other" not in str(made["spec"]["template"])


@pytest.fixture
def two_exchanges(api: Any) -> Iterator[str]:
    """A copy of the CRD with a group of its own and a second exchange; returns the group."""
    copy = crd()
    group = f"op-{uuid.uuid4().hex[:8]}.test"
    copy["metadata"]["name"] = f"trials.{group}"
    copy["spec"]["group"] = group
    copy["spec"]["names"] = {"kind": "Trial", "listKind": "TrialList", "plural": "trials", "singular": "trial"}
    spec = copy["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["exchange"]["enum"].append("elsewhere")
    definitions = "apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api.call("POST", definitions, copy)
    yield group
    api.call("DELETE", f"{definitions}/trials.{group}")


def test_the_exchange_can_never_change(
    api: Any, namespace: str, two_exchanges: str, eventually: Callable[..., None]
) -> None:
    path = f"apis/{two_exchanges}/v1alpha1/namespaces/{namespace}/trials"
    given = {**document(), "apiVersion": f"{two_exchanges}/v1alpha1", "kind": "Trial"}
    eventually(lambda: api.call("POST", path, given))
    with pytest.raises(Exception, match=re.escape(IMMUTABLE)):
        api.call("PATCH", f"{path}/okx-btc", {"spec": {"exchange": "elsewhere"}}, "application/merge-patch+json")


def test_defaults_are_filled_in_and_shown(api: Any) -> None:
    made = api.create("mcol", "default", document(), DRY)
    assert made["spec"] == {
        "exchange": "okx",
        "symbol": "BTC-USDT",
        "dataTypes": ["trade"],
        "autoRestart": True,
        "connection": {"backoff": {"initial": "1s", "max": "60s"}, "maxReconnectAttempts": 0, "pingInterval": "20s"},
        "healthCheckInterval": "30s",
        "logLevel": "info",
        "replicas": 1,
        "shards": 1,
        "sinks": [{"name": "out", "type": "stdout"}],
        "staleAfter": "60s",
        "storeRawData": False,
        "auditVolumes": False,
        "suspend": False,
        "template": {},
    }


def test_defaults_are_filled_in_inside_given_objects(api: Any) -> None:
    given = document(dataTypes=["candle"], candle={}, connection={"backoff": {"max": "5s"}})
    spec = api.create("mcol", "default", given, DRY)["spec"]
    assert spec["candle"] == {"intervals": ["1m"]}
    assert spec["connection"]["backoff"] == {"initial": "1s", "max": "5s"}


def test_unknown_fields_of_placement_are_dropped(api: Any) -> None:
    """They could be nested 10,000 levels deep, which few programs can read."""
    template = {
        "tolerations": [{"key": "a", "unknown": {"a": [1]}}],
        "affinity": {"nodeAffinty": {}, "podAffinity": {PREFERRED: [{"weight": 1, **POD, "x": 1}]}},
        "topologySpreadConstraints": [{**SPREAD, "x": {}}],
    }
    assert api.create("mcol", "default", document(template=template), DRY)["spec"]["template"] == {
        "tolerations": [{"key": "a"}],
        "affinity": {"podAffinity": {PREFERRED: [{"weight": 1, **POD}]}},
        "topologySpreadConstraints": [SPREAD],
    }


def test_lists_are_stored_as_given(api: Any) -> None:
    """Argo CD and `kubectl apply` compare a list as a whole, so a default inside would always differ."""
    lists: dict[str, Any] = {
        "sinks": file_sink(rotate={"interval": "1h"}),
        "template": {
            "env": [{"name": "A"}],
            "volumes": [{"name": "v", "configMap": {"name": "c"}}],
            "volumeMounts": [{"name": "v", "mountPath": "/tls"}],
            "hostAliases": [{"ip": "10.0.0.1"}],
        },
    }
    spec = api.create("mcol", "default", document(**lists), DRY)["spec"]
    assert {name: spec[name] for name in lists} == lists


def test_new_resource_is_not_ready_without_an_operator(api: Any, namespace: str) -> None:
    status = api.create("mcol", namespace, document())["status"]
    assert status["observedGeneration"] == -1
    assert [(each["type"], each["status"], each["reason"]) for each in status["conditions"]] == [
        ("Ready", "Unknown", "Pending")
    ]


def test_scale_subresource_sets_the_shards(api: Any, namespace: str) -> None:
    api.create("mcol", namespace, document(symbol=None, symbols=["A-B", "C-D", "E-F"]))
    api.merge("mcol", namespace, "okx-btc", {"spec": {"replicas": 3}}, "/scale")
    assert api.get("mcol", namespace, "okx-btc")["spec"]["shards"] == 3


def test_field_selector_matches_the_exchange(api: Any, namespace: str) -> None:
    api.create("mcol", namespace, document())
    path = f"apis/marketcollector.dev/v1alpha1/namespaces/{namespace}/marketcollectors?fieldSelector=spec.exchange%3D"
    assert [len(api.call("GET", path + name)["items"]) for name in ("okx", "kraken")] == [1, 0]
