"""Progress, gaps and counters of all streams, kept for as long as the process lives.

A `Feed` ends with its connection, the ledger stays. So the first trade after a reconnect is compared with the last one
before it, and two overlapping connections deliver everything once. Methods return the records to emit.
"""

from collections.abc import Iterable, Sequence

import msgspec

from market_collector.book.rule import LINKED_BY_SEQUENCE, BookRule, BookWindow, Scope
from market_collector.exchanges.interface import AccountUpdate
from market_collector.feed.account import changed_balances
from market_collector.feed.complaints import Complaints
from market_collector.feed.event_head import event_head
from market_collector.feed.gaps import Gaps
from market_collector.feed.id_gaps import IdGaps, resync
from market_collector.feed.instruments import Instruments
from market_collector.feed.one_publisher import KnownRangeBooks
from market_collector.feed.own_numbers import OwnNumberedBooks
from market_collector.feed.published_book import PublishedBooks
from market_collector.feed.recording import recordings
from market_collector.feed.stream_state import (
    AccountProgress,
    BookProgress,
    IdProgress,
    StreamProgress,
    UnnumberedProgress,
    start_progress,
)
from market_collector.feed.unnumbered import UnnumberedTrades
from market_collector.model.events import Connected, Disconnected, Event, Record, Refused, Resync
from market_collector.model.moment import Moment
from market_collector.model.reasons import ConnectReason, DisconnectReason, GapReason, ResyncReason
from market_collector.model.streams import DataType, StoredId, Stream, StreamState

NUMBERED = IdProgress | UnnumberedProgress | BookProgress
"""Streams whose records show themselves what was recorded. Of others, only the connections do."""


class Unreadable(msgspec.Struct, frozen=True):
    """The last frame that could not be decoded."""

    time_ns: int
    reason: str
    excerpt: str


class Loss(msgspec.Struct, frozen=True):
    """Records that a sink dropped because its queue was full."""

    sink: str
    stream: str
    count: StoredId
    """Number of records."""
    ids: tuple[tuple[StoredId, StoredId], ...] = ()
    """Trades and closed candles: first and last id of each consecutive range."""


