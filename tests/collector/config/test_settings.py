"""From a file to settings."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from market_collector.config.settings import (
    DocumentError,
    FileSinkSettings,
    Settings,
    StdoutSinkSettings,
    load,
    read_settings,
)
from market_collector.errors import InputError
from market_collector.model.streams import DataType

RESOURCE = """\
apiVersion: marketcollector.dev/v1alpha1
kind: MarketCollector
metadata: {name: okx-btc, namespace: markets}
spec:
  exchange: okx
  symbols: [BTC-USDT, ETH-USDT]
  dataTypes:
  - trade
  - orderbook
"""


def write(folder: Path, content: str) -> str:
    path = folder / "a.yaml"
    path.write_text(content)
    return str(path)


def mounted(**spec: Any) -> str:
    spec = {"exchange": "okx", "symbols": ["BTC-USDT"], "dataTypes": ["trade"], **spec}
    return json.dumps({"contract": 1, "name": "okx-btc", "namespace": "markets", "shard": 3, "spec": spec})


def test_a_minimal_resource_has_all_defaults(tmp_path: Path) -> None:
    (document,) = load(write(tmp_path, RESOURCE))
    assert read_settings(document) == Settings(
        name="okx-btc",
        namespace="markets",
        shard=0,
        exchange="okx",
        symbols=("BTC-USDT", "ETH-USDT"),
        data_types=(DataType.TRADE, DataType.ORDERBOOK),
        book_depth=400,
        snapshot_interval_s=60.0,
        candle_intervals=("1m",),
        store_raw_data=False,
        auto_restart=True,
        stale_after_s=60.0,
        ping_interval_s=20.0,
        max_reconnect_attempts=0,
        backoff_initial_s=1.0,
        backoff_max_s=60.0,
        endpoint_websocket=None,
        endpoint_rest=None,
        sinks=(StdoutSinkSettings("out"),),
        log_level="info",
    )


def test_the_operators_document_has_the_same_fields(tmp_path: Path) -> None:
    (document,) = load(write(tmp_path, mounted(staleAfter="5s", logLevel="debug")))
    wanted = read_settings(document)
    assert (wanted.name, wanted.namespace, wanted.shard) == ("okx-btc", "markets", 3)
    assert (wanted.stale_after_s, wanted.log_level) == (5.0, "debug")


def test_every_field_reaches_the_settings(tmp_path: Path) -> None:
    text = mounted(
        dataTypes=["candle", "orderbook"],
        orderbook={"depth": 400, "snapshotInterval": "5m"},
        candle={"intervals": ["1m", "1h"]},
        storeRawData=True,
        autoRestart=False,
        connection={
            "pingInterval": "5s",
            "maxReconnectAttempts": 7,
            "backoff": {"initial": "10ms", "max": "1m30s"},
            "endpoint": {"websocket": "ws://h:1", "rest": "http://h:2"},
        },
    )
    wanted = read_settings(load(write(tmp_path, text))[0])
    assert (wanted.book_depth, wanted.candle_intervals) == (400, ("1m", "1h"))
    assert wanted.snapshot_interval_s == 300.0
    assert (wanted.store_raw_data, wanted.auto_restart) == (True, False)
    assert (wanted.ping_interval_s, wanted.max_reconnect_attempts) == (5.0, 7)
    assert (wanted.backoff_initial_s, wanted.backoff_max_s) == (0.01, 90.0)
    assert (wanted.endpoint_websocket, wanted.endpoint_rest) == ("ws://h:1", "http://h:2")


def test_a_file_sink_has_bytes_and_seconds(tmp_path: Path) -> None:
    block = {"directory": "/data", "rotate": {"size": "1Mi"}, "compression": "zstd", "fsyncInterval": "0s"}
    text = mounted(sinks=[{"name": "archive", "type": "file", "file": block}])
    wanted = read_settings(load(write(tmp_path, text))[0])
    assert wanted.sinks == (FileSinkSettings("archive", Path("/data"), 1 << 20, 3600.0, "zstd", 0.0),)


def test_addresses_of_the_command_line_override(tmp_path: Path) -> None:
    text = mounted(connection={"endpoint": {"websocket": "ws://h:1", "rest": "http://h:2"}})
    (document,) = load(write(tmp_path, text))
    wanted = read_settings(document, endpoint_websocket="wss://other:1")
    assert (wanted.endpoint_websocket, wanted.endpoint_rest) == ("wss://other:1", "http://h:2")


@pytest.mark.parametrize("given", ["localhost:8080", "http://localhost:8080"])
def test_an_address_of_another_scheme_is_refused(tmp_path: Path, given: str) -> None:
    (document,) = load(write(tmp_path, RESOURCE))
    with pytest.raises(
        InputError, match=r"--endpoint-websocket: .* is not a base address: must be ws://HOST:PORT or wss://HOST:PORT"
    ):
        read_settings(document, endpoint_websocket=given)


ACCOUNT: dict[str, Any] = {"dataTypes": ["balance"], "credentials": {"secretName": "key"}}


@pytest.mark.parametrize(("websocket", "rest"), [("ws://h:1", None), (None, "http://localhost:x@h")])
def test_options_get_no_plain_login(tmp_path: Path, websocket: str | None, rest: str | None) -> None:
    (document,) = load(write(tmp_path, mounted(**ACCOUNT)))
    with pytest.raises(InputError, match="API key unencrypted"):
        read_settings(document, endpoint_websocket=websocket, endpoint_rest=rest)
    assert read_settings(document, endpoint_websocket="ws://127.0.0.1:1").endpoint_websocket


def test_a_plain_login_can_be_allowed(tmp_path: Path) -> None:
    endpoint = {"websocket": "ws://h:1", "allowPlainLogin": True}
    (document,) = load(write(tmp_path, mounted(**ACCOUNT, connection={"endpoint": endpoint})))
    assert read_settings(document, endpoint_rest="http://h:2").allow_plain_login


def test_problems_have_line_path_and_remedy_in_file_order(tmp_path: Path) -> None:
    path = write(tmp_path, RESOURCE + "  - trades\n  replicas: 9\n  replicas: 1\n  dept: 1\n")
    with pytest.raises(DocumentError) as caught:
        load(path)
    assert str(caught.value).replace(path, "F").splitlines() == [
        'F:10: spec.dataTypes[2]: "trades" is not allowed: must be trade, orderbook, ticker, candle, quote, balance, funding, markprice, openinterest or liquidation. Did you mean trade?',
        "F:12: spec.replicas: appears twice in the same mapping. Keep one",
        f"F:13: spec.dept: {caught.value.problems[2].text}",
    ]


def test_problems_of_all_documents_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        load(write(tmp_path, RESOURCE.replace("trade", "trades") + "---\n" + RESOURCE.replace("okx\n", "okex\n")))
    assert [(each.line, each.path) for each in caught.value.problems] == [
        (8, "spec.dataTypes[0]"),
        (15, "spec.exchange"),
    ]


def test_several_documents_are_several_collectors(tmp_path: Path) -> None:
    documents = load(write(tmp_path, RESOURCE + "---\n" + RESOURCE.replace("okx-btc", "second")))
    assert [each.name for each in documents] == ["okx-btc", "second"]


def test_problems_before_an_unreadable_document_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as caught:
        load(write(tmp_path, RESOURCE.replace("trade", "trades") + "---\na: [1\n"))
    assert [(each.line, each.path) for each in caught.value.problems] == [(8, "spec.dataTypes[0]"), (12, "")]
    assert "is not YAML" in caught.value.problems[1].text


words = st.sampled_from(
    ["okx", "BTC-USDT", "1s", "9" * 400 + "s", "256Mi", "/data", "\ud800", "x\n", "", "trade", "ws://a:1", "file"]
)
scalars = st.one_of(words, st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.just("[" * 99))
FIELDS = [
    *("exchange", "symbol", "symbols", "dataTypes", "sinks", "name", "type", "file", "directory", "rotate", "size"),
    *("connection", "endpoint", "websocket", "backoff", "initial", "staleAfter", "template", "env", "value", "shards"),
    *("candle", "intervals", "credentials", "secretName", "contract", "spec", "metadata", "kind", "namespace"),
]
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | words, inner, max_size=5),
    max_leaves=15,
)
mounted_documents = st.fixed_dictionaries(
    {"contract": st.just(1), "name": st.just("a"), "namespace": st.just("b"), "shard": st.just(0), "spec": anything}
)


@given(st.one_of(anything, mounted_documents).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=99))
@example(b"[" * 100_000)
@example(b"a: " + b":".join([b"1"] * 40_000))
@example(b"a: &a [1]\nb: [" + b"*a, " * 9 + b"]")
@example(
    b'{"contract":1,"name":"a","namespace":"b","shard":0,"spec":{"exchange":"okx","symbol":"BTC-USDT\\n","dataTypes":["trade"]}}'
)
@example(b'{"contract":1,"name":"a\\n","namespace":"b","shard":' + b"9" * 5_000 + b',"spec":{}}')
def test_any_document_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("document") / "collector.json"
    file.write_bytes(content)
    with suppress(InputError):
        for each in load(str(file)):
            read_settings(each)
