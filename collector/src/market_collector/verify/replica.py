"""Checks one replica's records in the order in which they were written, each by the rule of its stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from market_collector.exchanges import EXCHANGES, has_dense_trade_ids
from market_collector.model.events import (
    Balance,
    Candle,
    Connected,
    Data,
    Disconnected,
    Dropped,
    Funding,
    Gap,
    Header,
    Instrument,
    Liquidation,
    Lost,
    MarkPrice,
    OpenInterest,
    Orderbook,
    Quote,
    Raw,
    Record,
    Recording,
    Refused,
    Repaired,
    Resync,
    State,
    Ticker,
    Trade,
)
from market_collector.model.reasons import ResyncReason
from market_collector.model.streams import DataType, Stream
from market_collector.reading.merge import STOPPED
from market_collector.reading.order import event_time_ns
from market_collector.reading.plausible import check_numbers
from market_collector.verify.books import BookLine
from market_collector.verify.connections import Connections
from market_collector.verify.ids import NumberLine
from market_collector.verify.report import Span
from market_collector.verify.stream import Line, StreamCheck
from market_collector.verify.unnumbered import UnnumberedLine
from market_collector.verify.volumes import MINUTE, VolumeAudit

RESTARTED = (ResyncReason.NUMBERING_RESTARTED, "trade ids restarted")
"""Reason of a `resync` record when the exchange restarts its trade ids, and its prefix in schema 0."""


STATES: dict[type[State], DataType] = {
    Ticker: DataType.TICKER,
    MarkPrice: DataType.MARKPRICE,
    OpenInterest: DataType.OPENINTEREST,
    Funding: DataType.FUNDING,
}


class RecordError(ValueError):
    """A record with the right fields and an impossible value."""


class ReplicaCheck:
    """All streams of one replica."""

    def __init__(self, name: str, *, audits_volumes: bool = False) -> None:
        """With ``audits_volumes``, trades without dense ids are compared with candles of one minute."""
        self.name = name
        self.volumes: dict[tuple[str, str | None], VolumeAudit] | None = {} if audits_volumes else None
        """By exchange and symbol."""
        self.records = 0
        self.raw = 0
        self.streams: dict[tuple[str, str], StreamCheck] = {}
        """By exchange and name of the stream."""
        self.running: list[Span] = []
        """First and last receive time of each run."""
        self.connections: dict[tuple[str, str], Connections] = {}
        """By exchange and name of the stream: when a connection carried it."""
        self._gaps: set[tuple[str, str]] = set()
        """Exchange and id of each gap so far."""
        self._instruments: dict[tuple[str, str | None], Instrument] = {}
        """The last description of each instrument in this run, by exchange and symbol."""
        self._known: dict[tuple[str, str, DataType, str], StreamCheck] = {}
        """The same by fields of data records, since building a stream name for each record is slow."""
        self._starts = True
        self._starts_inside = False
        """Whether the recording starts with a file that is not the first of its run."""
        self._newest_ns = 0
        self._takers: dict[type[Record], Callable[[Any], None]] = {
            Trade: self._trade, Orderbook: self._orderbook, Ticker: self._state, Candle: self._candle,
            MarkPrice: self._state, OpenInterest: self._state, Funding: self._funding, Liquidation: self._liquidation,
            Quote: self._quote, Balance: self._balance, Header: self._header, Instrument: self._instrument,
            Connected: self._connected, Disconnected: self._disconnected, Resync: self._resync, Refused: self._event,
            Gap: self._gap, Repaired: self._closed, Lost: self._closed, Dropped: self._dropped,
            Recording: self._recording, Raw: self._raw,
        }  # fmt: skip

    def start_run(self) -> None:
        """Starts the records of another process."""
        self._end_run()
        self._instruments.clear()
        for check in self.streams.values():
            check.start_run()

    def finish(self) -> None:
        """Ends the recording."""
        self._end_run()
        for check in self.streams.values():
            if isinstance(check.line, BookLine):
                check.line.finish()

    def _end_run(self) -> None:
        for each in self.connections.values():
            each.end(self._newest_ns)
        if not self._starts:
            self.running[-1] = (self.running[-1][0], self._newest_ns)
        self._starts, self._newest_ns = True, 0

    def take(self, record: Record) -> None:
        """Checks the next record.

        Raises:
            RecordError: an invalid number, interval or stream name.
        """
        self.records += 1
        received_ns = record.receive_time_ns
        if self._starts:
            self._starts = False
            self.running.append((received_ns, received_ns))
        if received_ns > self._newest_ns:
            self._newest_ns = received_ns
        try:
            if isinstance(record, Data):
                check_numbers(record)
            self._takers[type(record)](record)
        except (ValueError, KeyError) as error:
            raise RecordError(f"a {_kind(record)} record with an impossible value: {error}") from error

    # -- data

    def _trade(self, record: Trade) -> None:
        check = self._of_data(record, DataType.TRADE)
        if isinstance(check.line, UnnumberedLine):
            self._unnumbered(record, check, check.line)
            return
        last = int(record.trade_id)
        first = last if record.first_trade_id == record.trade_id else int(record.first_trade_id)
        time_ns = event_time_ns(record)
        assert isinstance(check.line, NumberLine)
        check.line.take(first, last, time_ns, record.backfilled)
        check.note(time_ns, record.receive_time_ns)

    def _unnumbered(self, record: Trade, check: StreamCheck, line: UnnumberedLine) -> None:
        time_ns = event_time_ns(record)
        if line.take(record.trade_id, time_ns, record.backfilled) and self.volumes is not None:
            self._audit(record).trade(record)
        (check.note if record.backfilled else check.note_in_order)(time_ns, record.receive_time_ns)

    def _orderbook(self, record: Orderbook) -> None:
        check = self._of_data(record, DataType.ORDERBOOK)
        time_ns = event_time_ns(record)
        assert isinstance(check.line, BookLine)
        check.line.take(record, time_ns)
        check.note(time_ns, record.receive_time_ns)

    def _state(self, record: State) -> None:
        check = self._of_data(record, STATES[type(record)])
        check.order.state(record)
        check.note_in_order(event_time_ns(record), record.receive_time_ns)

    def _funding(self, record: Funding) -> None:
        """Settled rates are of an earlier time than the message that repeats them."""
        if record.kind != "settled":
            self._state(record)
        else:
            self._of_data(record, DataType.FUNDING).note(event_time_ns(record), record.receive_time_ns)

    def _liquidation(self, record: Liquidation) -> None:
        """A message may list liquidations in any order."""
        self._of_data(record, DataType.LIQUIDATION).note(event_time_ns(record), record.receive_time_ns)

    def _quote(self, record: Quote) -> None:
        check = self._of_data(record, DataType.QUOTE)
        check.note_in_order(event_time_ns(record), record.receive_time_ns)

    def _candle(self, record: Candle) -> None:
        check = self._of_data(record, DataType.CANDLE, record.interval)
        assert isinstance(check.line, NumberLine)
        number = check.line.stream.candle_number(record.open_time_ns)
        check.order.candle(record, was_closed=check.line.has(number))
        if record.closed:
            check.line.take(number, number, record.open_time_ns, record.backfilled)
            if self.volumes is not None and record.interval == MINUTE:
                self._audit(record).candle(record)
        check.note(record.open_time_ns if record.backfilled else event_time_ns(record), record.receive_time_ns)

    def _audit(self, record: Trade | Candle) -> VolumeAudit:
        assert self.volumes is not None
        return self.volumes.setdefault((record.exchange, record.symbol), VolumeAudit())

    def _balance(self, record: Balance) -> None:
        """Times are not checked, since each asset has its own last change and a full list repeats old ones."""
        self._of_data(record, DataType.BALANCE).note(record.receive_time_ns, record.receive_time_ns)

    def _of_data(self, record: Data, data_type: DataType, interval: str = "") -> StreamCheck:
        key = (record.exchange, record.symbol, data_type, interval)
        check = self._known.get(key)
        if check is None:
            check = self._known[key] = self._stream(record.exchange, str(Stream(record.symbol, data_type, interval)))
        return check

    def _header(self, record: Header) -> None:
        """The reader has compared the schema. The first header tells whether earlier files are not there."""
        if self.records == 1:
            self._starts_inside = record.previous_file is not None

    def _instrument(self, record: Instrument) -> None:
        """It tells whether the book may be crossed."""
        self._instruments[record.exchange, record.symbol] = record
        check = self.streams.get((record.exchange, f"{record.symbol}/{DataType.ORDERBOOK}"))
        if check is not None and isinstance(check.line, BookLine):
            check.line.instrument(record)

    def _raw(self, record: Raw) -> None:
        self.raw += 1

    # -- events

    def _of(self, event: Gap | Repaired | Lost | Dropped) -> StreamCheck:
        check = self._stream(event.exchange, event.stream)
        check.events[_kind(event)] += 1
        return check

    def _gap(self, event: Gap) -> None:
        """A file repeats the gaps that are open at its start."""
        if (key := (event.exchange, event.gap_id)) in self._gaps:
            return
        self._gaps.add(key)
        if (line := self._of(event).line) is not None:
            line.gap(event)

    def _closed(self, event: Repaired | Lost) -> None:
        if (line := self._of(event).line) is not None:
            line.close(event)

    def _dropped(self, event: Dropped) -> None:
        """Skips dropped raw frames and events without a stream, whose names are no streams."""
        if "/" not in event.stream or event.stream.endswith("/raw"):
            return
        check = self._of(event)
        if check.line is not None:
            check.line.dropped(event)
            return
        check.dropped()
        if (known := self.connections.get((event.exchange, event.stream))) is not None:
            known.cut(check.received_ns or self.running[-1][0], event.receive_time_ns)

    def _connected(self, event: Connected) -> None:
        for name in event.streams or ():
            known = self.connections.setdefault((event.exchange, name), Connections())
            known.open(event.connection_id, event.receive_time_ns)
        self._event(event)

    def _disconnected(self, event: Disconnected) -> None:
        """In schema 0 it does not name the streams of the connection, so all of the exchange show the reconnect."""
        for name in event.streams or ():
            if (known := self.connections.get((event.exchange, name))) is not None:
                known.close(event.connection_id, event.receive_time_ns)
                if (line := self._unnumbered_line(event.exchange, name)) is not None and not known.has_open:
                    line.interrupt()
        if event.reason not in STOPPED:
            for (exchange, name), check in self.streams.items():
                if exchange == event.exchange and (event.streams is None or name in event.streams):
                    check.reconnects.add(event.receive_time_ns)
        self._event(event)

    def _recording(self, event: Recording) -> None:
        """It tells nothing that the records do not show, except of trades without dense ids."""
        if event.data_type == DataType.TRADE and not has_dense_trade_ids(event.exchange):
            self._stream(event.exchange, event.stream)  # that of another pod's end comes before any trade
        if (line := self._unnumbered_line(event.exchange, event.stream)) is not None:
            line.recording(event)

    def _unnumbered_line(self, exchange: str, name: str) -> UnnumberedLine | None:
        """The rule of a stream with records, if its ids are not dense."""
        check = self.streams.get((exchange, name))
        return check.line if check is not None and isinstance(check.line, UnnumberedLine) else None

    def _resync(self, event: Resync) -> None:
        check = self._stream(event.exchange, event.stream)
        check.reconnects.add(event.receive_time_ns)
        if isinstance(check.line, NumberLine) and event.reason.startswith(RESTARTED):
            check.line.restart()
        if event.reason == ResyncReason.CLOCK_SET_BACK:
            check.order.go_back()
        self._event(event)

    def _event(self, event: Connected | Disconnected | Resync | Refused) -> None:
        if event.stream is not None:
            self._stream(event.exchange, event.stream).events[_kind(event)] += 1

    def _stream(self, exchange: str, name: str) -> StreamCheck:
        check = self.streams.get((exchange, name))
        if check is None:
            stream = Stream.parse(name)
            line = _line(exchange, stream, starts_inside=self._starts_inside)
            check = self.streams[exchange, name] = StreamCheck(line)
            if isinstance(line, BookLine) and (known := self._instruments.get((exchange, stream.symbol))) is not None:
                line.instrument(known)
        return check


def _kind(record: Record) -> str:
    return type(record).__name__.lower()


def _line(exchange: str, stream: Stream, *, starts_inside: bool) -> Line | None:
    """The continuity rule of a stream; None if it has none."""
    match stream.data_type:
        case DataType.TRADE if not has_dense_trade_ids(exchange):
            return UnnumberedLine(starts_inside=starts_inside)
        case DataType.TRADE:
            return NumberLine(stream, starts_inside=starts_inside)
        case DataType.CANDLE:
            skips = exchange in EXCHANGES and EXCHANGES[exchange].skips_empty_candles
            return NumberLine(stream, starts_inside=starts_inside, skips_numbers=skips)
        case DataType.ORDERBOOK:
            return BookLine()
    return None
