from typing import Any

import pytest

from market_spec.collection import Collection, OrderBook, book_depth, types_rule
from market_spec.exchanges import CAPABILITIES, DATA_TYPES, Capabilities, depths_message
from market_spec.kinds import Findings
from market_spec.section import fields_of
from market_spec.spec import Spec, read_spec

LEAST: dict[str, Any] = {"exchange": "okx", "symbol": "BTC-USDT", "dataTypes": ["trade"]}
NODE = {"fieldPath": "spec.nodeName"}
FILE = {"name": "a", "type": "file", "file": {"directory": "/data"}}

LOADER_VARIABLES = (
    *("PYTHONPATH", "LD_PRELOAD", "GLIBC_TUNABLES", "SSLKEYLOGFILE", "OPENSSL_CONF", "OPENSSL_MODULES"),
    *("OPENSSL_ENGINES", "OPENSSL_CONF_INCLUDE", "GCONV_PATH", "GETCONF_DIR", "LOCPATH", "NLSPATH", "MALLOC_TRACE"),
    *("HOSTALIASES", "LOCALDOMAIN", "RES_OPTIONS", "RESOLV_HOST_CONF", "NIS_PATH", "TZDIR"),
    *("PATH", "TMPDIR"),
)


def faults(**fields: Any) -> str:
    findings = Findings()
    read_spec({key: value for key, value in {**LEAST, **fields}.items() if value is not None}, findings)
    return "\n".join(text for _, text in findings.faults)


def spec(**fields: Any) -> Spec:
    given = {key: value for key, value in {**LEAST, **fields}.items() if value is not None}
    found = read_spec(given, Findings())
    assert found is not None, faults(**fields)
    return found


def mounted(path: str) -> dict[str, Any]:
    return {"volumes": [{"name": "v", "emptyDir": {}}], "volumeMounts": [{"name": "v", "mountPath": path}]}


def login(**endpoint: Any) -> dict[str, Any]:
    return {"dataTypes": ["balance"], "credentials": {"secretName": "key"}, "connection": {"endpoint": endpoint}}


def test_defaults_are_filled_in() -> None:
    found = spec()
    assert found.auto_restart
    assert not found.suspend
    assert (found.shards, found.replicas, found.stale_after, found.log_level) == (1, 1, "60s", "info")
    assert found.connection.backoff.max == "60s"
    assert [(sink.name, sink.type) for sink in found.sinks] == [("out", "stdout")]


def test_the_symbols_are_sorted_from_either_field() -> None:
    assert spec().all_symbols == ("BTC-USDT",)
    assert spec(symbol=None, symbols=["ETH-USDT", "BTC-USDT"]).all_symbols == ("BTC-USDT", "ETH-USDT")


def test_each_candle_interval_is_a_stream() -> None:
    found = spec(dataTypes=["trade", "candle"], candle={"intervals": ["1m", "1h"]})
    assert found.streams_per_symbol == 3


def test_quotes_have_no_stream_of_their_own() -> None:
    assert spec(dataTypes=["orderbook", "quote"]).streams_per_symbol == 1


def test_the_account_is_one_more_stream() -> None:
    found = spec(symbol=None, symbols=["A-B", "C-D"], dataTypes=["trade", "balance"], credentials={"secretName": "key"})
    assert (found.stream_count, set(found.subjects)) == (3, {"A-B", "C-D", "account"})
    assert (spec().stream_count, set(spec().subjects)) == (spec().streams_per_symbol, {"BTC-USDT"})


def test_an_exchange_with_fewer_data_types_has_a_rule() -> None:
    rule = types_rule("okx", Capabilities(data_types=("trade", "ticker"), depths=(400,), websocket_port=8443))
    assert rule.message == "okx offers trade, ticker"
    assert rule.violations is not None
    assert [*rule.violations(spec())] == []
    (violation,) = rule.violations(spec(dataTypes=["trade", "orderbook"]))
    assert violation == (("dataTypes", 1), '"orderbook"')


def test_depth_is_that_of_the_spec_or_the_default_of_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = Capabilities(data_types=("orderbook",), depths=(10, 5, 25))
    monkeypatch.setitem(CAPABILITIES, "other", offer)
    assert [book_depth("other", given) for given in (None, OrderBook(), OrderBook(25))] == [10, 10, 25]
    found = spec(dataTypes=["orderbook"], orderbook={"depth": None})
    assert book_depth(found.exchange, found.orderbook) == book_depth("okx", None) == 400
    assert depths_message("other") == "other offers order books of depth 5, 10, 25"


