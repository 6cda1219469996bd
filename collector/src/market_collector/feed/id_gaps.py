"""Finds and fills gaps in consecutive ids: trades and closed candles. Methods return the records to emit."""

from collections.abc import Iterable, Mapping, Sequence

from market_collector.book.continuity import Arrival, IdRange, without
from market_collector.feed.gaps import GapBounds, Gaps, KnownGap
from market_collector.feed.stream_state import CandleProgress, IdProgress
from market_collector.model.events import Candle, Data, Event, Record, Resync, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

NEW = Arrival.NEW
"""Used for each message: before Python 3.12 an enum member lookup takes 70 ns."""


class IdGaps:
    """All streams with consecutive ids of one process."""

    def __init__(self, exchange: str, streams: Mapping[Stream, IdProgress], gaps: Gaps) -> None:
        self.streams = streams
        self.duplicates = 0
        self._exchange = exchange
        self._gaps = gaps

    # -- records from the exchange

    def take_trades(self, progress: IdProgress, trades: Sequence[Trade], now: Moment) -> list[Record]:
        """Return the trades not delivered before, with the events they cause. There must be at least one trade."""
        fresh: list[Record] = []
        ids = progress.ids
        is_late = False
        for trade in trades:
            last = int(trade.trade_id)
            first = last if trade.count == 1 else int(trade.first_trade_id)
            arrival = ids.take(first, last, trade.exchange_time_ns or 0, now.at)
            if arrival is not NEW:
                if arrival is Arrival.DUPLICATE:
                    self.duplicates += 1
                    continue
                if arrival is Arrival.RESTART:
                    fresh += self._on_restarted_numbering(progress, first, now)
                is_late = is_late or arrival is Arrival.LATE
            fresh.append(trade)
        if last == ids.last_id:
            progress.observe(trade, now)
        else:
            _observe_unordered(progress, trades, now)
        if progress.interruption and not ids.waiting:
            progress.interruption = ""  # nothing has been missed since the interruption
        return [*fresh, *self._close_filled(progress, "LateTrades", now)] if is_late else fresh

    def take_candles(self, progress: CandleProgress, candles: Iterable[Candle], now: Moment) -> list[Record]:
        """Return the candles not delivered before, none of them older than one that was.

        An open candle shows that all earlier ones are closed. A closed one that comes late fills its gap.
        """
        fresh: list[Record] = []
        is_late = False
        for candle in candles:
            number = progress.id_of(candle)
            if not candle.closed:
                fresh += self._take_running(progress, number, candle, now)
            elif (arrival := progress.ids.take(number, number, 0, now.at)) is not Arrival.DUPLICATE:
                is_late = is_late or arrival is Arrival.LATE
                progress.order.close(number, candle)
                _observe_candle(progress, candle, now)
                fresh.append(candle)
            else:
                fresh += self._on_repeated_candle(progress, number, candle, now)
        return [*fresh, *self._close_filled(progress, "LateCandles", now)] if is_late else fresh

    def _take_running(self, progress: CandleProgress, number: int, candle: Candle, now: Moment) -> Sequence[Record]:
        """Return an open candle unless it is older than the last one, or was closed already."""
        ids = progress.ids
        if (ids.last_id is not None and number <= ids.last_id) or not progress.order.advance(candle):
            self.duplicates += 1
            return ()
        ids.expect(number - 1, now.at)
        progress.observe(candle, now)
        return (candle,)

    def _on_repeated_candle(
        self, progress: CandleProgress, number: int, candle: Candle, now: Moment
    ) -> Sequence[Record]:
        """Count a closed candle that was delivered before. Returns an event if it has other values now."""
        self.duplicates += 1
        if not progress.order.is_changed(number, candle):
            return ()
        progress.order.close(number, candle)
        stream = progress.stream
        values = (
            f"open {candle.open}, high {candle.high}, low {candle.low}, close {candle.close}, volume {candle.volume}"
        )
        reason = f"closed candle {stream.format_id(number)} came again with other values: {values}"
        return (Resync(self._exchange, stream.symbol, None, now.wall_ns, str(stream), reason),)

    def expect(self, progress: IdProgress, newest: int, now: Moment) -> None:
        """Record the exchange's newest event (`RestApi.newest_mark`): undelivered ids up to it are missing."""
        if progress.ids.last_id is None:
            return
        if progress.stream.data_type is DataType.TRADE:
            progress.ids.expect(newest, now.at)
        else:  # the newest candle may still be open
            progress.ids.expect(progress.stream.candle_number(newest * 1_000_000) - 1, now.at)

    def _on_restarted_numbering(self, progress: IdProgress, first: int, now: Moment) -> list[Record]:
        """Give up everything missing under the old numbering: it cannot be requested any more."""
        stream, reason = progress.stream, f"trade ids restarted at {first}"
        waiting = progress.ids.take_waiting()
        events: list[Record] = [event for each in waiting for event in self._open_gap(progress, each, reason, now)]
        for known in [each for each in self._gaps.all_open() if each.stream == stream]:
            ranges = self.still_missing(known)
            self._give_up(known, ranges)
            self._gaps.lose(known, ranges)
            events.append(self._gaps.close(known, reason, now))
        return [*events, Resync(self._exchange, stream.symbol, None, now.wall_ns, str(stream), reason)]

    # -- opening and closing gaps

    def open_overdue(self, progress: IdProgress, now: Moment) -> list[Event]:
        """Open gaps for ids that were waited for longer than the reorder window."""
        reason = progress.interruption or "IdsMissing"
        overdue = progress.ids.take_overdue(now.at)
        events = [event for each in overdue for event in self._open_gap(progress, each, reason, now)]
        if not progress.ids.waiting:
            progress.interruption = ""
        return events

    def open_for_sink(
        self, progress: IdProgress, sink: str, dropped: Iterable[tuple[int, int]], now: Moment
    ) -> list[Event]:
        """Open gaps for ids that only this sink has dropped."""
        ranges = [IdRange(first, last, now.at) for first, last in dropped]
        return [event for each in ranges for event in self._open_sink_gap(progress.stream, sink, each, now)]

    def _open_gap(self, progress: IdProgress, missing: IdRange, reason: str, now: Moment) -> Sequence[Event]:
        bounds = _bounds(progress.stream, missing, to_ns=progress.ids.last_time_ns or None)
        return self._gaps.open(progress.stream, bounds, reason, now)

    def _open_sink_gap(self, stream: Stream, sink: str, missing: IdRange, now: Moment) -> Sequence[Event]:
        return self._gaps.open(stream, _bounds(stream, missing), "Dropped", now, sink=sink, missing=[missing])

    def close_if_filled(self, known: KnownGap, reason: str, now: Moment) -> list[Event]:
        """Close a gap that misses nothing any more."""
        return [] if self.still_missing(known) else [self._gaps.close(known, reason, now, known.stream.format_id)]

    def _close_filled(self, progress: IdProgress, reason: str, now: Moment) -> list[Event]:
        """Close the gaps whose last missing ids arrived late."""
        events: list[Event] = []
        for known in self._gaps.open_of(progress.stream):
            self._gaps.recover(known, self.recovered(known) - known.recovered)
            events += self.close_if_filled(known, reason, now)
        return events

    # -- the content of a gap

    def bounds(self, known: KnownGap) -> tuple[int, int]:
        """Return a gap's first and last id."""
        return known.stream.parse_id(known.gap.first or "0"), known.stream.parse_id(known.gap.last or "0")

    def still_missing(self, known: KnownGap) -> list[IdRange]:
        """Return the ranges of a gap that are still missing."""
        if known.sink is not None:
            return known.missing
        return self.streams[known.stream].ids.missing_in(*self.bounds(known))

    def recovered(self, known: KnownGap) -> int:
        """Return how many ids of a gap have been delivered."""
        left = sum(each.size for each in (*self.still_missing(known), *known.lost))
        return (known.gap.missing or 0) - left

    # -- backfill

    def backfill(self, known: KnownGap, records: Iterable[Data], now: Moment) -> list[Record]:
        """Take records of a gap from the exchange's history, in order.

        Returns those that were missing, and the gap's end if nothing else is missing.
        """
        progress = self.streams[known.stream]
        fresh = [record for record in records if self._fills(progress, known, record, now)]
        self._gaps.recover(known, len(fresh))
        return [*fresh, *self.close_if_filled(known, "Backfilled", now)]

    def _fills(self, progress: IdProgress, known: KnownGap, record: Data, now: Moment) -> bool:
        number = progress.id_of(record)
        if known.sink is None:
            is_missing = bool(progress.ids.missing_in(number, number))
            if is_missing:
                progress.ids.take(number, number, record.exchange_time_ns or 0, now.at)
            if is_missing and isinstance(progress, CandleProgress) and isinstance(record, Candle):
                progress.order.close(number, record)
            return is_missing
        before, known.missing = known.missing, without(known.missing, number, number)
        return known.missing != before

    def lose(self, known: KnownGap, ranges: Sequence[IdRange], now: Moment) -> list[Event]:
        """Give up ranges that the exchange's history lacks; returns the gap's end if nothing else is missing."""
        self._give_up(known, ranges)
        self._gaps.lose(known, ranges)
        return self.close_if_filled(known, "NotInHistory", now)

    def mark_nonexistent(self, known: KnownGap, ranges: Sequence[IdRange], now: Moment) -> list[Event]:
        """Drop ranges that never existed, by the exchange's history; returns the gap's end if nothing is missing."""
        self._give_up(known, ranges)
        return self.close_if_filled(known, "NothingTraded", now)

    def _give_up(self, known: KnownGap, ranges: Sequence[IdRange]) -> None:
        ids = self.streams[known.stream].ids
        for each in ranges:
            if known.sink is None:
                ids.give_up(each.first, each.last)
            known.missing = without(known.missing, each.first, each.last)


def _observe_unordered(progress: IdProgress, trades: Sequence[Trade], now: Moment) -> None:
    newest = max(trades, key=progress.id_of)
    if progress.id_of(newest) == progress.ids.last_id:
        progress.observe(newest, now)
    else:
        progress.observe_late(newest, now)


def _observe_candle(progress: CandleProgress, candle: Candle, now: Moment) -> None:
    if isinstance(progress.last, Candle) and progress.last.open_time_ns > candle.open_time_ns:
        progress.observe_late(candle, now)
    else:
        progress.observe(candle, now)


def _bounds(stream: Stream, missing: IdRange, to_ns: int | None = None) -> GapBounds:
    return GapBounds(stream.format_id(missing.first), stream.format_id(missing.last), missing.size, None, to_ns)
