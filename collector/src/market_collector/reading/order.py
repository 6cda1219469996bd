"""Order of records: by the time of the event, then by the exchange's number."""

from __future__ import annotations

from typing import Any

from market_collector.model.events import Candle, Data, Orderbook, Quote, Record, Trade


def event_time_ns(record: Record) -> int:
    """Time of the event: the exchange's time, or the receive time if the exchange sends none."""
    return record.receive_time_ns if record.exchange_time_ns is None else record.exchange_time_ns


def order(record: Record) -> tuple[Any, ...]:
    """Return a sort key: by time, then symbol, then id. The time of a candle is its open time."""
    source = record.exchange, record.symbol or ""
    match record:
        case Trade():
            return event_time_ns(record), *source, len(record.trade_id), record.trade_id
        case Orderbook():  # a snapshot shows the state after the update of its sequence
            sequence = -1 if record.sequence is None else record.sequence
            return event_time_ns(record), *source, sequence, record.action == "snapshot"
        case Quote():
            return event_time_ns(record), *source, -1 if record.sequence is None else record.sequence
        case Candle():
            return record.open_time_ns, *source, record.interval
        case Data():
            return event_time_ns(record), *source, record.receive_time_ns
    return (record.receive_time_ns,)
