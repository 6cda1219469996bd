from typing import Any

import pytest
from pydantic import ValidationError

from market_operator.resource.exchanges import CAPABILITIES, Capabilities
from market_operator.resource.spec import Spec, _types_rule

LEAST: dict[str, Any] = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
FILE = {"name": "a", "type": "file", "file": {"directory": "/data"}}


def spec(**fields: Any) -> Spec:
    return Spec.model_validate({key: value for key, value in {**LEAST, **fields}.items() if value is not None})


def mounted(path: str) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": path}]}


def test_defaults_stand_in_the_model_alone() -> None:
    found = spec()
    assert found.auto_restart
    assert not found.suspend
    assert (found.shards, found.replicas, found.stale_after, found.log_level) == (1, 1, "60s", "info")
    assert found.connection.backoff.max == "60s"
    assert [(sink.name, sink.type) for sink in found.sinks] == [("out", "stdout")]


def test_the_symbols_are_sorted_whichever_field_they_stand_in() -> None:
    assert spec().all_symbols == ("BTC-USDT",)
    assert spec(symbol=None, symbols=["ETH-USDT", "BTC-USDT"]).all_symbols == ("BTC-USDT", "ETH-USDT")


def test_each_candle_interval_is_a_stream() -> None:
    found = spec(dataTypes=["trade", "candle"], candle={"intervals": ["1m", "1h"]})
    assert found.streams_per_symbol == 3


def test_the_account_is_one_stream_more_whatever_the_symbols() -> None:
    found = spec(symbol=None, symbols=["A-B", "C-D"], dataTypes=["trade", "balance"], credentials={"secretName": "key"})
    assert (found.stream_count, set(found.subjects)) == (3, {"A-B", "C-D", "account"})
    assert (spec().stream_count, set(spec().subjects)) == (spec().streams_per_symbol, {"BTC-USDT"})


def test_an_exchange_that_offers_less_than_others_has_a_rule_that_says_what() -> None:
    rule = _types_rule("okx", Capabilities(data_types=("trade", "ticker"), depths=(400,), websocket_port=8443))
    assert rule.message == "okx offers trade, ticker"
    assert rule.holds is not None
    assert (rule.holds(spec()), rule.holds(spec(dataTypes=["trade", "orderbook"]))) == (True, False)


def test_every_exchange_offers_what_the_schema_knows() -> None:
    known = set(Spec.model_json_schema()["properties"]["dataTypes"]["items"]["enum"])
    assert all(set(offer.data_types) <= known and offer.depths for offer in CAPABILITIES.values())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"exchange": "mtgox"}, "supported: okx"),
        ({"symbols": ["ETH-USDT"]}, "exactly one of symbol"),
        ({"symbol": None}, "exactly one of symbol"),
        ({"symbol": "btc-usdt"}, "pattern"),
        ({"dataTypes": ["balance"]}, "credentials are required for, and only for, dataTypes with balance"),
        ({"credentials": {"secretName": "key"}}, "credentials are required for, and only for, dataTypes with balance"),
        (
            {
                "dataTypes": ["balance"],
                "credentials": {"secretName": "key"},
                "symbol": None,
                "symbols": ["A-B", "C-D"],
                "shards": 2,
            },
            "shards must be 1 when balance is the only data type",
        ),
        ({"dataTypes": []}, "at least 1"),
        ({"orderbook": {"depth": 400}}, "orderbook is only for dataTypes with orderbook"),
        ({"dataTypes": ["orderbook"], "orderbook": {"depth": 5}}, "okx offers order books of depth 400"),
        ({"candle": {}}, "candle is only for dataTypes with candle"),
        ({"staleAfter": "2h"}, "between 1s and 1h"),
        ({"connection": {"backoff": {"initial": "30s", "max": "1s"}}}, "initial must not be longer than max"),
        ({"connection": {"endpoint": {"websocket": "http://x"}}}, "pattern"),
        ({"shards": 2}, "shards must not exceed the number of symbols"),
        ({"replicas": 0}, "greater than or equal to 1"),
        ({"sinks": [{"name": "a", "type": "file"}]}, "file is required for"),
        ({"sinks": [{**FILE, "type": "stdout"}]}, "file is required for"),
        ({"sinks": [FILE, {**FILE, "name": "b"}]}, "two sinks must not share a directory"),
        ({"sinks": [{**FILE, "file": {"directory": "data"}}]}, "pattern"),
        ({"sinks": [{**FILE, "file": {"directory": "/etc/x"}}]}, "directory of the system"),
        ({"sinks": [{**FILE, "file": {"directory": "/data/../etc"}}]}, "pattern"),
        ({"replicas": 2, "sinks": [{**FILE, "file": {"directory": "/d", "claimName": "c"}}]}, "needs replicas 1"),
        ({"template": {"labels": {"marketcollector.dev/shard": "9"}}}, "the operator's own"),
        ({"template": {"annotations": {"marketcollector.dev/template": "x"}}}, "the operator's own"),
        ({"template": {"env": [{"name": "POD_UID", "value": "x"}]}}, "set by the operator"),
        ({"template": {"hostNetwork": True}}, "hostNetwork is refused: pods keep the restricted"),
        (
            {"template": {"volumeMounts": [{"name": "v", "mountPath": "/tls"}]}},
            "must name a volume of template.volumes",
        ),
        ({"sinks": [FILE], "template": mounted("/data/x")}, "a volumeMount and a sink's directory must not overlap"),
        ({"connection": {"endpoint": {"websocket": "ws://:443"}}}, "pattern"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_is_allowed(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        spec(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataTypes": ["orderbook"], "orderbook": {}},
        {"dataTypes": ["candle"], "candle": {"intervals": ["1s", "1w"]}},
        {"symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
        {"sinks": [FILE, {**FILE, "name": "b", "file": {"directory": "/data/b"}}]},
        {"connection": {"endpoint": {"websocket": "ws://10.0.0.1:8443", "rest": "http://10.0.0.1:8443"}}},
        {"sinks": [FILE], "template": mounted("/data-of-others")},
        {"template": {"labels": {"team": "a"}, "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}},
    ],
)
def test_what_makes_sense_is_taken(fields: dict[str, Any]) -> None:
    assert spec(**fields).exchange == "okx"
