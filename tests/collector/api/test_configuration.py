"""The configuration: every way to write it, a message for every fault, and the limits of the resource."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from market_collector.api.configuration import (
    EITHER_SYMBOLS,
    ExchangeCollectorConfig,
    ExchangeOptions,
    collected_type,
    options_of,
    settings_of,
)
from market_collector.api.factory import create_okx_collector
from market_collector.config.settings import FileSinkSettings
from market_collector.errors import ConfigurationError, InputError
from market_collector.exchanges import EXCHANGES
from market_collector.model.streams import DataType
from market_spec.collection import Collection
from market_spec.connection import Backoff, Connection
from market_spec.durations import seconds
from market_spec.section import fields_of


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> None:
    Path("config").mkdir()
    Path("config/okx_config.json").write_text(text)


def config(**changes: Any) -> ExchangeCollectorConfig:
    return ExchangeCollectorConfig(**{"exchange": "okx", "symbol": "BTC-USDT", "data_types": ["trade"]} | changes)


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        config(**changes)
    return str(raised.value).splitlines()


# -- ways to write it


def test_arguments_may_be_positional() -> None:
    made = ExchangeCollectorConfig("okx", "BTC-USDT", [DataType.TRADE])
    assert (made.exchange, made.symbol, made.data_types) == ("okx", "BTC-USDT", [DataType.TRADE])
    assert (made.auto_restart, made.health_check_interval, made.store_raw_data) == (True, 30.0, False)
    assert made.custom_params == {}


def test_arguments_may_be_named() -> None:
    made = ExchangeCollectorConfig(
        exchange="okx",
        symbol="BTC-USDT",
        data_types=[DataType.TRADE, DataType.ORDERBOOK],
        auto_restart=False,
        health_check_interval=5,
        store_raw_data=True,
        custom_params={"ping_interval": 25.0, "max_reconnect_attempts": 5},
    )
    assert not made.auto_restart
    assert made.custom_params["ping_interval"] == 25.0
    settings = settings_of(made, options_of("okx", made.custom_params))
    assert (settings.ping_interval_s, settings.max_reconnect_attempts, settings.auto_restart) == (25.0, 5, False)
    assert settings.store_raw_data


def test_it_cannot_be_changed_and_compares_by_value() -> None:
    made = config()
    with pytest.raises(ValueError, match="frozen"):
        made.symbol = "ETH-USDT"  # type: ignore[misc]
    assert made == config()
    assert made != config(symbol="ETH-USDT")
    assert ExchangeCollectorConfig.model_validate(made.model_dump()) == made


SEVERAL = ["BTC-USDT", "ETH-USDT", "SOL-USDT"]


def test_several_symbols_are_collected_by_one_collector() -> None:
    made = ExchangeCollectorConfig("okx", symbols=SEVERAL, data_types=["trade"])
    assert (made.symbol, made.symbols, made.title) == ("", tuple(SEVERAL), "BTC-USDT-and-2-more")
    settings = settings_of(made, ExchangeOptions())
    assert (settings.symbols, settings.name) == (tuple(SEVERAL), "okx-btc-usdt-and-2-more")
    assert create_okx_collector(symbols=SEVERAL, data_types=["trade"]).config == made


def test_list_of_one_symbol_is_the_same_as_the_symbol() -> None:
    assert ExchangeCollectorConfig("okx", symbols=["BTC-USDT"], data_types=["trade"]) == config()
    assert (config().symbols, config().title) == (("BTC-USDT",), "BTC-USDT")
    assert settings_of(config(), ExchangeOptions()).name == "okx-btc-usdt"


def test_dump_of_a_configuration_has_symbol_or_symbols() -> None:
    assert config().model_dump()["symbol"] == "BTC-USDT"
    several = ExchangeCollectorConfig("okx", symbols=SEVERAL, data_types=["trade"])
    assert "symbols" not in config().model_dump()
    assert "symbol" not in several.model_dump()
    assert ExchangeCollectorConfig.model_validate(several.model_dump()) == several


# -- faults


def test_every_problem_is_reported_at_once() -> None:
    said = problems(symbol="btc", data_types=["trade", "trades"], custom_params={"ping": 3, "ping_interval": 90})
    assert [line.split(":")[0] for line in said] == [
        "symbol",
        "data_types[1]",
        "custom_params.ping_interval",
        "custom_params.ping",
    ]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"exchange": "mtgox"}, 'exchange: "mtgox" is not allowed: must be okx, binance or bybit'),
        ({"symbol": "BTC-USDT\n"}, 'symbol: "BTC-USDT\\n" is not a symbol: must be BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals, such as BTC-USDT. Write BTC-USDT'),
        ({"symbol": "BTC-USDT-SWAP"}, 'symbol: "BTC-USDT-SWAP" is not a symbol: must be BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals, such as BTC-USDT. Write BTC-USDT-PERP'),
        ({"symbol": "A-USD-PERP"}, 'symbol: a symbol ends with the asset that settles it only if that is not the quote. On okx the base settles contracts in USD ("A-USD-PERP": write A-USD-PERP-A)'),
        ({"symbol": None, "symbols": ["A-B", "A-USD-PERP"]}, 'symbols[1]: a symbol ends with the asset that settles it only if that is not the quote. On okx the base settles contracts in USD ("A-USD-PERP": write A-USD-PERP-A)'),
        ({"data_types": ["quote"]}, 'data_types: quotes are made from order books. Add "orderbook"'),
        ({"data_types": []}, "data_types: has 0 items: must have 1 or more"),
        ({"data_types": ["trade", "trade"]}, 'data_types[1]: "trade" is listed twice. List each only once'),
        ({"data_types": ["premium"]}, 'data_types[0]: "premium" is not allowed: must be trade, orderbook, ticker, candle, quote, balance, funding, markprice, openinterest or liquidation'),
        ({"data_types": ["funding"]}, 'symbol: funding is only for symbols of kind perpetual ("BTC-USDT": spot)'),
        ({"auto_restart": "yes"}, 'auto_restart: must be true or false, not a string ("yes")'),
        ({"health_check_interval": 0}, "health_check_interval: 0 is out of range: must be 1 to 600. Nearest: 1"),
        ({"custom_params": {"ping_interval": "25s"}}, 'custom_params.ping_interval: must be a number of seconds, not a string ("25s"). Write 25'),
        ({"custom_params": {"rest_endpoint": "ws://a"}}, 'custom_params.rest_endpoint: "ws://a" is not a base address: must be http://HOST:PORT or https://HOST:PORT, without a path'),
        ({"custom_params": {"orderbook_depth": 7}}, "custom_params.orderbook_depth: okx offers order books of depth 400 (depth is 7)"),
        ({"custom_params": {"backoff_initial": 9.0, "backoff_max": 3.0}}, "custom_params: backoff_initial must not be longer than backoff_max (backoff_initial is 9, backoff_max is 3)"),
    ],
)  # fmt: skip
def test_a_fault_names_the_field_and_the_constraint(changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [line]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"exchange": "OKX"}, 'exchange: "OKX" is not allowed: must be okx, binance or bybit. Did you mean okx?'),
        ({"symbol": ["BTC-USDT"]}, f"symbol: must be a string, not a list. {EITHER_SYMBOLS}"),
        ({"symbols": ["BTC-USDT"]}, f"symbols: both are set. {EITHER_SYMBOLS}"),
        ({"symbol": None}, f"symbol: is required. {EITHER_SYMBOLS}"),
        ({"symbol": None, "symbols": []}, "symbols: has 0 items: must have 1 to 500"),
        ({"symbol": None, "symbols": "BTC-USDT"}, 'symbols: must be a list, not a string ("BTC-USDT"). Write ["BTC-USDT"]'),
        ({"symbol": None, "symbols": ["A-B", "A-B"]}, 'symbols[1]: "A-B" is listed twice. List each only once'),
        ({"symbol": None, "symbols": ["A-B", "x"]}, 'symbols[1]: "x" is not a symbol: must be BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals, such as BTC-USDT'),
        ({"data_types": None}, "data_types: is required"),
        ({"stale_after": 9}, 'stale_after: is a field of custom_params: {"stale_after": ...}. Move it there'),
        ({"data_type": "trade"}, "data_type: unknown field. Did you mean data_types? Allowed: exchange, symbol, symbols, data_types, auto_restart, health_check_interval, store_raw_data, custom_params"),
        ({"data_types": "trade"}, 'data_types: must be a list, not a string ("trade"). Write ["trade"]'),
        ({"data_types": DataType.TRADE}, 'data_types: must be a list, not a string ("trade"). Write ["trade"]'),
        ({"data_types": {DataType.TRADE}}, 'data_types: must be a list, not a set. Write ["trade"]'),
        ({"data_types": DataType}, "data_types: must be a list, not the class DataType"),
        ({"custom_params": "1m"}, 'custom_params: must be a mapping (field: value), not a string ("1m")'),
        ({"custom_params": [1]}, "custom_params: must be a mapping (field: value), not a list"),
        ({"custom_params": {"candle_intervals": "1m"}}, 'custom_params.candle_intervals: must be a list, not a string ("1m"). Write ["1m"]'),
        ({"custom_params": {"store_raw_data": True}}, "custom_params.store_raw_data: is an argument of ExchangeCollectorConfig. Move it there"),
        ({"custom_params": {"stale_after": timedelta(1)}}, "custom_params.stale_after: must be a number of seconds, not a timedelta"),
    ],
)  # fmt: skip
def test_a_message_about_an_argument_says_how_to_write_it(changes: dict[str, Any], line: str) -> None:
    assert problems(**changes) == [line]


def test_an_unknown_argument_is_explained_though_another_is_missing() -> None:
    for make in (ExchangeCollectorConfig, create_okx_collector):
        with pytest.raises(ConfigurationError, match=r"^pairs: unknown field\. .*Allowed: exchange, symbol, symbols"):
            make(pairs=["BTC-USDT"], data_types=["trade"])  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("trades", 'data_type: "trades" is not allowed: must be trade, .* Did you mean trade'),
        (["trade"], r'data_type: \["trade"\] is not allowed'),
        (print, r"The data type comes first: \(DataType.TRADE, callback\)"),
        (DataType.TICKER, 'BTC-USDT is collected with data_types .*, so "ticker" would never come'),
    ],
)
def test_a_callback_for_a_type_that_never_comes_is_refused(given: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        collected_type(config(), given)
    assert collected_type(config(), "trade") is collected_type(config(), DataType.TRADE) is DataType.TRADE


def test_an_unknown_option_names_the_known_ones_and_the_nearest() -> None:
    (line,) = problems(custom_params={"ping_intervall": 20})
    assert line.startswith("custom_params.ping_intervall: unknown field. Did you mean ping_interval?")
    assert all(name in line for name in ExchangeOptions.model_fields)


def test_an_unknown_interval_names_those_of_the_exchange() -> None:
    (line,) = problems(custom_params={"candle_intervals": ["1m", "7m"]})
    assert line.startswith('custom_params.candle_intervals[1]: "7m" is not allowed: must be 1s, 1m')


def test_a_configuration_error_is_the_users_and_a_value_error() -> None:
    with pytest.raises(ValueError, match="symbol") as raised:
        config(symbol="")
    assert isinstance(raised.value, InputError)


# -- the exchange's file


def test_without_a_file_the_defaults_hold() -> None:
    assert options_of("okx", {}) == ExchangeOptions()


def test_custom_params_override_the_file_and_the_file_defaults() -> None:
    write('{"ping_interval": 10, "stale_after": 30.5, "websocket_endpoint": "ws://127.0.0.1:1"}')
    merged = options_of("okx", {"ping_interval": 5.0})
    assert (merged.ping_interval, merged.stale_after, merged.backoff_max) == (5.0, 30.5, 60.0)
    assert merged.websocket_endpoint == "ws://127.0.0.1:1"


def test_every_fault_of_the_file_is_reported_with_its_line() -> None:
    write('{\n  "ping_interval": 90,\n  "rest": "http://a",\n  "candle_intervals": ["1m", "7m"]\n}\n')
    with pytest.raises(InputError) as raised:
        options_of("okx", {})
    first, second, third = str(raised.value).splitlines()
    assert first == "config/okx_config.json:2: ping_interval: 90 is out of range: must be 1 to 25. Nearest: 25"
    assert second.startswith("config/okx_config.json:3: rest: unknown field")
    assert "rest_endpoint" in second
    assert third.startswith('config/okx_config.json:4: candle_intervals[1]: "7m" is not allowed: must be 1s, 1m')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config/okx_config.json: has 0 documents. Give one object, or remove the file"),
        ("[1]", 'config/okx_config.json:1: must be an object: {"ping_interval": 20}'),
        (
            '{"ping_interval": 5,\n"ping_interval": 6}',
            "config/okx_config.json:2: ping_interval: appears twice. Keep one",
        ),
    ],
)
def test_a_file_of_another_form_is_an_error(text: str, message: str) -> None:
    write(text)
    with pytest.raises(InputError) as raised:
        options_of("okx", {})
    assert str(raised.value) == message


def test_a_file_that_cannot_be_read_is_an_error() -> None:
    write('{"ping_interval": ')
    with pytest.raises(InputError, match=r"config/okx_config\.json:1"):
        options_of("okx", {})


def test_faults_between_file_and_arguments_are_found() -> None:
    write('{"backoff_max": 2.0}')
    with pytest.raises(ConfigurationError, match="backoff_initial is 5, backoff_max is 2"):
        options_of("okx", {"backoff_initial": 5.0})


# -- settings


def test_every_option_arrives_at_the_collector() -> None:
    options = {
        "websocket_endpoint": "ws://127.0.0.1:1",
        "rest_endpoint": "http://127.0.0.1:2",
        "ping_interval": 11.0,
        "max_reconnect_attempts": 3,
        "backoff_initial": 0.5,
        "backoff_max": 7.0,
        "stale_after": 9.0,
        "orderbook_depth": 400,
        "candle_intervals": ["1m", "1h"],
        "record_directory": "there",
        "credentials_directory": "keys",
    }
    assert {*options, "start_timeout", "state_directory"} == set(ExchangeOptions.model_fields)
    settings = settings_of(config(), options_of("okx", json.loads(json.dumps(options))))
    assert (settings.endpoint_websocket, settings.endpoint_rest) == ("ws://127.0.0.1:1", "http://127.0.0.1:2")
    assert (settings.ping_interval_s, settings.max_reconnect_attempts, settings.stale_after_s) == (11.0, 3, 9.0)
    assert (settings.backoff_initial_s, settings.backoff_max_s) == (0.5, 7.0)
    assert (settings.book_depth, settings.candle_intervals) == (400, ("1m", "1h"))
    assert settings.credentials_directory == Path("keys")
    assert [sink.directory for sink in settings.sinks if isinstance(sink, FileSinkSettings)] == [Path("there")]


def test_an_api_key_is_not_sent_unencrypted() -> None:
    options = ExchangeOptions(websocket_endpoint="ws://10.0.0.1:1")
    assert settings_of(config(), options).endpoint_websocket
    with pytest.raises(ConfigurationError, match=r"^custom_params: .ws://10.* unencrypted$"):
        settings_of(config(data_types=["balance"]), options)


def test_only_raw_frames_or_a_directory_need_a_file_sink() -> None:
    assert settings_of(config(), ExchangeOptions()).sinks == ()
    (sink,) = settings_of(config(store_raw_data=True), ExchangeOptions()).sinks
    assert isinstance(sink, FileSinkSettings)
    assert sink.directory == Path("records")


def test_defaults_and_limits_are_those_of_the_resource() -> None:
    ours = ExchangeOptions()
    assert {
        (ours.ping_interval, *limits(ExchangeOptions, "ping_interval")): (Connection, "pingInterval"),
        (ours.backoff_initial, *limits(ExchangeOptions, "backoff_initial")): (Backoff, "initial"),
        (ours.backoff_max, *limits(ExchangeOptions, "backoff_max")): (Backoff, "max"),
        (ours.stale_after, *limits(ExchangeOptions, "stale_after")): (Collection, "staleAfter"),
        (config().health_check_interval, *limits(ExchangeCollectorConfig, "health_check_interval")): (
            Collection,
            "healthCheckInterval",
        ),
    } == {
        of_the_resource(section, name): (section, name)
        for section, name in (
            (Connection, "pingInterval"),
            (Backoff, "initial"),
            (Backoff, "max"),
            (Collection, "staleAfter"),
            (Collection, "healthCheckInterval"),
        )
    }
    assert ours.max_reconnect_attempts == Connection().max_reconnect_attempts
    for name, venue in EXCHANGES.items():
        assert settings_of(config(exchange=name), ours).book_depth in venue.book_depths


def limits(model: Any, name: str) -> tuple[float, float]:
    kind = model.model_fields[name].kind
    return kind.low, kind.high


def of_the_resource(section: Any, name: str) -> tuple[float, float, float]:
    field: Any = fields_of(section)[name]
    return seconds(field.default), seconds(field.kind.low), seconds(field.kind.high)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"ping_interval": None}, "ping_interval: must not be None. Leave it out for the default"),
        ({"ping_interval": float("nan")}, "ping_interval: NaN is out of range: must be 1 to 25. Nearest: 25"),
        ({"record_directory": 3}, "record_directory: must be a path, not a number (3)"),
        ({"max_reconnect_attempts": True}, "max_reconnect_attempts: must be an integer, not a boolean (true)"),
    ],
)
def test_options_are_checked_when_they_are_made(given: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        ExchangeOptions(**given)
    assert str(raised.value) == line


def test_options_compare_and_show_their_values() -> None:
    assert hash(ExchangeOptions()) == hash(ExchangeOptions(ping_interval=20))
    assert ExchangeOptions() != ExchangeOptions(ping_interval=19)
    assert "ping_interval=19.0" in repr(ExchangeOptions(ping_interval=19))
    with pytest.raises(ConfigurationError, match="frozen"):
        del ExchangeOptions().ping_interval


def test_files_of_the_repository_have_the_defaults() -> None:
    for source in (Path(__file__).parents[3] / "config").glob("*_config.json"):
        exchange = source.name.removesuffix("_config.json")
        Path("config").mkdir(exist_ok=True)
        (Path("config") / source.name).write_text(source.read_text())
        assert options_of(exchange, {}) == ExchangeOptions()


def test_candles_that_the_exchange_lacks_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"candle_intervals: bybit offers candles of 1m, .* \(1s is not\)"):
        ExchangeCollectorConfig("bybit", "BTC-USDT", ["candle"], custom_params={"candle_intervals": ["1s", "1m"]})
