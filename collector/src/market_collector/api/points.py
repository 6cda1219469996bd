"""The arguments of callbacks."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from market_collector.model.events import AnyData, AnyEvent, Candle, Data, Event
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
    """The record's fields, those of the JSON lines (README, "Records"): prices and amounts are exact decimal strings,
    ``exchange_time_ns`` and ``receive_time_ns`` are integers. Each callback gets a dictionary of its own."""
    timestamp: datetime
    """The exchange's time of the event, in UTC; the open time of a candle; the time of receipt where the exchange gives
    no time."""

    @property
    def record(self) -> AnyData:
        """``data`` as a typed record of `market_collector.records`; a new one each time.

        Raises:
            msgspec.ValidationError: A callback has changed ``data``, and it is no record any more.
        """
        record: AnyData = msgspec.convert(self.data, AnyData)
        return record


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event of a stream, such as a gap, a backfill or a refusal."""

    exchange: str
    symbol: str | None
    """None: the whole connection."""
    kind: str
    """``connected``, ``disconnected``, ``gap``, ``repaired``, ``lost``, ``resync``, ``refused``, ``dropped``."""
    data: dict[str, Any]
    """The event's fields, those of the JSON lines (README, "Records")."""
    timestamp: datetime
    """When it was detected, in UTC."""

    @property
    def record(self) -> AnyEvent:
        """``data`` as a typed record of `market_collector.records`; a new one each time.

        Raises:
            msgspec.ValidationError: A callback has changed ``data``, and it is no record any more.
        """
        record: AnyEvent = msgspec.convert(self.data, AnyEvent)
        return record


def data_point(record: Data) -> DataPoint:
    """A record as the argument of a callback."""
    return DataPoint(record.exchange, record.symbol, data_type(type(record)), _fields(record), utc(_time_ns(record)))


def stream_event(event: Event) -> StreamEvent:
    """An event as the argument of a callback."""
    fields = _fields(event)
    return StreamEvent(event.exchange, event.symbol, fields["type"], fields, utc(event.receive_time_ns))


@cache
def data_type(kind: type[Data]) -> DataType:
    """The data type of a kind of record; both have the same name."""
    return DataType(str(kind.__struct_config__.tag))


def _time_ns(record: Data) -> int:
    if isinstance(record, Candle):
        return record.open_time_ns
    return record.receive_time_ns if record.exchange_time_ns is None else record.exchange_time_ns


def _fields(record: Data | Event) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields


def utc(time_ns: int) -> datetime:
    """A time of a record, exact to the microsecond, which a float of seconds is not."""
    return EPOCH + timedelta(microseconds=time_ns // 1000)
