"""What is known of every stream for as long as the process lives: last data, state, numbers, holes.

A `Feed` dies with its connection; the ledger stays, so that the first trade after a reconnect is compared with the
last one before it, and two connections that overlap deliver everything once. Methods return the records that must go
into the data.
"""

from collections.abc import Iterable, Sequence

import msgspec

from market_collector.book.book import Book
from market_collector.book.continuity import REORDER_WINDOW_S, Hole, Verdict, without
from market_collector.exchanges.interface import AccountUpdate
from market_collector.feed.account import news
from market_collector.feed.gaps import Gaps, KnownGap, Span
from market_collector.feed.stream_state import StreamLedger
from market_collector.model.events import Candle, Data, Disconnected, Event, Orderbook, Record, Refused, Resync, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

NEW = Verdict.NEW
"""For what is done with each message: before Python 3.12 it takes 70 ns to look up an enum's member."""
ALL = 1_000_000
"""Levels: more than any book has."""


class Unreadable(msgspec.Struct, frozen=True):
    """The last frame that could not be read."""

    time_ns: int
    reason: str
    excerpt: str


class Loss(msgspec.Struct, frozen=True):
    """What a sink did not take because its queue was full."""

    sink: str
    stream: str
    count: int
    """Records."""
    ids: tuple[tuple[int, int], ...] = ()
    """Trades and closed candles: their places on the stream's line, first and last of each run."""


