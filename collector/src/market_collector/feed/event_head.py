"""The fields that all events of a stream share."""

from __future__ import annotations

from typing import TypedDict

from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream


class EventHead(TypedDict):
    """Arguments of an event that say which stream it is about, and when it was noticed."""

    exchange: str
    symbol: str
    exchange_time_ns: None
    receive_time_ns: int
    stream: str
    data_type: DataType
    interval: str | None


def event_head(exchange: str, stream: Stream, now: Moment) -> EventHead:
    """Return these fields for an event of now."""
    return EventHead(
        exchange=exchange,
        symbol=stream.symbol,
        exchange_time_ns=None,
        receive_time_ns=now.wall_ns,
        stream=str(stream),
        data_type=stream.data_type,
        interval=stream.interval or None,
    )
