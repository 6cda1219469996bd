# %% [markdown]
# # Market data in a Python program
#
# Each `# %%` starts a cell of a notebook (VS Code, Jupyter with jupytext); `python examples/python_api.py` runs all.
# To collect from another address than OKX's own, write it to `config/okx_config.json`:
# `{"websocket_endpoint": "ws://127.0.0.1:8443", "rest_endpoint": "http://127.0.0.1:8443"}` (`market-simulator serve`).

# %% Exchanges and their capabilities
import asyncio
from decimal import Decimal

from market_collector import (
    CollectorManager,
    DataPoint,
    DataType,
    ExchangeCollectorConfig,
    ExchangeFactory,
    StreamEvent,
    create_okx_collector,
    get_supported_exchanges,
)
from market_collector.records import Gap, Trade

for exchange in get_supported_exchanges():
    info = ExchangeFactory.get_exchange_info(exchange)
    print(f"{exchange} offers {', '.join(info['data_types'])}; candles of {', '.join(info['candle_intervals'])}")

# %% One collector, with a callback for each type
volume: dict[str, Decimal] = {}


def on_trade(point: DataPoint) -> None:
    """Prices and amounts are exact decimal strings; the timestamp is the exchange's, in UTC."""
    volume[point.symbol] = volume.get(point.symbol, Decimal(0)) + Decimal(point.data["amount"])


async def on_book(point: DataPoint) -> None:
    """A coroutine function is awaited. Records queue for it in order; other callbacks go on."""
    if point.data["action"] == "snapshot":
        price, amount = point.data["bids"][0]
        print(f"{point.timestamp:%H:%M:%S} {point.symbol} best bid {price} ({amount})")


def on_event(event: StreamEvent) -> None:
    """Stream events are of kind ``gap``, ``repaired``, ``lost``, ``disconnected``, ..."""
    print(f"{event.exchange} {event.symbol or 'connection'}: {event.kind} {event.data.get('reason', '')}")


async def one_collector() -> None:
    """From a configuration to a stopped collector."""
    config = ExchangeCollectorConfig(
        exchange="okx",
        symbol="BTC-USDT",
        data_types=[DataType.TRADE, DataType.ORDERBOOK],
        custom_params={"ping_interval": 25.0, "max_reconnect_attempts": 5},
    )
    collector = ExchangeFactory.create_collector(config)
    collector.add_data_callback(DataType.TRADE, on_trade)
    collector.add_data_callback(DataType.ORDERBOOK, on_book)
    collector.add_event_callback(on_event)

    await collector.start()  # returns once connected, or raises an error with the reason
    await asyncio.sleep(2)
    status = collector.get_status()
    print(f"{status['exchange']} is {status['websocket_state']}: {status['messages_processed']} messages")
    print(f"reconnections {status['websocket_stats']['reconnections']}, open gaps {status['gaps']['open']}")
    print("health:", collector.get_health_status()["health"])
    await collector.stop()
    print("traded:", volume)


# %% Several collectors: one that fails is restarted
async def several_collectors() -> None:
    """Any pair of the exchange can be added."""
    pairs = await ExchangeFactory.get_supported_pairs_async("okx")
    print(f"{len(pairs)} pairs, for example {', '.join(pairs[:3])}")
    manager = CollectorManager("multi")
    for symbol in ("BTC-USDT", "ETH-USDT"):
        collector = create_okx_collector(symbol, [DataType.TRADE])
        collector.add_data_callback(DataType.TRADE, on_trade)
        manager.add_collector(collector)
    async with manager:  # start and stop
        await asyncio.sleep(2)
        status = manager.get_status()
        print(f"{status['running_collectors']} of {status['total_collectors']} run")
    print("traded:", volume)


# %% One loop over typed records and events of several symbols, beside their books
async def one_stream() -> None:
    """Leaving the loop ends the stream."""
    trades = 0
    async with create_okx_collector(symbols=["BTC-USDT", "ETH-USDT"], data_types=["trade", "orderbook"]) as collector:
        async for record in collector.stream():
            match record:
                case Trade():
                    book = collector.book(record.symbol)  # without values while it is not proved
                    print(f"{record.symbol} {record.side} {record.price} of {book.bid} / {book.ask}")
                    trades += 1
                case Gap():
                    print(f"missing: {record.stream} {record.first_id} to {record.last_id}")
            if trades == 10:
                break


# %% In a notebook: `await one_collector()`, `await several_collectors()` and `await one_stream()`
async def main() -> None:
    """All cells."""
    await one_collector()
    await several_collectors()
    await one_stream()


if __name__ == "__main__" and "get_ipython" not in globals():
    asyncio.run(main())