class Ledger:
    """All streams of one process."""

    def __init__(
        self,
        exchange: str,
        streams: Iterable[Stream],
        stale_after_s: float,
        now: Moment,
        *,
        has_quotes: bool = False,
        book_rule: BookRule = LINKED_BY_SEQUENCE,
        skips_empty_candles: bool = False,
        has_dense_trade_ids: bool = True,
    ) -> None:
        """With ``has_quotes``, the best prices of each book are published as `Quote` records."""
        self.exchange = exchange
        self.stale_after_s = stale_after_s
        self.streams = {
            stream: start_progress(stream, now, has_dense_trade_ids=has_dense_trade_ids) for stream in streams
        }
        self.gaps = Gaps(exchange)
        ids = {stream: each for stream, each in self.streams.items() if isinstance(each, IdProgress)}
        books = {stream: each for stream, each in self.streams.items() if isinstance(each, BookProgress)}
        self.ids = IdGaps(exchange, ids, self.gaps, skips_empty_candles=skips_empty_candles)
        trades = {stream: each for stream, each in self.streams.items() if isinstance(each, UnnumberedProgress)}
        self.trades = UnnumberedTrades(exchange, trades, self.gaps)
        self.books = publisher_of(book_rule)(exchange, books, self.gaps, book_rule, has_quotes=has_quotes)
        self.instruments = Instruments()
        self.connections = 0
        """Connections opened so far; the count numbers a connection."""
        self._names: dict[int, str] = {}
        """Names of the open connections by number."""
        self.messages = 0
        self.resyncs = 0
        self.skipped_updates = 0
        self.complaints = Complaints()
        self.unreadable_frames = 0
        self.last_unreadable: Unreadable | None = None
        self._duplicate_balances = 0

    @property
    def duplicates(self) -> int:
        """Number of records received again and not emitted."""
        return self.ids.duplicates + self.trades.duplicates + self.books.duplicates + self._duplicate_balances

    # -- time

    def age(self, now: Moment) -> list[tuple[Stream, Exception]]:
        """Update every stream's state. Call it about once a second, connected or not.

        Returns internal errors by stream, which must not keep other streams from it.
        """
        errors: list[tuple[Stream, Exception]] = []
        for stream, progress in self.streams.items():
            try:
                progress.age(now, self.stale_after_s)
            except Exception as error:
                errors.append((stream, error))
        return errors

    def confirm(self, progress: StreamProgress, now: Moment) -> None:
        """Record that the exchange has no newer data for the stream."""
        progress.confirmed_at, progress.unchecked = now.at, ""
        progress.age(now, self.stale_after_s)

    def restate_times(self, now: Moment) -> None:
        """Convert times of last data to a wall clock that was set, so that ages in /status and metrics stay right."""
        for progress in self.streams.values():
            if progress.last_wall_ns:
                progress.last_wall_ns = now.wall_ns - int((now.at - progress.last_at) * 1e9)

    def check_overdue(self, now: Moment) -> list[Record]:
        """Open gaps for ids that did not come in time, and republish books that no connection continues."""
        records: list[Record] = []
        for ids in self.ids.streams.values():
            if ids.ahead or ids.after_skip:
                records += self.ids.check_ahead(ids, now)
            if ids.ids.waiting and not ids.is_held:
                records += self.ids.open_overdue(ids, now)
        for trades in self.trades.streams.values():
            if trades.interruption is not None:
                records += self.trades.check_held(trades, now)
        for book in self.books.streams.values():
            if book.books:
                records += self.books.check_left_behind(book, now)
        return records

    # -- records

    def take_account(self, progress: AccountProgress, update: AccountUpdate, now: Moment) -> Sequence[Record]:
        """Return the balances that changed since they were emitted last."""
        changed = changed_balances(progress.balances, update, now.wall_ns)
        self._duplicate_balances += sum(balance not in changed for balance in update.balances)
        if update.balances:
            progress.observe_repeated(update.balances[-1], now)
        else:
            self.confirm(progress, now)
        return changed

    def on_sink_loss(self, loss: Loss, now: Moment) -> list[Record]:
        """Return records for a sink that accepts data again after it dropped some. They are for this sink only."""
        is_quote = loss.stream.endswith(f"/{DataType.QUOTE}")
        name = loss.stream.replace(f"/{DataType.QUOTE}", f"/{DataType.ORDERBOOK}") if is_quote else loss.stream
        progress = next((each for stream, each in self.streams.items() if str(stream) == name), None)
        if is_quote and isinstance(progress, BookProgress):
            return self.books.current_quotes(progress, now)
        if isinstance(progress, BookProgress):
            return self.books.current_snapshots(progress, now)
        if isinstance(progress, IdProgress):
            return list(self.ids.open_for_sink(progress, loss.sink, loss.ids, now))
        if isinstance(progress, UnnumberedProgress):
            return list(self.trades.lose_for_sink(progress, loss.sink, now))
        return []

    # -- events

    def resync(self, stream: Stream, reason: ResyncReason, detail: str, now: Moment) -> Resync:
        """Record that a stream is out of sync and is subscribed again."""
        self.resyncs += 1
        return resync(self.exchange, stream, reason, detail, now)

    def expect_data(self, progress: StreamProgress, now: Moment) -> None:
        """End a refusal: the stream is subscribed again, or was accepted at last."""
        progress.expected_since = now.at
        progress.set_state(StreamState.PENDING, "Subscribing", now)

    def refuse(self, progress: StreamProgress, reason: str, message: str, now: Moment) -> list[Event]:
        """Record that the exchange refuses the stream. Repeating a refusal emits nothing."""
        is_new = progress.state is not StreamState.REFUSED or progress.message != message
        progress.set_state(StreamState.REFUSED, reason, now, message)
        if not is_new:
            return []
        return [Refused(**event_head(self.exchange, progress.stream, now), reason=reason, detail=message)]

    def opened(self, connection: int, name: str, streams: Iterable[Stream], now: Moment) -> Connected:
        """Record that a connection is open and carries these streams."""
        streams = list(streams)
        self._names[connection] = name
        for progress in map(self.streams.__getitem__, streams):
            if not progress.connections:
                progress.carried_since_ns = now.wall_ns
            progress.connections.add(connection)
        return Connected(
            self.exchange,
            None,
            None,
            now.wall_ns,
            None,
            ConnectReason.OPENED,
            None,
            name,
            connection,
            names_of(streams),
        )

    def _ended(
        self, connection: int, streams: Iterable[Stream], reason: DisconnectReason, detail: str | None, now: Moment
    ) -> Disconnected:
        name = self._names.pop(connection, None)
        return Disconnected(
            self.exchange, None, None, now.wall_ns, None, reason, detail, name, connection, names_of(streams)
        )

    def _closed(self, connection: int, streams: Iterable[Stream], now: Moment) -> list[Record]:
        """Take what waited for this connection, and report the streams that only it carried."""
        records: list[Record] = []
        for progress in map(self.streams.__getitem__, streams):
            if progress.connections == {connection} and not isinstance(progress, NUMBERED):
                records += recordings(self.exchange, [progress], now)
            progress.connections.discard(connection)
            if isinstance(progress, IdProgress):
                records += self.ids.check_ahead(progress, now)
        return records

    def recordings(self, now: Moment) -> list[Record]:
        """Return a record of the time in which each stream was recorded. Call it once a minute."""
        return list(recordings(self.exchange, self.streams.values(), now))

    def stopped(self, connection: int, streams: Iterable[Stream], now: Moment) -> list[Record]:
        """Record that a connection was ended on purpose: reports everything missing until now."""
        streams = list(streams)
        numbered = [each for stream in streams if isinstance(each := self.streams[stream], NUMBERED)]
        events = [*self._closed(connection, streams, now), *self.check_overdue(Moment(float("inf"), now.wall_ns))]
        for trades in self._trades_of(streams):
            self.trades.interrupt(trades, connection, GapReason.RESTARTED, now)
        events += recordings(self.exchange, [each for each in numbered if not each.connections], now)
        for progress in self._books_of(streams):
            if len(progress.books) > 1:
                events += self.books.hand_over(progress, connection, now)
                events += self.books.remove(progress, connection, GapReason.DISCONNECTED, now)
            progress.books.pop(connection, None)
        return [*events, self._ended(connection, streams, DisconnectReason.STOPPED, None, now)]

    def disconnected(
        self,
        connection: int,
        streams: Sequence[Stream],
        reason: str,
        now: Moment,
        cause: GapReason = GapReason.DISCONNECTED,
        *,
        word: DisconnectReason = DisconnectReason.CONNECTION_LOST,
    ) -> list[Record]:
        """Record that a connection ended. Books that no other connection has are out of sync until their snapshot."""
        events: list[Record] = [self._ended(connection, streams, word, reason, now)]
        events += self._closed(connection, streams, now)
        for stream in streams:
            progress = self.streams[stream]
            progress.unchecked = ""  # it is known why there is no data
            if progress.state is StreamState.PENDING:
                progress.set_state(StreamState.PENDING, "NotConnected", now, reason)
            if stream in self.ids.streams:
                self.ids.streams[stream].interruption = cause
        for trades in self._trades_of(streams):
            self.trades.interrupt(trades, connection, cause, now)
        for book in self._books_of(streams):
            if word is DisconnectReason.REPLACED:
                events += self.books.hand_over(book, connection, now)
            events += self.books.remove(book, connection, cause, now)
        return events

    def _trades_of(self, streams: Iterable[Stream]) -> list[UnnumberedProgress]:
        return [self.trades.streams[stream] for stream in streams if stream in self.trades.streams]

    def _books_of(self, streams: Iterable[Stream]) -> list[BookProgress]:
        return [self.books.streams[stream] for stream in streams if stream in self.books.streams]

    def unreadable(self, reason: str, frame: bytes, now: Moment) -> None:
        """Count a frame that could not be decoded."""
        self.unreadable_frames += 1
        self.last_unreadable = Unreadable(now.wall_ns, reason, frame[:120].decode(errors="replace"))


def publisher_of(rule: BookRule) -> type[PublishedBooks]:
    """Return the class that publishes books by this rule."""
    if rule.scope is Scope.CONNECTION:
        return OwnNumberedBooks
    return KnownRangeBooks if rule.window is BookWindow.KNOWN_RANGE else PublishedBooks


def names_of(streams: Iterable[Stream]) -> list[str]:
    """Return the names of streams, sorted."""
    return sorted(map(str, streams))
