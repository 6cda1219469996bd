"""The Python API: a collector as a library, for asyncio programs.

``ExchangeCollectorConfig`` says what to collect, ``ExchangeFactory`` makes an `ExchangeCollector` of it, callbacks get
`DataPoint`s, ``CollectorManager`` keeps several collectors. Underneath runs what ``market-collector run`` runs; the
callbacks are one more sink of it. Needs pydantic: ``pip install 'market-collector[api]'``.
"""

try:
    import pydantic as _  # noqa: F401 - looked for here, so that its absence is said in one place
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "the Python API of market_collector needs pydantic: pip install 'market-collector[api]'", name="pydantic"
    ) from error

from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig, ExchangeOptions
from market_collector.api.factory import ExchangeFactory, create_okx_collector, get_supported_exchanges
from market_collector.api.manager import CollectorManager
from market_collector.api.points import DataPoint, StreamEvent
from market_collector.errors import (
    CollectorError,
    ConfigurationError,
    ConnectionFailedError,
    InputError,
    RequestFailedError,
    StreamRefusedError,
)
from market_collector.model.streams import DataType

__all__ = [
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
    "RequestFailedError",
    "StreamEvent",
    "StreamRefusedError",
    "create_okx_collector",
    "get_supported_exchanges",
]
