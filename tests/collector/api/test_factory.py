"""Making collectors, and what there is to collect."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import market_collector
from loopback import new_address
from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig
from market_collector.api.factory import ExchangeFactory, create_okx_collector, get_supported_exchanges
from market_collector.errors import ConfigurationError, InputError, RequestFailedError
from market_collector.exchanges.okx.exchange import Okx
from market_collector.model.streams import DataType
from simulator_process import MARKET, Simulator, simulator


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


def test_the_exchanges_are_those_that_are_implemented() -> None:
    assert get_supported_exchanges() == ["binance", "bybit", "okx"]


def test_a_collector_is_made_of_a_configuration() -> None:
    config = ExchangeCollectorConfig("okx", "BTC-USDT", [DataType.TRADE])
    made = ExchangeFactory.create_collector(config)
    assert isinstance(made, ExchangeCollector)
    assert (made.config, made.name, made.state) == (config, "okx_btc_usdt", "stopped")


@pytest.mark.parametrize(
    "made",
    [
        lambda: create_okx_collector("BTC-USDT", [DataType.TRADE]),
        lambda: create_okx_collector(symbol="BTC-USDT", data_types=[DataType.TRADE]),
        lambda: create_okx_collector("BTC-USDT", ["trade"], auto_restart=True, custom_params={}),
    ],
)
def test_the_short_way_gives_the_same(made: Any) -> None:
    assert made().config == ExchangeCollectorConfig("okx", "BTC-USDT", [DataType.TRADE])


@pytest.mark.parametrize("exchange", get_supported_exchanges())
def test_each_exchange_has_a_short_way(exchange: str) -> None:
    create = getattr(market_collector, f"create_{exchange}_collector")
    assert create("BTC-USDT", ["trade"]).config == ExchangeCollectorConfig(exchange, "BTC-USDT", [DataType.TRADE])
    assert exchange in create.__name__
    assert f"config/{exchange}_config.json" in create.__doc__


def test_capabilities_need_no_request() -> None:
    info = ExchangeFactory.get_exchange_info("okx")
    assert info["kinds"] == ["spot", "perpetual", "future"]
    assert info["data_types"][:6] == ["trade", "orderbook", "ticker", "candle", "quote", "balance"]
    assert info["data_types"][6:] == ["funding", "markprice", "openinterest", "liquidation"]
    assert info["partial_data_types"] == ["liquidation"]
    assert info["orderbook_depths"] == [400]
    assert "1m" in info["candle_intervals"]
    assert (info["websocket"], info["rest"]) == (Okx.hosts["websocket"], Okx.hosts["rest"])


def test_an_unknown_exchange_names_the_known_ones() -> None:
    for ask in (ExchangeFactory.get_exchange_info, ExchangeFactory.get_supported_pairs):
        with pytest.raises(ConfigurationError, match='exchange: "mtgox" is not allowed: must be binance, bybit or okx'):
            ask("mtgox")


@pytest.mark.parametrize("exchange", ["OKX", ["okx"], None])
def test_a_wrong_name_of_an_exchange_is_explained(exchange: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"exchange: .* is not allowed: must be binance, bybit or okx"):
        ExchangeFactory.get_exchange_info(exchange)


@pytest.mark.parametrize("config", ["okx", {"exchange": "okx"}, ExchangeCollectorConfig])
def test_a_collector_is_made_only_of_a_configuration(config: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=r"config: must be an ExchangeCollectorConfig, not .* Write ExchangeColl"
    ):
        ExchangeFactory.create_collector(config)


@pytest.mark.simulator
def test_pairs_are_asked_from_the_exchange(exchange: Simulator) -> None:
    assert ExchangeFactory.get_supported_pairs("okx", rest_endpoint=exchange.rest) == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.simulator
@pytest.mark.parametrize("name", ["binance", "bybit"])
def test_pairs_of_each_kind_have_canonical_names(name: str) -> None:
    symbols = ["BTC-USDT", "BTC-USDT-PERP", "ETH-USDT"]
    with simulator("--market", "7", "--symbols", ",".join(symbols), "--rate", "10", exchange=name) as running:
        assert ExchangeFactory.get_supported_pairs(name, rest_endpoint=running.rest) == symbols


@pytest.mark.simulator
def test_pairs_have_the_canonical_names_of_contracts() -> None:
    names = "BTC-USDT,BTC-USDT-PERP,BTC-USD-PERP-BTC,BTC-USDT-270326"
    with simulator("--market", "7", "--symbols", names, "--rate", "10") as running:
        pairs = ExchangeFactory.get_supported_pairs("okx", rest_endpoint=running.rest)
    assert pairs == ["BTC-USD-PERP-BTC", "BTC-USDT", "BTC-USDT-270326", "BTC-USDT-PERP"]


@pytest.mark.simulator
def test_pairs_are_asked_at_the_address_in_the_exchanges_file(exchange: Simulator) -> None:
    Path("config").mkdir()
    Path("config/okx_config.json").write_text(f'{{"rest_endpoint": "{exchange.rest}/"}}')
    assert ExchangeFactory.get_supported_pairs("okx") == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.simulator
async def test_a_coroutine_asks_without_making_others_wait(exchange: Simulator) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    waiting = asyncio.create_task(others())
    pairs = await ExchangeFactory.get_supported_pairs_async("okx", rest_endpoint=exchange.rest)
    waiting.cancel()
    assert pairs == ["BTC-USDT", "ETH-USDT"]
    assert turns > 1


def test_an_error_names_the_request_without_an_answer() -> None:
    nobody = f"http://{new_address()}"
    with pytest.raises(
        RequestFailedError, match=rf"the instruments of okx cannot be listed: GET {nobody}/api/v5/public/ins.*refused"
    ):
        ExchangeFactory.get_supported_pairs("okx", rest_endpoint=nobody)


def test_an_address_that_is_none_is_the_users_error() -> None:
    with pytest.raises(InputError, match=r'rest_endpoint: "okx\.com" is not a base address'):
        ExchangeFactory.get_supported_pairs("okx", rest_endpoint="okx.com")
