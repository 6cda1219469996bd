"""Trades without dense ids: each is emitted once, and an interruption is proved harmless or reported as a gap.

No number shows a missing trade. While a connection streams, all its trades count as received. A lost connection, a
restart or a message that cannot be read is an interruption. The newest trades over REST end it. A page with a trade
from before and one from after it shows all trades between them. Without such a page, the time between is a gap that is
lost. A page that lacks a trade which a connection has brought proves nothing, since it may lack others.

Trades after an interruption wait for the page, for `REORDER_WINDOW_S` at most. Then a gap is opened for the time.
Connections that overlap deliver the same trades, so a planned replacement interrupts nothing.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import islice

from market_collector.book.continuity import REORDER_WINDOW_S
from market_collector.feed.event_head import event_head
from market_collector.feed.gaps import GapBounds, Gaps, KnownGap
from market_collector.feed.retries import GIVE_UP_AFTER_S, GIVE_UP_ANSWERS, delay_s
from market_collector.feed.stream_state import IDS_KEPT, Interruption, UnnumberedProgress, remember
from market_collector.model.events import Event, Record, Recording, Trade
from market_collector.model.moment import Moment
from market_collector.model.reasons import EndReason, GapReason
from market_collector.model.streams import Stream

QUIET_S = 1.0
"""Time without a trade after which the recent trades are requested all the same: a page has only the newest ones."""


class UnnumberedTrades:
    """All streams of such trades of one process. Methods return the records to emit."""

    def __init__(self, exchange: str, streams: Mapping[Stream, UnnumberedProgress], gaps: Gaps) -> None:
        self.streams = streams
        self.duplicates = 0
        self._exchange = exchange
        self._gaps = gaps

    # -- records from connections

    def take(self, progress: UnnumberedProgress, trades: Sequence[Trade], now: Moment) -> Sequence[Record]:
        """Return the trades not delivered before. There must be at least one trade."""
        fresh = [trade for trade in trades if progress.add(trade)]
        self.duplicates += len(trades) - len(fresh)
        _observe(progress, trades[-1], now)
        return fresh if progress.interruption is None else self._interrupted(progress.interruption, fresh, now)

    def _interrupted(self, pause: Interruption, fresh: Sequence[Trade], now: Moment) -> Sequence[Record]:
        if pause.is_open:
            return fresh
        if fresh and not pause.held:
            pause.held_since = now.at
        pause.held.update((trade.trade_id, trade) for trade in fresh)
        return ()

    # -- connections

    def note_live(self, progress: UnnumberedProgress, trades: Sequence[Trade], now: Moment) -> None:
        """Note trades from a connection that serves the stream: a page that reaches one ends the interruption."""
        pause = progress.interruption
        if pause is None:
            return
        for trade in trades:
            if trade.trade_id in pause.known:
                continue
            if pause.live_ns is None:
                pause.live_ns, pause.next_at = trade.exchange_time_ns or 0, now.at
            remember(pause.live, trade.trade_id)

    def serve(self, progress: UnnumberedProgress, connection: int) -> None:
        """Note that a connection brings all trades from now on."""
        progress.serving.add(connection)

    def interrupt(
        self,
        progress: UnnumberedProgress,
        connection: int,
        reason: GapReason,
        now: Moment,
        *,
        is_served: bool = False,
    ) -> None:
        """Note that a connection may lack trades from now on, or one of the past with ``is_served``.

        It is no interruption as long as another connection brings all trades, nor before the first one.
        """
        pause = progress.interruption
        if not is_served:
            progress.serving.discard(connection)
            if pause is not None and pause.asked_by == connection:
                pause.asked_by = 0
        if progress.serving - {connection}:
            return
        if pause is not None:
            pause.interrupt_again(now)
        elif progress.seen:
            progress.interruption = Interruption(reason, progress.seen, progress.newest_ns, now.at)
            progress.seen = {}

    # -- other processes

    def resume(self, progress: UnnumberedProgress, ids: Iterable[str], time_ns: int, now: Moment) -> list[Record]:
        """Continue after trades that another process delivered, with the latest exchange time.

        This process may have emitted trades already, while the other one ran.
        """
        known = dict.fromkeys(ids)
        if not known:
            return []
        first = progress.first_data
        if first is None:
            progress.newest_ns = max(progress.newest_ns, time_ns)
            progress.interruption = Interruption(GapReason.RESTARTED, known, time_ns, now.at)
            return []
        if progress.interruption is not None:
            return self._lose_between(progress, time_ns, first.exchange_time_ns, now)
        gap = self._open(progress, GapBounds(from_ns=time_ns, to_ns=first.exchange_time_ns), GapReason.RESTARTED, now)
        progress.interruption = Interruption(
            GapReason.RESTARTED, known, time_ns, now.at, live=dict(progress.seen), live_ns=first.exchange_time_ns,
            gap_id=gap.gap.gap_id,
        )  # fmt: skip
        return [gap.gap]

    def _lose_between(self, progress: UnnumberedProgress, from_ns: int, to_ns: int | None, now: Moment) -> list[Record]:
        gap = self._open(progress, GapBounds(from_ns=from_ns, to_ns=to_ns), GapReason.RESTARTED, now)
        return [gap.gap, self._gaps.close_lost(gap, EndReason.NOT_IN_HISTORY, now)]

    def lose_for_sink(self, progress: UnnumberedProgress, sink: str, now: Moment) -> list[Event]:
        """Report trades that only this sink has dropped. They cannot be requested by their ids."""
        gap, *_ = self._gaps.open(progress.stream, GapBounds(), GapReason.DROPPED, now, sink=sink)
        return [gap, self._gaps.close_lost(self._gaps.known[gap.gap_id], EndReason.NOT_IN_HISTORY, now)]

    # -- time

    def check_held(self, progress: UnnumberedProgress, now: Moment) -> list[Record]:
        """Open a gap and go on with the trades that have waited too long."""
        pause = progress.interruption
        if pause is None or not pause.held or now.at - pause.held_since < REORDER_WINDOW_S:
            return []
        known = self._open(progress, _bounds(progress, pause, ()), pause.reason, now)
        return [known.gap, *self._release(pause, known)]

    def _open(self, progress: UnnumberedProgress, bounds: GapBounds, reason: GapReason, now: Moment) -> KnownGap:
        gap, *_ = self._gaps.open(progress.stream, bounds, reason, now)
        return self._gaps.known[gap.gap_id]

    def _release(self, pause: Interruption, known: KnownGap) -> Iterable[Trade]:
        pause.gap_id = known.gap.gap_id
        held, pause.held = pause.held, {}
        return held.values()

    def is_due(self, progress: UnnumberedProgress, acked_at: float, now: Moment) -> bool:
        """Return whether a connection that serves the stream should request the recent trades."""
        pause = progress.interruption
        if pause is None or pause.asked_by or now.at < pause.next_at:
            return False
        return bool(pause.live) or (not pause.is_read and now.at - max(acked_at, pause.since) >= QUIET_S)

    # -- answers

    def miss_page(self, progress: UnnumberedProgress, now: Moment) -> list[Record]:
        """Request the recent trades again later: there was no answer.

        Once a connection has brought more trades than any page has, no answer can show the missing ones any more.
        """
        pause = progress.interruption
        if pause is None:
            return []
        _retry(pause, now)
        is_out_of_reach = len(pause.live) >= IDS_KEPT
        return self._settle(progress, pause, (), is_proven=False, now=now) if is_out_of_reach else []

    def take_page(self, progress: UnnumberedProgress, page: Sequence[Trade], now: Moment) -> list[Record]:
        """Take the recent trades, oldest first. They end the interruption if a connection has brought one of them."""
        pause = progress.interruption
        if pause is None:
            return []
        start = next((at + 1 for at, trade in enumerate(page) if trade.trade_id in pause.known), None)
        end = _end_of(progress, pause, page)
        is_old = start is None and not pause.live and _is_old(pause, page)
        if end is None or is_old or _is_partial(progress, pause, page):
            return self._on_old_page(progress, pause, now)
        pause.asked_by, pause.failures, pause.lacking_answers, pause.is_read = 0, 0, 0, True
        rows = _unseen(progress, pause, page[start or 0 : end])
        if start is None:
            rows = [row for row in rows if (row.exchange_time_ns or 0) >= pause.from_ns]
        return self._settle(progress, pause, rows, is_proven=start is not None, now=now)

    def _on_old_page(self, progress: UnnumberedProgress, pause: Interruption, now: Moment) -> list[Record]:
        """Request a page again that is older than the trades of the connection, or lacks some. REST caches lag.

        After trades that no page may list, only another trade can show that pages are old.
        """
        _retry(pause, now)
        if pause.lacking_answers == 0:
            pause.lacking_since = now.at
        pause.lacking_answers += 1
        if pause.lacking_answers < GIVE_UP_ANSWERS or now.at - pause.lacking_since < GIVE_UP_AFTER_S:
            return []
        is_shown = any(name not in progress.unlisted for name in pause.live)
        return self._settle(progress, pause, (), is_proven=False, now=now) if is_shown else []

    def _settle(
        self,
        progress: UnnumberedProgress,
        pause: Interruption,
        rows: Sequence[Trade],
        *,
        is_proven: bool,
        now: Moment,
    ) -> list[Record]:
        """Return the missed trades and the end. Without a live trade, the interruption goes on from there."""
        if not is_proven or pause.is_open:
            records = self._end_gap(progress, pause, rows, is_proven=is_proven, now=now)
        else:
            records = self._proven(progress, pause, rows, now)
        records += pause.held.values()
        _go_on(progress, pause, rows)
        return records

    def _proven(
        self, progress: UnnumberedProgress, pause: Interruption, rows: Sequence[Trade], now: Moment
    ) -> list[Record]:
        """Return the missed trades, and before the first trade after the interruption the record that it is whole."""
        if not pause.live:
            return [*rows]
        recorded = Recording(
            **event_head(self._exchange, progress.stream, now),
            from_time_ns=pause.from_ns,
            to_time_ns=max(pause.from_ns, pause.live_ns or 0),
        )
        at = next((at for at, row in enumerate(rows) if not row.backfilled), len(rows))
        return [*rows[:at], recorded, *rows[at:]]

    def _end_gap(
        self,
        progress: UnnumberedProgress,
        pause: Interruption,
        rows: Sequence[Trade],
        *,
        is_proven: bool,
        now: Moment,
    ) -> list[Record]:
        """End the gap, which is opened first if trades have waited for the answer."""
        opened: list[Record] = []
        bounds = _bounds(progress, pause, () if is_proven else rows)
        if pause.gap_id is None:
            known = self._open(progress, bounds, pause.reason, now)
            opened = [known.gap]
        else:
            known = self._gaps.known[pause.gap_id]
            known.resumes(to_ns=bounds.to_ns)
        at = next((at + 1 for at in range(len(rows) - 1, -1, -1) if rows[at].backfilled), 0)
        self._gaps.recover(known, sum(row.backfilled for row in rows))
        if is_proven:
            end: Event = self._gaps.close(known, EndReason.BACKFILLED, now)
        else:
            end = self._gaps.close_lost(known, EndReason.NOT_IN_HISTORY, now)
        return [*opened, *rows[:at], end, *rows[at:]]


def _observe(progress: UnnumberedProgress, trade: Trade, now: Moment) -> None:
    if (trade.exchange_time_ns or 0) >= progress.newest_ns:
        progress.observe(trade, now)
    else:
        progress.observe_late(trade, now)


def _retry(pause: Interruption, now: Moment) -> None:
    pause.asked_by = 0
    pause.next_at = now.at + delay_s(pause.failures)
    pause.failures += 1


def _end_of(progress: UnnumberedProgress, pause: Interruption, page: Sequence[Trade]) -> int | None:
    """Return how many rows of a page belong to the time before the newest trade that a connection has brought.

    None if the page ends before the connection starts, or before a trade that an earlier one has brought. One that has
    none of its trades, but newer ones, covers the time before it.
    """
    if not pause.live:
        return len(page) if _reaches_newest(progress, page) else None
    reached = next((at for at in range(len(page), 0, -1) if page[at - 1].trade_id in pause.live), None)
    if reached is not None:
        return reached
    times = [trade.exchange_time_ns or 0 for trade in page]
    live_ns = pause.live_ns or 0
    return sum(time_ns <= live_ns for time_ns in times) if times and times[-1] > live_ns else None


def _reaches_newest(progress: UnnumberedProgress, page: Sequence[Trade]) -> bool:
    """Whether a page goes up to the newest trade since the interruption, if there is one."""
    newest = next((each for each in reversed(progress.seen) if each not in progress.unlisted), None)
    if newest is None or any(row.trade_id == newest for row in page):
        return True
    return bool(page) and (page[-1].exchange_time_ns or 0) > progress.newest_ns


def _is_old(pause: Interruption, page: Sequence[Trade]) -> bool:
    """Whether a page has nothing after the newest trade before the interruption, nor that one."""
    return not page or (page[-1].exchange_time_ns or 0) <= pause.from_ns


def _is_partial(progress: UnnumberedProgress, pause: Interruption, page: Sequence[Trade]) -> bool:
    """Whether a page lacks trades that connections have brought, among those between its first and its last time.

    The last trade before the interruption and the first one after it are, if their times are.
    """
    known, live = [*pause.known], [*pause.live]
    last_known = [len(known) - 1] if _is_inside(page, pause.from_ns) else []
    first_live = [0] if live and _is_inside(page, pause.live_ns or 0) else []
    return _lacks(page, known, last_known, progress.unlisted) or _lacks(page, live, first_live, progress.unlisted)


def _is_inside(page: Sequence[Trade], time_ns: int) -> bool:
    """Whether a page has all trades of a time. Those of its first and its last time have no order."""
    return bool(page) and (page[0].exchange_time_ns or 0) < time_ns < (page[-1].exchange_time_ns or 0)


def _lacks(page: Sequence[Trade], ids: Sequence[str], inside: Iterable[int], unlisted: Container[str]) -> bool:
    """``inside`` are places of ids that the page should list. It should also list those between others that it has."""
    places = {name: place for place, name in enumerate(ids)}
    listed = {row.trade_id: _is_inside(page, row.exchange_time_ns or 0) for row in page}
    bounds = [*inside, *(places[name] for name, is_inside in listed.items() if is_inside and name in places)]
    expected = ids[min(bounds) : max(bounds) + 1] if bounds else ()
    return any(name not in listed and name not in unlisted for name in expected)


def _unseen(progress: UnnumberedProgress, pause: Interruption, rows: Iterable[Trade]) -> list[Trade]:
    """Return the rows that were not emitted, each as a connection has brought it if one has."""
    found = [pause.held.pop(row.trade_id, row) for row in rows if row.trade_id not in pause.known]
    return [row for row in found if not row.backfilled or row.trade_id not in progress.seen]


def _bounds(progress: UnnumberedProgress, pause: Interruption, rows: Sequence[Trade]) -> GapBounds:
    """Return the times around the missing trades. Those of an earlier connection may lie between them."""
    to_ns = rows[0].exchange_time_ns if rows else pause.live_ns
    return GapBounds(from_ns=pause.from_ns, to_ns=progress.newest_ns if to_ns is None else to_ns)


def _go_on(progress: UnnumberedProgress, pause: Interruption, rows: Sequence[Trade]) -> None:
    """Forget the interruption, or move its start behind the rows if no connection has brought a trade since."""
    ids = dict.fromkeys([*pause.known, *(row.trade_id for row in rows), *progress.seen])
    known = dict.fromkeys(islice(ids, max(0, len(ids) - IDS_KEPT), None))
    progress.newest_ns = max([progress.newest_ns, pause.from_ns, *(row.exchange_time_ns or 0 for row in rows)])
    pause.held = {}
    if pause.live:
        progress.seen, progress.interruption = known, None
    else:
        progress.seen, pause.known, pause.from_ns = {}, known, progress.newest_ns
        pause.gap_id = None
