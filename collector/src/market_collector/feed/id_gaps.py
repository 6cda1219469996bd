"""Finds and fills gaps in consecutive ids: trades and closed candles. Methods return the records to emit."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from market_collector.book.continuity import REORDER_WINDOW_S, Arrival, IdRange, without
from market_collector.feed.event_head import event_head
from market_collector.feed.gaps import GapBounds, Gaps, KnownGap
from market_collector.feed.stream_state import CandleProgress, IdProgress
from market_collector.model.events import Candle, Data, Event, Record, Resync, Trade
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason, ResyncReason
from market_collector.model.streams import LATEST_NS, DataType, Stream

NEW = Arrival.NEW
"""Used for each message: before Python 3.12 an enum member lookup takes 70 ns."""


class IdGaps:
    """All streams with consecutive ids of one process."""

    def __init__(
        self,
        exchange: str,
        streams: Mapping[Stream, IdProgress],
        gaps: Gaps,
        *,
        skips_empty_candles: bool = False,
    ) -> None:
        """With ``skips_empty_candles``, history is asked before a candle counts as missing."""
        self.streams = streams
        self.duplicates = 0
        self._skips_empty_candles = skips_empty_candles
        self._exchange = exchange
        self._gaps = gaps

    # -- records from the exchange

    def take_trades(self, progress: IdProgress, trades: Sequence[Trade], now: Moment) -> list[Record]:
        """Return the trades not delivered before, with the events they cause. There must be at least one trade."""
        ids = progress.ids
        if progress.ahead or len(progress.connections) > 1:
            trades = self._without_ahead(progress, trades, now)
            if not trades:
                return []
        fresh: list[Record] = []
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
        if ids.waiting or progress.has_open_end:
            fresh = self._with_gaps(progress, fresh, now)
        if progress.interruption and not ids.waiting:
            progress.interruption = None  # nothing has been missed since the interruption
        return [*fresh, *self._close_filled(progress, now)] if is_late else fresh

    def _with_gaps(self, progress: IdProgress, records: Sequence[Record], now: Moment) -> list[Record]:
        """Open a gap for each missing range before the first record beyond it, and put its event there."""
        records = list(records)
        if progress.has_open_end:
            self._note_ends(progress, records)
        if progress.is_held:
            return records
        ids = [_last_number(progress, record) for record in records]
        newest = max((number for number in ids if number is not None), default=0)
        for missing in progress.ids.take_below(newest):
            place = next(at for at, number in enumerate(ids) if number is not None and number > missing.last)
            if missing.to_ns is None:  # only REST knew these ids
                missing = msgspec.structs.replace(missing, to_ns=records[place].exchange_time_ns)
            events = self._open_gap(progress, missing, progress.interruption or GapReason.IDS_MISSING, now)
            records = [*records[:place], *events, *records[place:]]
            ids = [*ids[:place], *[None] * len(events), *ids[place:]]
        return records

    def _note_ends(self, progress: IdProgress, records: Sequence[Record]) -> None:
        """Note the time of the first record after gaps that were reported before there was one."""
        progress.has_open_end = False
        for known in self._gaps.open_of(progress.stream):
            if known.gap.to_time_ns is not None or known.gap.last_id is None:
                continue
            last = known.ids[1]
            times = [
                (number, record.exchange_time_ns)
                for record in records
                if (number := _last_number(progress, record)) is not None and number > last
            ]
            if times:
                known.resumes(to_ns=min(times)[1])
            else:
                progress.has_open_end = True

    def _without_ahead(self, progress: IdProgress, trades: Sequence[Trade], now: Moment) -> Sequence[Trade]:
        """Return the trades that continue the stream, in order, while connections overlap.

        Those that skip ids wait: another connection will bring the skipped ids, or they are missing after
        `REORDER_WINDOW_S`.
        """
        trades = sorted([*progress.ahead, *trades], key=lambda trade: int(trade.trade_id))
        last = progress.ids.last_id
        progress.ahead = []
        is_over = len(progress.connections) < 2 or now.at - progress.ahead_since >= REORDER_WINDOW_S
        if last is None or (progress.ahead_since and is_over):
            progress.ahead_since = 0.0
            return trades
        for at, trade in enumerate(trades):
            if int(trade.first_trade_id) > last + 1:
                progress.ahead, progress.ahead_since = list(trades[at:]), progress.ahead_since or now.at
                return trades[:at]
            last = max(last, int(trade.trade_id))
        progress.ahead_since = 0.0
        return trades

    def check_ahead(self, progress: IdProgress, now: Moment) -> list[Record]:
        """Take the records that waited long enough for another connection, or for the word of history."""
        if isinstance(progress, CandleProgress):
            return self.take_candles(progress, (), now) if progress.after_skip else []
        return self.take_trades(progress, (), now) if progress.ahead else []

    def take_candles(self, progress: CandleProgress, candles: Iterable[Candle], now: Moment) -> list[Record]:
        """Return the candles not delivered before, none of them older than one that was.

        An open candle shows that all earlier ones are closed. A closed one that comes late fills its gap.
        """
        if self._skips_empty_candles:
            candles = _without_skipped(progress, candles, now)
        fresh: list[Record] = []
        is_late = False
        for candle in candles:
            number = progress.id_of(candle)
            taken: Sequence[Record] = (candle,)
            if not candle.closed:
                taken = self._take_running(progress, number, candle, now)
            elif (arrival := progress.ids.take(number, number, 0, now.at)) is not Arrival.DUPLICATE:
                is_late = is_late or arrival is Arrival.LATE
                progress.order.close(number, candle)
                _observe_candle(progress, candle, now)
            else:
                taken = self._on_repeated_candle(progress, number, candle, now)
            if progress.ids.waiting:
                taken = self._with_gaps(progress, taken, now)
            fresh += taken
        return [*fresh, *self._close_filled(progress, now)] if is_late else fresh

    def skipped(self) -> list[tuple[Stream, int, int]]:
        """Return the first range of each stream whose candles may not exist, while no gap has been opened for it."""
        streams = self.streams.values() if self._skips_empty_candles else ()
        found = [(each.stream, _skipped(each)) for each in streams if isinstance(each, CandleProgress)]
        return [(stream, *skipped) for stream, skipped in found if skipped is not None]

    def settle_skipped(self, stream: Stream, first: int, last: int, now: Moment, *, are_empty: bool) -> list[Record]:
        """Go on behind a range of candles that history has or lacks; returns the gap if they are missing.

        An answer that came too late changes nothing: the range has a gap already, or a part of it has arrived.
        """
        progress = self.streams[stream]
        assert isinstance(progress, CandleProgress)
        if _skipped(progress) != (first, last):
            return []
        if are_empty:
            progress.ids.expect(last, now.at)
            progress.ids.give_up(first, last)
        else:
            progress.skipped_since = float("-inf")
        return self.take_candles(progress, (), now)

    def _take_running(self, progress: CandleProgress, number: int, candle: Candle, now: Moment) -> Sequence[Record]:
        """Return an open candle unless it is older than the last one, or was closed already.

        While connections overlap, one that skips closed candles is left out for `REORDER_WINDOW_S`.
        """
        ids = progress.ids
        if _is_ahead(progress, number, now):
            return ()  # it comes again
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
        detail = f"closed candle {stream.format_id(number)} came again with other values: {values}"
        return (resync(self._exchange, stream, ResyncReason.CANDLE_CHANGED, detail, now),)

    def expect(self, progress: IdProgress, newest: int, now: Moment) -> None:
        """Record the exchange's newest event (`Freshness.newest`): undelivered ids up to it are missing."""
        if progress.ids.last_id is None:
            return
        if progress.stream.data_type is DataType.TRADE:
            progress.ids.expect(newest, now.at)
        else:  # the newest candle may still be open
            progress.ids.expect(progress.stream.candle_number(newest * 1_000_000) - 1, now.at)

    def _on_restarted_numbering(self, progress: IdProgress, first: int, now: Moment) -> list[Record]:
        """Give up everything missing under the old numbering: it cannot be requested any more."""
        stream, reason, detail = progress.stream, GapReason.NUMBERING_RESTARTED, f"trade ids restarted at {first}"
        waiting = progress.ids.take_waiting()
        events: list[Record] = [event for each in waiting for event in self._open_gap(progress, each, reason, now)]
        for known in [each for each in self._gaps.all_open() if each.stream == stream]:
            ranges = self.still_missing(known)
            self._give_up(known, ranges)
            self._gaps.lose(known, ranges)
            events.append(self._gaps.close(known, EndReason.NUMBERING_RESTARTED, now))
        return [*events, resync(self._exchange, stream, ResyncReason.NUMBERING_RESTARTED, detail, now)]

    # -- opening and closing gaps

    def open_overdue(self, progress: IdProgress, now: Moment) -> list[Event]:
        """Open gaps for ids that are known to exist for longer than the reorder window."""
        reason = progress.interruption or GapReason.IDS_MISSING
        overdue = progress.ids.take_overdue(now.at)
        events = [event for each in overdue for event in self._open_gap(progress, each, reason, now)]
        if not progress.ids.waiting:
            progress.interruption = None
        return events

    def open_for_sink(
        self, progress: IdProgress, sink: str, dropped: Iterable[tuple[int, int]], now: Moment
    ) -> list[Event]:
        """Open gaps for ids that only this sink has dropped."""
        ranges = [IdRange(first, last, now.at) for first, last in dropped]
        return [event for each in ranges for event in self._open_sink_gap(progress.stream, sink, each, now)]

    def _open_gap(self, progress: IdProgress, missing: IdRange, reason: GapReason, now: Moment) -> Sequence[Event]:
        bounds = _bounds(progress.stream, missing)
        progress.has_open_end = progress.has_open_end or bounds.to_ns is None
        return self._gaps.open(progress.stream, bounds, reason, now)

    def _open_sink_gap(self, stream: Stream, sink: str, missing: IdRange, now: Moment) -> Sequence[Event]:
        return self._gaps.open(stream, _bounds(stream, missing), GapReason.DROPPED, now, sink=sink, missing=[missing])

    def close_if_filled(self, known: KnownGap, reason: EndReason, now: Moment) -> list[Event]:
        """Close a gap that misses nothing any more."""
        return [] if self.still_missing(known) else [self._gaps.close(known, reason, now)]

    def _close_filled(self, progress: IdProgress, now: Moment) -> list[Event]:
        """Close the gaps whose last missing ids arrived late."""
        events: list[Event] = []
        for known in self._gaps.open_of(progress.stream):
            self._gaps.recover(known, self.recovered(known) - known.recovered)
            events += self.close_if_filled(known, EndReason.LATE_RECORDS, now)
        return events

    # -- the content of a gap

    def still_missing(self, known: KnownGap) -> list[IdRange]:
        """Return the ranges of a gap that are still missing."""
        if known.sink is not None:
            return known.missing
        return self.streams[known.stream].ids.missing_in(*known.ids)

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
        return [*fresh, *self.close_if_filled(known, EndReason.BACKFILLED, now)]

    def _fills(self, progress: IdProgress, known: KnownGap, record: Data, now: Moment) -> bool:
        number = progress.id_of(record)
        if known.sink is None:
            is_missing = bool(progress.ids.missing_in(number, number))
            if is_missing:
                progress.ids.take(number, number, record.exchange_time_ns or 0, now.at)
            if is_missing and isinstance(progress, CandleProgress) and isinstance(record, Candle):
                progress.order.close(number, record)
            return is_missing
        before, known.missing = known.missing, without(known.missing, number, number, record.exchange_time_ns)
        return known.missing != before

    def lose(self, known: KnownGap, ranges: Sequence[IdRange], now: Moment) -> list[Event]:
        """Give up ranges that the exchange's history lacks; returns the gap's end if nothing else is missing."""
        self._give_up(known, ranges)
        self._gaps.lose(known, ranges)
        return self.close_if_filled(known, EndReason.NOT_IN_HISTORY, now)

    def mark_nonexistent(self, known: KnownGap, ranges: Sequence[IdRange], now: Moment) -> list[Event]:
        """Drop ranges that never existed, by the exchange's history; returns the gap's end if nothing is missing."""
        self._give_up(known, ranges)
        return self.close_if_filled(known, EndReason.NOTHING_TRADED, now)

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


