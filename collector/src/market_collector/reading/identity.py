"""Identity of records, by exchange data only: two records of one identity are the same fact (docs/records.md)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

from market_collector.model.events import Balance, Candle, Data, Orderbook, Record, Ticker, Trade


def identity(record: Data) -> Hashable:
    """Return the identity of a market data record, within the records of its type."""
    source = record.exchange, record.symbol
    match record:
        case Trade():  # an exchange may restart its ids and sequences, so the time belongs to them
            return *source, record.trade_id, record.exchange_time_ns
        case Orderbook():
            return *source, record.sequence, record.exchange_time_ns, record.action
        case Candle():
            return *source, record.interval, record.open_time_ns
        case Balance():
            return *source, record.asset, record.exchange_time_ns
    return msgspec.structs.astuple(msgspec.structs.replace(record, receive_time_ns=0))


def is_better(record: Data, known: Data) -> bool:
    """Return whether a record replaces another one of its identity.

    Live trades win over backfilled ones, and closed candles over open ones. Then the later candle wins, but the
    earlier record of any other type.
    """
    match record, known:
        case Trade(), Trade() if record.backfilled != known.backfilled:
            return known.backfilled
        case Candle(), Candle():
            return (record.closed, record.receive_time_ns) > (known.closed, known.receive_time_ns)
    return record.receive_time_ns < known.receive_time_ns


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
        case Candle():
            return record.open_time_ns, *source, record.interval
        case Balance() | Ticker():
            return event_time_ns(record), *source, record.receive_time_ns
    return (record.receive_time_ns,)
