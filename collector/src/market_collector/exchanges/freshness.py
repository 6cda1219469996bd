"""Common judgement of answers about a stream's newest event."""

import msgspec
from msgspec.structs import replace

from market_collector.exchanges.interface import Evidence, Finding, Freshness, Seen
from market_collector.model.events import Data, OpenInterest, State


def by_number(newest: int | None, known: Evidence | None) -> Freshness:
    """Judge by a number that grows with each event of the stream.

    Args:
        newest: the number of the exchange's newest event; None if the exchange has none.
        known: the number of our last one, or of the last answer; None if there is neither.
    """
    if newest is None:
        return Freshness(Finding.EMPTY)
    if not isinstance(known, int):
        return Freshness(Finding.UNKNOWN, evidence=newest)
    if newest == known:
        return Freshness(Finding.QUIET)
    if newest < known:
        return Freshness(Finding.OLDER, detail=f"{newest} before {known}")
    return Freshness(Finding.NEWER, newest, newest, f"{newest} after {known}")


def by_state(newest: State | None, seen: Seen) -> Freshness:
    """Judge by the values of a state. Their time may be that of the answer, so it does not tell.

    Args:
        newest: the exchange's present state; None if it has none.
        seen: our last one, or the last answer.
    """
    if newest is None:
        return Freshness(Finding.EMPTY)
    values = _values(newest)
    known = seen.answer if seen.last is None else _values(seen.last)
    if known is None:
        return Freshness(Finding.UNKNOWN, evidence=values)
    if known == values:
        return Freshness(Finding.QUIET)
    time_ns, last_ns = newest.exchange_time_ns or 0, (seen.last and seen.last.exchange_time_ns) or 0
    is_older = time_ns < last_ns
    detail = f"{time_ns // 1_000_000} {'before' if is_older else 'after'} {last_ns // 1_000_000}"
    return Freshness(Finding.OLDER if is_older else Finding.NEWER, None, values, detail)


def _values(record: Data) -> str:
    """The values as a string. The same open interest in another currency changes with the price."""
    if isinstance(record, OpenInterest):
        return record.amount
    return msgspec.json.encode(replace(record, exchange_time_ns=None, receive_time_ns=0)).decode()
