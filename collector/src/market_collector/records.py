"""The typed records: market data, and events about the data.

``DataPoint.record`` and ``StreamEvent.record`` return them. A line of a JSON lines file becomes one with
``msgspec.json.decode(line, type=AnyRecord)``. Records are frozen. Their fields are those of docs/records.md.

* ``exchange_time_ns`` and ``receive_time_ns`` are nanoseconds since 1970 (UTC); the former is None where the exchange
  gives no time.
* Prices and amounts are decimal strings, exactly as the exchange sent them: ``Decimal(trade.price)`` loses nothing.
* ``symbol`` is None in an event of a whole connection.
"""

from market_collector.model.events import (
    AnyData,
    AnyEvent,
    AnyRecord,
    Balance,
    Candle,
    Connected,
    Data,
    Disconnected,
    Dropped,
    Event,
    Funding,
    Gap,
    Header,
    Instrument,
    Level,
    Liquidation,
    Lost,
    MarkPrice,
    OpenInterest,
    Orderbook,
    Quote,
    Raw,
    Recording,
    Refused,
    Repaired,
    Resync,
    Ticker,
    Trade,
)

__all__ = [
    "AnyData",
    "AnyEvent",
    "AnyRecord",
    "Balance",
    "Candle",
    "Connected",
    "Data",
    "Disconnected",
    "Dropped",
    "Event",
    "Funding",
    "Gap",
    "Header",
    "Instrument",
    "Level",
    "Liquidation",
    "Lost",
    "MarkPrice",
    "OpenInterest",
    "Orderbook",
    "Quote",
    "Raw",
    "Recording",
    "Refused",
    "Repaired",
    "Resync",
    "Ticker",
    "Trade",
]
