"""The definition as the API server applies it: what it accepts, what it refuses and in which words, what it fills in."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from market_operator.crd import crd

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


ACCEPTED: list[dict[str, Any]] = [
    {},
    {"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT"], "shards": 2},
    {**BOOK, "orderbook": {}},
    {**BOOK, "orderbook": {"depth": 400}},
    {"dataTypes": ["candle", "trade"], "candle": {"intervals": ["1s", "1w"]}},
    {"healthCheckInterval": "1s", "staleAfter": "1h"},
    {"connection": {"backoff": {"initial": "1m", "max": "1m"}, "pingInterval": "25s"}},
    {"connection": {"endpoint": {"websocket": "ws://10.0.0.1:8443", "rest": "http://10.0.0.1:8443"}}},
    {"sinks": [FILE, {"name": "out", "type": "stdout"}]},
    {"sinks": [FILE, {**FILE, "name": "b", "file": {"directory": "/data/b"}}]},
    {"sinks": file_sink(claimName="disk"), "replicas": 1},
    {"replicas": 5, "suspend": True, "logLevel": "debug"},
    {"template": {"labels": {"team": "a"}, "annotations": {"a": "b"}, "env": [{"name": "A", "value": "b"}]}},
    {"template": {"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}, "tolerations": [{"operator": "Exists"}]}},
    {"template": {"affinity": {"nodeAffinity": {"anything": [1]}}}},
]

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"exchange": "mtgox"}, 'supported values: "okx"'),
    ({"exchange": None}, "spec.exchange: Required value"),
    ({"dataTypes": None}, "spec.dataTypes: Required value"),
    ({"symbols": ["ETH-USDT"]}, "set exactly one of symbol (one) and symbols (a list)"),
    ({"symbol": None}, "set exactly one of symbol (one) and symbols (a list)"),
    ({"symbol": "btc/usdt"}, "spec.symbol in body should match"),
    ({"symbol": None, "symbols": ["A-B", "A-B"]}, "Duplicate value"),
    ({"symbol": None, "symbols": [f"C{n}-USDT" for n in range(501)]}, "must have at most 500 items"),
    ({"dataTypes": ["balance"]}, "okx offers trade, orderbook, ticker, candle"),
    ({"dataTypes": ["funding"]}, 'supported values: "trade", "orderbook", "ticker", "candle", "balance"'),
    ({"dataTypes": ["trade", "trade"]}, "Duplicate value"),
    ({"orderbook": {"depth": 400}}, "orderbook is only for dataTypes with orderbook"),
    ({**BOOK, "orderbook": {"depth": 50}}, "okx offers order books of depth 400"),
    ({"candle": {"intervals": ["1m"]}}, "candle is only for dataTypes with candle"),
    ({"dataTypes": ["candle"], "candle": {"intervals": ["7m"]}}, 'Unsupported value: "7m"'),
    ({"staleAfter": "2h"}, "must be a duration between 1s and 1h"),
    ({"staleAfter": "soon"}, "spec.staleAfter in body should match"),
    ({"staleAfter": "99999999999999h"}, "spec.staleAfter"),
    ({"healthCheckInterval": "500ms"}, "must be a duration between 1s and 10m"),
    ({"connection": {"pingInterval": "26s"}}, "must be a duration between 1s and 25s"),
    ({"connection": {"maxReconnectAttempts": -1}}, "greater than or equal to 0"),
    ({"connection": {"backoff": {"initial": "1ms"}}}, "must be a duration between 10ms and 1m"),
    ({"connection": {"backoff": {"max": "11m"}}}, "must be a duration between 100ms and 10m"),
    ({"connection": {"backoff": {"initial": "10s", "max": "5s"}}}, "initial must not be longer than max"),
    ({"connection": {"endpoint": {"websocket": "http://x"}}}, "websocket in body should match"),
    ({"connection": {"endpoint": {"rest": "ws://x"}}}, "rest in body should match"),
    ({"shards": 2}, "shards must not exceed the number of symbols"),
    ({"shards": 65}, "less than or equal to 64"),
    ({"replicas": 0}, "greater than or equal to 1"),
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
    ({"sinks": file_sink(rotate={"interval": "25h"})}, "must be a duration between 1s and 24h"),
    ({"sinks": file_sink(compression="lzma")}, 'supported values: "none", "gzip", "zstd"'),
    ({"sinks": file_sink(fsyncInterval="2m")}, "must be a duration between 0s and 1m"),
    ({"sinks": file_sink(claimName="disk"), "replicas": 2}, "a sink with claimName needs replicas 1"),
    ({"template": {"labels": {"marketcollector.dev/shard": "1"}}}, "are the operator's own"),
    ({"template": {"labels": {"app.kubernetes.io/name": "x"}}}, "are the operator's own"),
    ({"template": {"annotations": {"marketcollector.dev/template": "x"}}}, "are the operator's own"),
    ({"template": {"env": [{"name": "POD_UID"}]}}, "POD_NAME and POD_UID are set by the operator"),
    ({"template": {"resources": {"limits": {"cpu": "much"}}}}, "in body should match"),
]


@pytest.mark.parametrize("spec", ACCEPTED)
def test_what_makes_sense_is_accepted(api: Any, spec: dict[str, Any]) -> None:
    assert api.create("mcol", "default", document(**spec), DRY)["spec"]["exchange"] == "okx"


@pytest.mark.parametrize(("spec", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_with_what_is_allowed(api: Any, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(Exception, match="invalid") as refusal:
        api.create("mcol", "default", document(**spec), DRY)
    assert message in str(refusal.value)


@pytest.mark.parametrize("field", ["volumes", "hostPath", "hostNetwork", "securityContext", "containers"])
def test_what_could_reach_the_node_is_not_in_the_template(api: Any, field: str) -> None:
    made = api.create("mcol", "default", document(template={field: [{"x": 1}]}), DRY)
    assert field not in made["spec"]["template"]


@pytest.fixture
def two_exchanges(api: Any) -> Iterator[str]:
    """The definition under a group of its own, with a second exchange to change to; the path of its resources."""
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
    with pytest.raises(Exception, match=r"spec\.exchange is immutable; delete the resource and create another"):
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
        "suspend": False,
        "template": {},
    }


def test_defaults_inside_of_what_the_user_began_are_filled_in(api: Any) -> None:
    given = document(sinks=file_sink(), dataTypes=["candle"], candle={}, connection={"backoff": {"max": "5s"}})
    spec = api.create("mcol", "default", given, DRY)["spec"]
    assert spec["sinks"][0]["file"]["rotate"] == {"size": "256Mi", "interval": "1h"}
    assert spec["candle"] == {"intervals": ["1m"]}
    assert spec["connection"]["backoff"] == {"initial": "1s", "max": "5s"}


def test_a_new_resource_is_not_ready_while_no_operator_looks(api: Any, namespace: str) -> None:
    status = api.create("mcol", namespace, document())["status"]
    assert status["observedGeneration"] == -1
    assert [(each["type"], each["status"], each["reason"]) for each in status["conditions"]] == [
        ("Ready", "Unknown", "Pending")
    ]


def test_scale_sees_the_shards(api: Any, namespace: str) -> None:
    api.create("mcol", namespace, document(symbol=None, symbols=["A-B", "C-D", "E-F"]))
    api.merge("mcol", namespace, "okx-btc", {"spec": {"replicas": 3}}, "/scale")
    assert api.get("mcol", namespace, "okx-btc")["spec"]["shards"] == 3


def test_the_exchange_selects(api: Any, namespace: str) -> None:
    api.create("mcol", namespace, document())
    path = f"apis/marketcollector.dev/v1alpha1/namespaces/{namespace}/marketcollectors?fieldSelector=spec.exchange%3D"
    assert [len(api.call("GET", path + name)["items"]) for name in ("okx", "kraken")] == [1, 0]
