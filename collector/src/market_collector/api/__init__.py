"""The Python API: a collector as a library, for asyncio programs.

``ExchangeCollectorConfig`` says what to collect, ``ExchangeFactory`` makes an `ExchangeCollector` of it, and callbacks
get `DataPoint`s. ``CollectorManager`` keeps several collectors. Underneath runs the same code as in
``market-collector run``; the callbacks are one more sink.
"""

from market_collector.api.book import BookView
from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig, ExchangeOptions
from market_collector.api.factory import (
    ExchangeFactory,
    create_binance_collector,
    create_bybit_collector,
    create_okx_collector,
    get_supported_exchanges,
)
from market_collector.api.manager import CollectorManager
from market_collector.api.points import DataPoint, StreamEvent
from market_collector.api.stream import RecordStream
from market_collector.errors import (
    CollectorError,
    ConfigurationError,
    ConnectionFailedError,
    InputError,
    RequestFailedError,
    StreamRefusedError,
    WrongLoopError,
)
from market_collector.model.streams import DataType

__all__ = [
    "BookView",
    "CollectorError",
    "CollectorManager",
    "ConfigurationError",
    "ConnectionFailedError",
    "DataPoint",
    "DataType",
    "ExchangeCollector",
    "ExchangeCollectorConfig",
    "ExchangeFactory",
    "ExchangeOptions",
    "InputError",
    "RecordStream",
    "RequestFailedError",
    "StreamEvent",
    "StreamRefusedError",
    "WrongLoopError",
    "create_binance_collector",
    "create_bybit_collector",
    "create_okx_collector",
    "get_supported_exchanges",
]
