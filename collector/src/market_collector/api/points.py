"""What callbacks are called with."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from market_collector.model.events import Data, Event
from market_collector.model.streams import DataType

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DataPoint:
    """One record of market data."""

    exchange: str
    symbol: str
    """Canonical BASE-QUOTE; ``account`` for balances."""
    data_type: DataType
    data: dict[str, Any]
    """The record's fields, those of the JSON lines (README, "Records"): prices and amounts are exact decimal text,
    ``exchange_time_ns`` and ``receive_time_ns`` are whole. Each callback gets a dictionary of its own."""
    timestamp: datetime
    """The exchange's time of the event, in UTC; when it was received where the exchange gives none (candles)."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """Something that happened to a stream: what is missing, repaired, refused."""

    exchange: str
    symbol: str | None
    """None: the whole connection."""
    kind: str
    """``connected``, ``disconnected``, ``gap``, ``repaired``, ``lost``, ``resync``, ``refused``, ``dropped``."""
    data: dict[str, Any]
    """The event's fields, those of the JSON lines (README, "Records")."""
    timestamp: datetime
    """When it was noticed, in UTC."""


def data_point(record: Data) -> DataPoint:
    """A record as a callback sees it."""
    time_ns = record.receive_time_ns if record.exchange_time_ns is None else record.exchange_time_ns
    return DataPoint(record.exchange, record.symbol, data_type(type(record)), _fields(record), _time(time_ns))


def stream_event(event: Event) -> StreamEvent:
    """An event as a callback sees it."""
    fields = _fields(event)
    return StreamEvent(event.exchange, event.symbol, fields["type"], fields, _time(event.receive_time_ns))


@cache
def data_type(kind: type[Data]) -> DataType:
    """The data type of a kind of record: they bear the same words."""
    return DataType(str(kind.__struct_config__.tag))


def _fields(record: Data | Event) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


def _time(time_ns: int) -> datetime:
    """Exact to the microsecond, which a float of seconds is not."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)
