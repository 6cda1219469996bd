"""Identity of records: two market data records of one identity are the same fact (docs/records.md).

It uses exchange data only, so records of replicas, of a rollout's overlap and of a backfill agree. An instrument's has
the time from which it is valid, which differs between replicas. Events have none, because each collector has its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeVar

import msgspec

from market_collector.model.events import Candle, Data, Funding, Instrument, Orderbook, Quote, Record, Trade

AnyOf = TypeVar("AnyOf", bound=Record)


def identity(record: Data | Instrument) -> Hashable:
    """Return the identity of a record. Equal values are the same fact, also of different types."""
    source = type(record), record.exchange, record.symbol
    match record:
        case Trade():  # an exchange may restart its ids and sequences, so the time belongs to them
            return *source, record.trade_id, record.exchange_time_ns
        case Orderbook():
            return *source, record.sequence, record.exchange_time_ns, record.action, record.cause
        case Quote():  # one from a snapshot over REST has no time, so the prices stand for it
            prices = record.bid, record.bid_amount, record.ask, record.ask_amount
            return *source, record.sequence, *prices, record.source
        case Candle():
            return *source, record.interval, record.open_time_ns
        case Funding(kind="settled"):  # repeated until the next payment
            return *source, record.kind, record.funding_time_ns
        case Instrument():
            return *source, record.valid_from_ns
    return type(record), *msgspec.structs.astuple(msgspec.structs.replace(record, receive_time_ns=0))


def supersedes(new: Data | Instrument, old: Data | Instrument) -> bool:
    """Return whether a record replaces another one of its identity.

    Live trades win over backfilled ones, quotes with an exchange time over those without, and closed candles over open
    ones. Then the later candle wins, but the earlier record of any other type.
    """
    match new, old:
        case Trade(), Trade() if new.backfilled != old.backfilled:
            return old.backfilled
        case Quote(), Quote() if (new.exchange_time_ns is None) != (old.exchange_time_ns is None):
            return old.exchange_time_ns is None
        case Candle(), Candle():
            return (new.closed, new.receive_time_ns) > (old.closed, old.receive_time_ns)
    return new.receive_time_ns < old.receive_time_ns


def union(*replicas: Iterable[AnyOf]) -> list[AnyOf]:
    """Return the records of all replicas, each fact once, in the order in which they first appear.

    Events are returned as they are. The result does not depend on the order of records or replicas, except for its
    order.
    """
    best: dict[Hashable, AnyOf] = {}
    for replica in replicas:
        for record in replica:
            if not isinstance(record, Data | Instrument):
                best[object()] = record
                continue
            known = best.setdefault(key := identity(record), record)
            if isinstance(known, Data | Instrument) and supersedes(record, known):
                best[key] = record
    return list(best.values())