def _bounds(stream: Stream, missing: IdRange) -> GapBounds:
    """Return the bounds of missing ids. The times around candles are the open times of their neighbours."""
    from_ns, to_ns = missing.from_ns, missing.to_ns
    if stream.data_type is DataType.CANDLE:
        from_ns, to_ns = (
            time_ns if 0 <= time_ns <= LATEST_NS else None
            for time_ns in (stream.candle_open_ns(missing.first - 1), stream.candle_open_ns(missing.last + 1))
        )
    return GapBounds(missing.first, missing.last, from_ns=from_ns, to_ns=to_ns)


def _without_skipped(progress: CandleProgress, candles: Iterable[Candle], now: Moment) -> Sequence[Candle]:
    """Return the candles up to the first skipped interval. The others wait for `REORDER_WINDOW_S` at most."""
    candles = [*progress.after_skip, *candles]
    progress.after_skip = []
    last = progress.ids.last_id
    is_over = progress.skipped_since and now.at - progress.skipped_since >= REORDER_WINDOW_S
    if last is not None and not is_over:
        for at, candle in enumerate(candles):
            number = progress.id_of(candle)
            if number > last + 1:
                progress.after_skip = candles[at:]
                progress.skipped_since = progress.skipped_since or now.at
                return candles[:at]
            last = max(last, number) if candle.closed else last
    progress.skipped_since = 0.0
    return candles


def _skipped(progress: CandleProgress) -> tuple[int, int] | None:
    """Return the first range of candles for which no gap was opened yet."""
    if progress.ids.waiting:
        return progress.ids.waiting[0].first, progress.ids.waiting[0].last
    if progress.after_skip and progress.ids.last_id is not None:
        return progress.ids.last_id + 1, progress.id_of(progress.after_skip[0]) - 1
    return None


def _last_number(progress: IdProgress, record: Record) -> int | None:
    """Return a record's id, or the last one if it has several; None for an event."""
    return progress.id_of(record) if isinstance(record, Trade | Candle) else None


def _is_ahead(progress: CandleProgress, number: int, now: Moment) -> bool:
    """Whether another connection may still bring closed candles before this one."""
    last = progress.ids.last_id
    if len(progress.connections) < 2 or last is None or number <= last + 1:
        progress.ahead_since = 0.0
        return False
    progress.ahead_since = progress.ahead_since or now.at
    return now.at - progress.ahead_since < REORDER_WINDOW_S


def resync(exchange: str, stream: Stream, reason: ResyncReason, detail: str, now: Moment) -> Resync:
    """Return the record of a stream that starts again."""
    return Resync(**event_head(exchange, stream, now), reason=reason, detail=detail)
