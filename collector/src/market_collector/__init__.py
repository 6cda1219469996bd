"""Collects market data from exchanges over WebSocket, and reports every gap.

As a library: ``from market_collector import DataType, ExchangeCollectorConfig, ExchangeFactory, CollectorManager``
(see `market_collector.api`). These names are loaded when they are first used, so that a pod does without the API.
"""

# ruff: noqa: F403, F405
from importlib import import_module

TYPE_CHECKING = False  # of type checkers; importing it from typing would delay the first handler of SIGTERM
if TYPE_CHECKING:
    from market_collector.api import *  # its __all__ is the list below; a test compares them

__version__ = "0.1.0"

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


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("market_collector.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