def test_every_exchange_offers_data_types_of_the_schema() -> None:
    assert all(set(offer.data_types) <= set(DATA_TYPES) and offer.depths for offer in CAPABILITIES.values())


def test_a_collection_is_the_spec_without_labels_and_template() -> None:
    assert [*fields_of(Spec)] == [*fields_of(Collection), "commonLabels", "template"]
    assert Spec.rules[: len(Collection.rules)] == Collection.rules


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"exchange": "mtgox"}, "must be okx"),
        ({"symbols": ["ETH-USDT"]}, "exactly one of symbol"),
        ({"symbol": None}, "exactly one of symbol"),
        ({"symbol": "btc-usdt"}, "is not a symbol"),
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
        ({"dataTypes": []}, "must have 1 to 10"),
        ({"symbol": "BTC-USDT-SWAP"}, '"BTC-USDT-SWAP" is not a symbol: must be BASE-QUOTE, BASE-QUOTE-PERP or'),
        ({"symbol": "btc-usd-swap"}, "such as BTC-USDT. Write BTC-USD-PERP-BTC"),
        ({"symbol": "BTCUSDT"}, "such as BTC-USDT. Write BTC-USDT or BTC-USDT-PERP"),
        ({"symbol": "BTC-USD-250328-60000-C"}, "such as BTC-USDT. Options are not collected"),
        ({"symbol": "BTC-USDT-X"}, '"BTC-USDT-X" is not a symbol'),
        ({"symbol": None, "symbols": ["BTC-USDT", "ETH-USDT-SWAP"]}, '"ETH-USDT-SWAP" is not a symbol'),
        (
            {"dataTypes": ["trade", "liquidation"]},
            'liquidation are only for symbols of kind perpetual or future ("BTC-USDT": spot)',
        ),
        ({"dataTypes": ["funding"]}, 'funding is only for symbols of kind perpetual ("BTC-USDT": spot)'),
        (
            {"symbol": "BTC-USD-PERP"},
            'On okx the base settles contracts in USD ("BTC-USD-PERP": write BTC-USD-PERP-BTC)',
        ),
        ({"orderbook": {"depth": 400}}, "orderbook is only for dataTypes with orderbook"),
        ({"dataTypes": ["orderbook"], "orderbook": {"depth": 5}}, "okx offers order books of depth 400"),
        ({"candle": {}}, "candle is only for dataTypes with candle"),
        ({"dataTypes": ["quote", "trade"]}, "quote needs orderbook in dataTypes"),
        ({"staleAfter": "2h"}, "must be 1s to 1h"),
        ({"connection": {"backoff": {"initial": "30s", "max": "1s"}}}, "initial must not be longer than max"),
        ({"connection": {"endpoint": {"websocket": "http://x"}}}, "is not a base address"),
        ({"shards": 2}, "shards must not exceed the number of symbols"),
        ({"replicas": 0}, "must be 1 to 5"),
        ({"sinks": [{"name": "a", "type": "file"}]}, "file is required for"),
        ({"sinks": [{**FILE, "type": "stdout"}]}, "file is required for"),
        ({"sinks": [FILE, {**FILE, "name": "b"}]}, "two sinks must not share a directory"),
        ({"sinks": [{**FILE, "file": {"directory": "data"}}]}, "is not a directory"),
        ({"sinks": [{**FILE, "file": {"directory": "/my disk"}}]}, "letters, digits, -, _, . and /; no part is empty"),
        (
            {"sinks": [{**FILE, "file": {"directory": "/a", "rotate": {"size": 256}}}]},
            "256 is not a size: must be a numb",
        ),
        ({"sinks": [{**FILE, "file": {"directory": "/etc/x"}}]}, "directory of the system"),
        ({"sinks": [{**FILE, "file": {"directory": "/data/../etc"}}]}, "is not a directory"),
        ({"replicas": 2, "sinks": [{**FILE, "file": {"directory": "/d", "claimName": "c"}}]}, "needs replicas 1"),
        ({"template": {"labels": {"marketcollector.dev/shard": "9"}}}, "the operator's own"),
        ({"template": {"annotations": {"marketcollector.dev/template": "x"}}}, "the operator's own"),
        (
            {"template": {"annotations": {"container.apparmor.security.beta.kubernetes.io/collector": "unconfined"}}},
            "pods keep the restricted Pod Security Standard",
        ),
        ({"template": {"env": [{"name": "POD_UID", "value": "x"}]}}, "set by the operator"),
        ({"template": {"env": [{"name": "A", "value": "", "valueFrom": {"fieldRef": NODE}}]}}, "not be set together"),
        ({"template": {"env": [{"name": "A", "valueFrom": {}}]}}, "valueFrom needs exactly one of"),
        ({"template": {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}]}}, "one such as"),
        *(({"template": {"env": [{"name": name}]}}, f'program ("{name}")') for name in LOADER_VARIABLES),
        *(
            ({"template": {"env": [{"name": name, "value": value}]}}, f"use valueFrom (of {name})")
            for value in ("http://user:pass@proxy:3128", "user:p@ss@proxy")
            for name in ("HTTPS_PROXY", "http_proxy", "Https_Proxy", "ALL_pROXY")
        ),
        ({"commonLabels": {"marketcollector.dev/shard": "9"}}, "the operator's own"),
        (
            {"sinks": [{**FILE, "file": {"directory": "/d", "claimName": "c", "sizeLimit": "1Gi"}}]},
            "sizeLimit is only for a sink without claimName",
        ),
        ({"template": {"hostNetwork": True}}, "hostNetwork is refused: pods keep the restricted"),
        (
            {"template": {"volumeMounts": [{"name": "v", "mountPath": "/tls"}]}},
            "must name a volume of template.volumes",
        ),
        ({"sinks": [FILE], "template": mounted("/data/x")}, "a volumeMount and a sink's directory must not overlap"),
        ({"connection": {"endpoint": {"websocket": "ws://:443"}}}, "is not a base address"),
        (login(websocket="ws://10.0.0.1:8443"), 'API key unencrypted ("ws://10.0.0.1:8443")'),
        (login(websocket="wss://h", rest="http://h"), 'API key unencrypted ("http://h")'),
        (login(websocket="ws://localhost.example"), "API key unencrypted"),
        (login(websocket="ws://127.0.0.1.example:1"), "API key unencrypted"),
        (login(websocket="ws://[::2]:1"), "API key unencrypted"),
    ],
)
def test_an_invalid_spec_is_refused_with_the_constraint(fields: dict[str, Any], message: str) -> None:
    assert message in faults(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataTypes": ["orderbook"], "orderbook": {}},
        {"dataTypes": ["candle"], "candle": {"intervals": ["1s", "1w"]}},
        {"symbol": None, "symbols": ["A-B", "C-D"], "shards": 2},
        {"sinks": [FILE, {**FILE, "name": "b", "file": {"directory": "/data/b"}}]},
        {"connection": {"endpoint": {"websocket": "ws://10.0.0.1:8443", "rest": "http://10.0.0.1:8443"}}},
        {"template": {"env": [{"name": "https_proxy", "value": "http://proxy:3128/a:b@c"}, {"name": "OLD_X"}]}},
        {"template": {"env": [{"name": "HTTPS_PROXY", "value": "http://user@proxy:3128"}]}},
        {"template": {"env": [{"name": "SSL_CERT_FILE", "value": "/tls/ca.crt"}, {"name": "SSL_CERT_DIR"}]}},
        {"template": {"env": [{"name": "MY_PATH"}, {"name": "PATHS"}, {"name": "MALLOC_ARENA_MAX"}, {"name": "TZ"}]}},
        login(websocket="wss://h", rest="https://h:8443/"),
        login(websocket="ws://127.0.0.1:8443", rest="http://localhost:1"),
        login(websocket="ws://[::1]:8443/"),
        login(websocket="ws://h", rest="http://h", allowPlainLogin=True),
        login(),
        {"sinks": [FILE], "template": mounted("/data-of-others")},
        {"template": {"labels": {"team": "a"}, "resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}},
    ],
)
def test_a_valid_spec_is_read(fields: dict[str, Any]) -> None:
    assert spec(**fields).exchange == "okx"