class Ledger:
    """All streams of one process, their gaps, and counters that only grow."""

    def __init__(self, exchange: str, streams: Iterable[Stream], stale_after_s: float, now: Moment) -> None:
        self.exchange = exchange
        self.stale_after_s = stale_after_s
        self.streams = {stream: StreamLedger(stream, now.wall_ns, now.at) for stream in streams}
        self.gaps = Gaps(exchange)
        self.connections = 0
        """Opened so far; the number names a connection."""
        self.messages = 0
        self.resyncs = 0
        self.duplicates = 0
        self.skipped_updates = 0
        self.unreadable_frames = 0
        self.last_unreadable: Unreadable | None = None

    def age(self, now: Moment) -> None:
        """Moves every stream's state with the clock; to be called about once a second, connected or not."""
        for page in self.streams.values():
            page.age(now, self.stale_after_s)

    def restate(self, now: Moment) -> None:
        """The wall clock was set: says on it when data last came, so that ages in /status and metrics stay true."""
        for page in self.streams.values():
            if page.last_wall_ns:
                page.last_wall_ns = now.wall_ns - int((now.at - page.last_at) * 1e9)

    # -- trades and candles: dense numbers

    def trades(self, page: StreamLedger, trades: Iterable[Trade], now: Moment) -> list[Record]:
        """Notes trades; returns those that were not delivered before, with the events that they cause."""
        fresh: list[Record] = []
        line = page.line
        is_late = False
        for trade in trades:
            last = int(trade.trade_id)
            first = last if trade.count == 1 else int(trade.first_trade_id)
            verdict = line.take(first, last, trade.exchange_time_ns or 0, now.at)
            if verdict is not NEW:
                if verdict is Verdict.DUPLICATE:
                    self.duplicates += 1
                    continue
                if verdict is Verdict.RESTART:
                    fresh += self._numbering_restarted(page, first, now)
                is_late = is_late or verdict is Verdict.LATE
            fresh.append(trade)
        if page.interruption and not line.waiting:
            page.interruption = ""  # nothing is missing since then
        return [*fresh, *self._filled(page, "LateTrades", now)] if is_late else fresh

    def candles(self, page: StreamLedger, candles: Iterable[Candle], now: Moment) -> list[Record]:
        """The same for candles. One that runs says that all before it are closed."""
        fresh: list[Record] = []
        is_late = False
        for candle in candles:
            number = page.number(candle)
            if not candle.closed:
                page.line.expect(number - 1, now.at)
                fresh.append(candle)
            elif (verdict := page.line.take(number, number, 0, now.at)) is not Verdict.DUPLICATE:
                is_late = is_late or verdict is Verdict.LATE
                fresh.append(candle)
            else:
                self.duplicates += 1
        return [*fresh, *self._filled(page, "LateCandles", now)] if is_late else fresh

    def balances(self, page: StreamLedger, told: AccountUpdate, now: Moment) -> Sequence[Record]:
        """The same for what an account holds: returns what has changed since it was told last."""
        fresh = news(page.held, told, now.wall_ns)
        self.duplicates += sum(balance not in fresh for balance in told.balances)
        return fresh

    def expect(self, page: StreamLedger, newest: int, now: Moment) -> None:
        """The exchange has told its newest event (`Exchange.mark`): what is missing up to it is a hole."""
        if page.line.last_id is None:
            return
        if page.stream.data_type is DataType.TRADE:
            page.line.expect(newest, now.at)
        elif page.stream.data_type is DataType.CANDLE:  # the newest one may still run
            page.line.expect(page.stream.candle_number(newest * 1_000_000) - 1, now.at)

    def _numbering_restarted(self, page: StreamLedger, first: int, now: Moment) -> list[Record]:
        """The exchange counts anew: what is missing under the old numbers cannot be asked for any more."""
        reason = f"trade ids restarted at {first}"
        events = [event for hole in page.line.abandoned() for event in self._open_gap(page, hole, reason, now)]
        for known in [each for each in self.gaps.all_open() if each.stream == page.stream]:
            holes = self.still_missing(known)
            self._give_up(known, holes)
            self.gaps.lose(known, holes)
            events.append(self.gaps.close(known, reason, now))
        return [*events, self._resync(page.stream, reason, now)]

    def overdue(self, now: Moment) -> list[Record]:
        """What was waited for in vain: gaps of dense numbers, and a new beginning of books that nobody goes on from."""
        return [record for page in self.streams.values() for record in self._overdue_of(page, now)]

    def _overdue_of(self, page: StreamLedger, now: Moment) -> Sequence[Record]:
        if page.books:
            return self._overdue_book(page, now)
        return self._overdue(page, now) if page.line.waiting else ()

    def _overdue(self, page: StreamLedger, now: Moment) -> list[Event]:
        reason = page.interruption or "IdsMissing"
        events = [event for hole in page.line.overdue(now.at) for event in self._open_gap(page, hole, reason, now)]
        if not page.line.waiting:
            page.interruption = ""
        return events

    def _open_gap(self, page: StreamLedger, hole: Hole, reason: str, now: Moment) -> Sequence[Event]:
        span = Span(page.name_of(hole.first), page.name_of(hole.last), hole.size, None, page.line.last_time_ns or None)
        return self.gaps.open(page.stream, span, reason, now)

    def still_missing(self, known: KnownGap) -> list[Hole]:
        """What of a gap in dense numbers is not there yet."""
        if known.sink is not None:
            return known.holes
        return self.streams[known.stream].line.holes(*self.bounds(known))

    def bounds(self, known: KnownGap) -> tuple[int, int]:
        """First and last number of a gap in dense numbers."""
        page = self.streams[known.stream]
        return page.number_of(known.gap.first or "0"), page.number_of(known.gap.last or "0")

    def backfill(self, known: KnownGap, records: Iterable[Data], now: Moment) -> list[Record]:
        """Takes what the exchange's history has of a gap, in order; returns what was missing of it, and the gap's
        end if that was all."""
        page = self.streams[known.stream]
        fresh = [record for record in records if self._fills(page, known, record, now)]
        self.gaps.recover(known, len(fresh))
        return [*fresh, *self.finish(known, "Backfilled", now)]

    def _fills(self, page: StreamLedger, known: KnownGap, record: Data, now: Moment) -> bool:
        number = page.number(record)
        if known.sink is None:
            is_missing = bool(page.line.holes(number, number))
            if is_missing:
                page.line.take(number, number, record.exchange_time_ns or 0, now.at)
            return is_missing
        before, known.holes = known.holes, without(known.holes, number, number)
        return known.holes != before

    def lose(self, known: KnownGap, holes: Sequence[Hole], now: Moment) -> list[Event]:
        """The exchange's history does not have these any more; returns the gap's end if nothing else is missing."""
        self._give_up(known, holes)
        self.gaps.lose(known, holes)
        return self.finish(known, "NotInHistory", now)

    def never_were(self, known: KnownGap, holes: Sequence[Hole], now: Moment) -> list[Event]:
        """The exchange's history shows that these never existed: nothing is missing there."""
        self._give_up(known, holes)
        return self.finish(known, "NothingTraded", now)

    def _give_up(self, known: KnownGap, holes: Sequence[Hole]) -> None:
        line = self.streams[known.stream].line
        for hole in holes:
            if known.sink is None:
                line.give_up(hole.first, hole.last)
            known.holes = without(known.holes, hole.first, hole.last)

    def finish(self, known: KnownGap, reason: str, now: Moment) -> list[Event]:
        """Ends a gap of which nothing is missing any more."""
        return (
            []
            if self.still_missing(known)
            else [self.gaps.close(known, reason, now, self.streams[known.stream].name_of)]
        )

    def _filled(self, page: StreamLedger, reason: str, now: Moment) -> list[Event]:
        """Closes the gaps of which late rows have brought the last id."""
        events: list[Event] = []
        for known in self.gaps.open_of(page.stream):
            self.gaps.recover(known, self.recovered(known) - known.recovered)
            events += self.finish(known, reason, now)
        return events

    def recovered(self, known: KnownGap) -> int:
        """How many of a gap in dense numbers are there now."""
        left = sum(hole.size for hole in (*self.still_missing(known), *known.lost))
        return (known.gap.missing or 0) - left

    def sink_lost(self, loss: Loss, now: Moment) -> list[Record]:
        """A sink that was full takes data again: what it needs to be whole, or to begin anew. For this sink only."""
        stream = next((stream for stream in self.streams if str(stream) == loss.stream), None)
        if stream is None:
            return []
        page = self.streams[stream]
        if stream.data_type is DataType.ORDERBOOK:
            return [self._snapshot(page, book, now) for book in self._published(page)]
        return [event for run in loss.ids for event in self._open_sink_gap(page, loss.sink, Hole(*run, now.at), now)]

    def _open_sink_gap(self, page: StreamLedger, sink: str, hole: Hole, now: Moment) -> Sequence[Event]:
        span = Span(page.name_of(hole.first), page.name_of(hole.last), hole.size)
        return self.gaps.open(page.stream, span, "Dropped", now, sink=sink, holes=[hole])

    # -- books: one published line, whichever connection brings it

    def _published(self, page: StreamLedger) -> list[Book]:
        """The book as it was published last, if a connection has exactly that state."""
        return [book for book in page.books.values() if book.sequence == page.head][:1]

    def book_began(
        self, page: StreamLedger, connection: int, book: Book, snapshot: Orderbook, now: Moment
    ) -> list[Record]:
        """A connection has a snapshot. It is published, unless another connection's book goes on in sync."""
        is_covered = any(each != connection for each in page.books)
        page.books[connection] = book
        if is_covered:
            return []
        page.head = snapshot.sequence
        return [*self._book_back(page, snapshot.sequence, now), snapshot]

    def book_ended(self, page: StreamLedger, connection: int, reason: str, now: Moment) -> list[Record]:
        """A connection's book is not in sync any more, or the connection is gone. Opens the stream's gap, unless
        another connection goes on from what was published."""
        if page.books.pop(connection, None) is None and page.books:
            return []
        if not page.books:
            return self._open_book_gap(page, reason, now)
        book = next(iter(page.books.values()))
        if book.sequence is None or page.head is None or book.sequence <= page.head:
            return []
        return self._begin_again(page, book, reason, now)

    def _overdue_book(self, page: StreamLedger, now: Moment) -> list[Record]:
        """Connections whose books are ahead of what was published (by a snapshot of their own, or numbered
        differently) would never link to it. One that only lags may need a moment."""
        if self._published(page):
            page.left_behind_at = None
            return []
        if page.left_behind_at is None:
            page.left_behind_at = now.at
        if now.at - page.left_behind_at >= REORDER_WINDOW_S:
            return self._begin_again(page, next(reversed(page.books.values())), "LeftBehind", now)
        return []

    def _begin_again(self, page: StreamLedger, book: Book, reason: str, now: Moment) -> list[Record]:
        events = self._open_book_gap(page, reason, now)
        page.head = book.sequence
        return [*events, *self._book_back(page, book.sequence, now), self._snapshot(page, book, now)]

    def _snapshot(self, page: StreamLedger, book: Book, now: Moment) -> Orderbook:
        """Our own state as a record, where the exchange sends none because nothing is wrong on its side."""
        return Orderbook(
            self.exchange, page.stream.symbol, book.exchange_time_ns, now.wall_ns, "snapshot",
            book.best_bids(ALL), book.best_asks(ALL), book.sequence, None,
        )  # fmt: skip

    def _open_book_gap(self, page: StreamLedger, reason: str, now: Moment) -> list[Record]:
        if page.book_gap is not None or not isinstance(page.last, Orderbook):
            return []
        first = None if page.head is None else str(page.head)
        gap, *_ = self.gaps.open(page.stream, Span(first, from_ns=page.last.exchange_time_ns), reason, now)
        page.book_gap = gap.gap_id
        return [gap]

    def _book_back(self, page: StreamLedger, sequence: int | None, now: Moment) -> list[Event]:
        """A snapshot makes the book right again: closes its gap.

        The updates in between are gone for ever (no exchange offers them), so the gap is lost, with its bounds said;
        unless the sequence shows that there were none.
        """
        if page.book_gap is None:
            return []
        known, page.book_gap = self.gaps.known[page.book_gap], None
        if known.gap.first is not None and known.gap.first == str(sequence):
            return [self.gaps.close(known, "NothingChanged", now)]
        return [self.gaps.close_lost(known, f"ReplacedBySnapshot {sequence}", now)]

    def book_resumed(self, page: StreamLedger, head: int | None, now: Moment) -> list[Record]:
        """An earlier run published up to ``head``: what came since then is in doubt until the first snapshot. Opens a
        gap, unless one that it left open goes on."""
        if head is None:
            return []
        page.head = head
        if page.book_gap is not None:
            return []
        gap, *_ = self.gaps.open(page.stream, Span(str(head)), "Restarted", now)
        page.book_gap = gap.gap_id
        return [gap]

    def resync(self, stream: Stream, reason: str, now: Moment) -> Resync:
        """A stream is asked for again because it is in doubt."""
        self.resyncs += 1
        return self._resync(stream, reason, now)

    def _resync(self, stream: Stream, reason: str, now: Moment) -> Resync:
        return Resync(self.exchange, stream.symbol, None, now.wall_ns, str(stream), reason)

    # -- everything else

    def ask_again(self, page: StreamLedger, now: Moment) -> None:
        """A refused stream is asked for once more, or was accepted at last."""
        page.asked_at = now.at
        page.become(StreamState.PENDING, "Subscribing", now)

    def refuse(self, page: StreamLedger, reason: str, message: str, now: Moment) -> list[Event]:
        """The exchange will not serve the stream."""
        is_news = page.state is not StreamState.REFUSED or page.message != message
        page.become(StreamState.REFUSED, reason, now, message)
        name = str(page.stream)
        return [Refused(self.exchange, page.stream.symbol, None, now.wall_ns, name, message)] if is_news else []

    def stopped(self, connection: int, streams: Iterable[Stream], now: Moment) -> list[Record]:
        """A connection was ended on purpose. What is missing until now is said; after it, nothing is expected."""
        events: list[Record] = list(self.overdue(Moment(float("inf"), now.wall_ns)))
        for stream in streams:
            page = self.streams[stream]
            if len(page.books) > 1:
                events += self.book_ended(page, connection, "Disconnected", now)
            page.books.pop(connection, None)
        return [*events, Disconnected(self.exchange, None, None, now.wall_ns, None, "stopped")]

    def disconnected(
        self, connection: int, streams: Iterable[Stream], reason: str, now: Moment, cause: str = "Disconnected"
    ) -> list[Record]:
        """A connection ended; books that no other connection has are in doubt until their next snapshot."""
        events: list[Record] = [Disconnected(self.exchange, None, None, now.wall_ns, None, reason)]
        for stream in streams:
            page = self.streams[stream]
            page.interruption = cause
            if stream.data_type is DataType.ORDERBOOK:
                events += self.book_ended(page, connection, cause, now)
        return events

    def unreadable(self, reason: str, frame: bytes, now: Moment) -> None:
        """A frame could not be read."""
        self.unreadable_frames += 1
        self.last_unreadable = Unreadable(now.wall_ns, reason, frame[:120].decode(errors="replace"))
