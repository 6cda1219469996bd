"""Merges replicas: each fact once, as if one collector had recorded what any of them has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from market_collector.exchanges import has_dense_trade_ids, has_own_books
from market_collector.feed.account import is_changed
from market_collector.feed.candle_order import CandleOrder
from market_collector.feed.instruments import Instruments
from market_collector.feed.states import is_newer_state
from market_collector.model.events import (
    AnyRecord,
    Balance,
    Candle,
    Disconnected,
    Funding,
    Gap,
    Instrument,
    Liquidation,
    Lost,
    MarkPrice,
    OpenInterest,
    Orderbook,
    Quote,
    Repaired,
    Resync,
    State,
    Ticker,
    Trade,
)
from market_collector.model.reasons import DisconnectReason, ResyncReason
from market_collector.model.recent import Recent
from market_collector.model.streams import DataType, Stream
from market_collector.reading.book_merge import BookMerge
from market_collector.reading.gap_order import numbers_of
from market_collector.reading.one_replica import OneReplicaMerge
from market_collector.reading.order import event_time_ns
from market_collector.reading.ranges import IdRuns, absent, merged
from market_collector.reading.seen_ids import SeenIds

STOPPED = (DisconnectReason.STOPPED, "stopped")
"""Reason of a `disconnected` record at a regular stop, in both schemas."""
BOOK_SUFFIX = f"/{DataType.ORDERBOOK}"
"""End of the names of streams of order books."""

STATES: tuple[type[State], ...] = get_args(State)
Name = tuple[str, str]
"""Exchange and symbol, or exchange and name of a stream."""


class Merge:
    """All streams of all replicas. Methods return the records to emit.

    Memory grows with the number of gaps, not with that of records.
    """

    def __init__(self) -> None:
        self._trades: dict[Name, _Numbers] = {}
        self._unnumbered: dict[Name, SeenIds] = {}
        self._candles: dict[tuple[str, str, str], _Candles] = {}
        self._states: dict[tuple[type[State], str, str], State] = {}
        self._settled: dict[Name, int] = {}
        """`Funding.funding_time_ns` of the last settled rate."""
        self._liquidations: dict[Name, Recent] = {}
        self._quotes: dict[Name, tuple[int, int]] = {}
        """Time and sequence of the newest quote."""
        self._balances: dict[tuple[str, str, str], Balance] = {}
        self._instruments: dict[str, Instruments] = {}
        self._books: dict[Name, BookMerge | OneReplicaMerge] = {}
        self._gaps: set[tuple[int, str, str]] = set()
        """Replica, exchange and id of each gap so far. A file repeats those that are open at its start."""
        self._bridged: set[tuple[int, str, str]] = set()
        """Replica, exchange and id of gaps that were dropped because another replica has the records."""
        self._takers: dict[type[AnyRecord], Callable[[int, Any], Sequence[AnyRecord]]] = {
            Trade: self._trade, Orderbook: self._orderbook, Ticker: self._state, Candle: self._candle,
            MarkPrice: self._state, OpenInterest: self._state, Funding: self._funding, Liquidation: self._liquidation,
            Quote: self._quote, Balance: self._balance, Instrument: self._instrument,
            Gap: self._gap, Repaired: self._closed, Lost: self._closed, Resync: self._resync,
        }  # fmt: skip

    def take(self, replica: int, record: AnyRecord) -> Sequence[AnyRecord]:
        """Take the next record of a replica. Records of all replicas come in the order of their receive times."""
        taker = self._takers.get(type(record))
        if taker is not None:
            return taker(replica, record)
        if isinstance(record, Disconnected) and record.reason in STOPPED:
            self.end(replica)
        return [record]

    def end(self, replica: int) -> None:
        """End the records of a replica's process: it continues no book."""
        for book in self._books.values():
            book.end(replica)

    def _trade(self, replica: int, record: Trade) -> Sequence[AnyRecord]:
        if not has_dense_trade_ids(record.exchange):
            seen = self._unnumbered.setdefault((record.exchange, record.symbol), SeenIds())
            return [record] if seen.add(record.trade_id) else []
        numbers = self._trades.setdefault((record.exchange, record.symbol), _Numbers())
        last = int(record.trade_id)
        first = last if record.first_trade_id == record.trade_id else int(record.first_trade_id)
        return [record] if numbers.add(first, last, record.exchange_time_ns or 0) else []

    def _candle(self, replica: int, record: Candle) -> Sequence[AnyRecord]:
        stream = Stream(record.symbol, DataType.CANDLE, record.interval)
        return [record] if self._candles_of(record.exchange, stream).add(record) else []

    def _state(self, replica: int, record: State) -> Sequence[AnyRecord]:
        key = type(record), record.exchange, record.symbol
        last = self._states.get(key)
        if last is not None and not is_newer_state(last, record):
            return []
        self._states[key] = record
        return [record]

    def _funding(self, replica: int, record: Funding) -> Sequence[AnyRecord]:
        if record.kind != "settled":
            return self._state(replica, record)
        key = record.exchange, record.symbol
        if record.funding_time_ns <= self._settled.get(key, 0):
            return []
        self._settled[key] = record.funding_time_ns
        return [record]

    def _liquidation(self, replica: int, record: Liquidation) -> Sequence[AnyRecord]:
        recent = self._liquidations.setdefault((record.exchange, record.symbol), Recent())
        return [record] if recent.add(record) else []

    def _resync(self, replica: int, event: Resync) -> Sequence[AnyRecord]:
        if event.reason == ResyncReason.CLOCK_SET_BACK and event.symbol is not None:
            for kind in STATES:
                if event.stream.endswith(f"/{kind.__struct_config__.tag}"):
                    self._states.pop((kind, event.exchange, event.symbol), None)
        return [event]

    def _quote(self, replica: int, record: Quote) -> Sequence[AnyRecord]:
        key = record.exchange, record.symbol
        mark = event_time_ns(record), -1 if record.sequence is None else record.sequence
        if (last := self._quotes.get(key)) is not None and mark <= last:
            return []
        self._quotes[key] = mark
        return [record]

    def _balance(self, replica: int, record: Balance) -> Sequence[AnyRecord]:
        key = record.exchange, record.symbol, record.asset
        if not is_changed(self._balances.get(key), record):
            return []
        self._balances[key] = record
        return [record]

    def _instrument(self, replica: int, record: Instrument) -> Sequence[AnyRecord]:
        known = self._instruments.setdefault(record.exchange, Instruments())
        return known.update([record])

    def _orderbook(self, replica: int, record: Orderbook) -> Sequence[AnyRecord]:
        return self._book(record.exchange, record.symbol).take(replica, record)

    def _book(self, exchange: str, symbol: str) -> BookMerge | OneReplicaMerge:
        book = self._books.get((exchange, symbol))
        if book is None:
            merge = OneReplicaMerge if has_own_books(exchange) else BookMerge
            book = self._books[exchange, symbol] = merge()
        return book

    def _gap(self, replica: int, gap: Gap) -> Sequence[AnyRecord]:
        key = replica, gap.exchange, gap.gap_id
        if key in self._gaps:
            return []
        self._gaps.add(key)
        if gap.symbol is not None and is_of_book(gap):
            return self._book(gap.exchange, gap.symbol).gap(replica, gap)
        numbers = numbers_of(gap)
        if numbers is None or numbers[2] is None:
            return [gap]
        stream, first, last = numbers[0], numbers[1], numbers[2]
        if self._numbers_of(gap.exchange, stream).report(first, last):
            return [gap]
        self._bridged.add(key)
        return []

    def _numbers_of(self, exchange: str, stream: Stream) -> _Numbers:
        if stream.data_type is DataType.TRADE:
            return self._trades.setdefault((exchange, stream.symbol), _Numbers())
        return self._candles_of(exchange, stream).closed

    def _candles_of(self, exchange: str, stream: Stream) -> _Candles:
        key = exchange, stream.symbol, stream.interval
        candles = self._candles.get(key)
        if candles is None:
            candles = self._candles[key] = _Candles(stream)
        return candles

    def _closed(self, replica: int, event: Repaired | Lost) -> Sequence[AnyRecord]:
        key = replica, event.exchange, event.gap_id
        if key in self._bridged:
            self._bridged.discard(key)
            return []
        if event.symbol is not None and is_of_book(event):
            return self._book(event.exchange, event.symbol).close(replica, event)
        return [event]


