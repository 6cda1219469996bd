"""Creates collectors, and lists exchanges and symbols."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypedDict

from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig, known_exchange, options_of
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import REST, WEBSOCKET
from market_collector.model.events import TRADING
from market_collector.model.streams import DataType
from market_collector.net.catalogue import catalogue
from market_spec.exchanges import CAPABILITIES

P = ParamSpec("P")


class ExchangeInfo(TypedDict):
    """Capabilities of an exchange in this package."""

    exchange: str
    kinds: list[str]
    """Of its instruments: ``spot``, ``perpetual``, ``future``."""
    data_types: list[str]
    partial_data_types: list[str]
    """Those of which the exchange reports only a part."""
    orderbook_depths: list[int]
    """Levels a side."""
    candle_intervals: list[str]
    websocket: str
    """Base address."""
    rest: str
    """Base address."""
    max_ping_interval: float
    """Seconds."""


class ExchangeFactory:
    """Static functions under one name; needs no instance."""

    @staticmethod
    def create_collector(config: ExchangeCollectorConfig) -> ExchangeCollector:
        """A collector that is not started.

        Raises:
            ConfigurationError: ``config`` is no `ExchangeCollectorConfig`.
            InputError: ``config/EXCHANGE_config.json`` cannot be read, or something in it is not allowed.
        """
        return ExchangeCollector(config)

    @staticmethod
    def get_exchange_info(exchange: str) -> ExchangeInfo:
        """Capabilities of an exchange, without a request to it.

        Raises:
            ConfigurationError: there is no such exchange here.
        """
        venue = EXCHANGES[known_exchange(exchange)]
        return {
            "exchange": venue.name,
            "kinds": list(CAPABILITIES[venue.name].kinds),
            "data_types": [each.value for each in DataType if each in venue.offers],
            "partial_data_types": list(CAPABILITIES[venue.name].partial_types),
            "orderbook_depths": list(venue.book_depths),
            "candle_intervals": list(venue.candle_intervals),
            "websocket": venue.hosts[WEBSOCKET],
            "rest": venue.hosts[REST],
            "max_ping_interval": venue.heartbeat.max_interval_s,
        }

    @staticmethod
    def get_supported_pairs(exchange: str, *, rest_endpoint: str | None = None) -> list[str]:
        """The symbols that trade now, sorted, from the exchange's catalogue: spot instruments and contracts.

        It blocks until the exchange answers a request for each kind of instrument. The requests wait for their turn
        within the exchange's limits, like those of collectors in the same process.

        In a coroutine use `get_supported_pairs_async`, which does not block.

        Args:
            exchange: one of `get_supported_exchanges`.
            rest_endpoint: base address instead of that of ``config/EXCHANGE_config.json`` or the exchange's own.

        Raises:
            InputError: there is no such exchange here, or its file or the address is not allowed.
            RequestFailedError: there was no answer, or an unreadable one.
        """
        venue = EXCHANGES[known_exchange(exchange)]
        given = {"rest_endpoint": rest_endpoint} if rest_endpoint else {}
        found = catalogue(venue, options_of(exchange, given).rest_endpoint)
        return [str(each.symbol) for each in found if each.status == TRADING]

    @staticmethod
    async def get_supported_pairs_async(exchange: str, *, rest_endpoint: str | None = None) -> list[str]:
        """The same in a thread, for coroutines."""
        return await asyncio.to_thread(ExchangeFactory.get_supported_pairs, exchange, rest_endpoint=rest_endpoint)


def _checks_names(create: Callable[P, ExchangeCollector]) -> Callable[P, ExchangeCollector]:
    """Explains an argument that does not exist, which Python would only name."""

    @wraps(create)
    def checked(*arguments: P.args, **given: P.kwargs) -> ExchangeCollector:
        ExchangeCollectorConfig.check_names(given)
        return create(*arguments, **given)

    return checked


class CreateCollector(Protocol):
    """Creates a collector of one exchange; the arguments are those of `ExchangeCollectorConfig`."""

    def __call__(
        self,
        symbol: str | None = None,
        data_types: Sequence[DataType | str] | None = None,
        auto_restart: bool = True,
        health_check_interval: float = 30.0,
        store_raw_data: bool = False,
        custom_params: Mapping[str, Any] | None = None,
        *,
        symbols: Sequence[str] | None = None,
    ) -> ExchangeCollector:
        """A collector that is not started.

        Raises:
            InputError: an argument, or something in ``config/EXCHANGE_config.json``, is not allowed.
        """
        ...


def _creator(exchange: str) -> CreateCollector:
    @_checks_names
    def create(
        symbol: str | None = None,
        data_types: Sequence[DataType | str] | None = None,
        auto_restart: bool = True,
        health_check_interval: float = 30.0,
        store_raw_data: bool = False,
        custom_params: Mapping[str, Any] | None = None,
        *,
        symbols: Sequence[str] | None = None,
    ) -> ExchangeCollector:
        config = ExchangeCollectorConfig(
            exchange, symbol, data_types, auto_restart, health_check_interval, store_raw_data, custom_params,
            symbols=symbols,
        )  # fmt: skip
        return ExchangeFactory.create_collector(config)

    create.__name__ = create.__qualname__ = f"create_{exchange}_collector"
    create.__doc__ = f"""A collector of {exchange} that is not started; see `CreateCollector`.

    Raises:
        InputError: an argument, or something in ``config/{exchange}_config.json``, is not allowed.
    """
    return create


create_okx_collector = _creator("okx")
create_binance_collector = _creator("binance")
create_bybit_collector = _creator("bybit")


def get_supported_exchanges() -> list[str]:
    """The names of the supported exchanges, sorted."""
    return sorted(EXCHANGES)
