"""Collectors of the library against the simulator, for tests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from market_collector.api.collector import ExchangeCollector
from market_collector.api.configuration import ExchangeCollectorConfig
from market_collector.model.streams import DataType
from simulator_process import Simulator


def collector(exchange: Simulator, *types: DataType, **more: Any) -> ExchangeCollector:
    """A collector with short backoff, of BTC-USDT and its trades unless others are given."""
    more |= {} if "symbols" in more else {"symbol": more.get("symbol", "BTC-USDT")}
    endpoints = {"websocket_endpoint": exchange.websocket, "rest_endpoint": exchange.rest}
    params = endpoints | {"backoff_initial": 0.05, "backoff_max": 0.2} | more.pop("custom_params", {})
    return ExchangeCollector(
        ExchangeCollectorConfig(
            exchange.words.name, data_types=types or (DataType.TRADE,), custom_params=params, **more
        )
    )


@asynccontextmanager
async def running(made: ExchangeCollector) -> AsyncIterator[ExchangeCollector]:
    """The collector while it runs; it must stop without an error."""
    async with made:
        yield made
    assert made.state == "stopped"


async def comes(is_so: Callable[[], Any], within_s: float = 60.0) -> None:
    """Waits until something is so."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.01)