class _Numbers:
    """Numbers of one stream that were emitted, or reported as missing."""

    def __init__(self) -> None:
        self._emitted = IdRuns()
        self._reported = IdRuns()
        self._newest_ns = 0

    def add(self, first: int, last: int, time_ns: int) -> bool:
        """Return whether a record has a new number, or an old one that the exchange gave again at a later time."""
        is_new = self._emitted.add(first, last, time_ns) > 0
        if not is_new and time_ns > self._newest_ns:
            self._emitted, self._reported = IdRuns(), IdRuns()
            self._emitted.add(first, last, time_ns)
            is_new = True
        self._newest_ns = max(time_ns, self._newest_ns)
        return is_new

    def has(self, number: int) -> bool:
        """Return whether a record with this number was emitted."""
        return self._emitted.has(number)

    def report(self, first: int, last: int) -> bool:
        """Return whether a gap has numbers that were neither emitted nor reported, which are now reported."""
        known = merged([self._emitted.runs(), self._reported.runs()])
        is_new = bool(absent(known, first, last))
        self._reported.add(first, last, 0)
        return is_new


class _Candles:
    """Candles of one stream that were emitted."""

    def __init__(self, stream: Stream) -> None:
        self.closed = _Numbers()
        self._stream = stream
        self._order = CandleOrder()

    def add(self, candle: Candle) -> bool:
        """Return whether a candle is newer than all of its interval, and a closed one is the first of its interval."""
        number, running = self._stream.candle_number(candle.open_time_ns), self._order.running
        if candle.closed:
            return self.closed.add(number, number, candle.open_time_ns)
        if self.closed.has(number) or (running is not None and candle.open_time_ns < running.open_time_ns):
            return False
        return self._order.advance(candle)


def is_of_book(event: Gap | Repaired | Lost) -> bool:
    """Whether the event is about an order book."""
    return event.stream.endswith(BOOK_SUFFIX)
