"""What is known of every stream for as long as the process lives: last data, state, holes.

A `Feed` dies with its connection; the ledger stays, so that the first trade after a reconnect is compared with the
last one before it. Methods return the stream events that must go into the data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from market_collector.book.continuity import Hole, TradeLine, Verdict
from market_collector.feed.latency import LatencyHistogram
from market_collector.model.events import (
    Data,
    Disconnected,
    Event,
    Gap,
    Lost,
    Orderbook,
    Refused,
    Repaired,
    Resync,
    Trade,
)
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, GapState, Stream, StreamState

CLOSED_GAPS_KEPT = 20
"""Repaired and lost gaps that /status still lists; the counters count all."""


@dataclass(frozen=True, slots=True)
class KnownGap:
    """A gap and where it stands in its life."""

    gap: Gap
    state: GapState = GapState.OPEN


@dataclass(slots=True)
class StreamLedger:
    """One stream's page."""

    stream: Stream
    since_ns: int
    """Since when the stream is in this state."""
    asked_at: float
    """Since when data may be expected, monotonic seconds."""
    state: StreamState = StreamState.PENDING
    reason: str = "NotConnected"
    message: str = ""
    """The reason in a sentence, where one word is not enough."""
    last: Data | None = None
    last_at: float = 0.0
    """When the last data came, monotonic seconds."""
    last_wall_ns: int = 0
    confirmed_at: float = float("-inf")
    """When the exchange last confirmed that it has nothing newer, monotonic seconds."""
    line: TradeLine = field(default_factory=TradeLine)
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)
    """From the exchange's time to ours, one observation a message."""
    trade_gaps: list[Gap] = field(default_factory=list)
    """Open gaps in the trade ids."""
    book_gap: str | None = None
    """Id of the open gap of a book that is not in sync."""

    def become(self, state: StreamState, reason: str, now: Moment, message: str = "") -> None:
        """Changes the state; ``since`` moves only with it."""
        if state is not self.state:
            self.since_ns = now.wall_ns
        self.state, self.reason, self.message = state, reason, message

    def note(self, record: Data, now: Moment) -> None:
        """Data came."""
        self.last, self.last_at, self.last_wall_ns = record, now.at, now.wall_ns
        if record.exchange_time_ns is not None:
            self.latency.observe((now.wall_ns - record.exchange_time_ns) / 1e9)
        if self.state is not StreamState.LIVE:
            self.become(StreamState.LIVE, "", now)

    def age(self, now: Moment, stale_after_s: float) -> None:
        """Looks at the clock: live becomes quiet when the exchange confirms it, stale when nothing explains it."""
        if self.state is StreamState.REFUSED or (self.last is not None and now.at - self.last_at <= stale_after_s):
            return
        if now.at - self.confirmed_at <= stale_after_s:
            self.become(StreamState.QUIET, "QuietMarket", now, "the exchange confirms that there is nothing newer")
        elif self.state is StreamState.PENDING and now.at - self.asked_at <= stale_after_s:
            return
        elif self.state is not StreamState.STALE:
            self.become(StreamState.STALE, "NoData", now, f"no data for more than {stale_after_s:g} s")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The last frame that could not be read."""

    time_ns: int
    reason: str
    excerpt: str


class Ledger:
    """All streams of one process, their gaps, and counters that only grow."""

    def __init__(self, exchange: str, streams: Iterable[Stream], stale_after_s: float, now: Moment) -> None:
        self.exchange = exchange
        self.stale_after_s = stale_after_s
        self.streams = {stream: StreamLedger(stream, now.wall_ns, now.at) for stream in streams}
        self.gaps: dict[str, KnownGap] = {}
        self.messages = 0
        self.gaps_detected = 0
        self.gaps_repaired = 0
        self.missing_trades = 0
        self.resyncs = 0
        self.duplicates = 0
        self.skipped_updates = 0
        self.unreadable_frames = 0
        self.last_unreadable: Unreadable | None = None

    def age(self, now: Moment) -> None:
        """Moves every stream's state with the clock; to be called about once a second, connected or not."""
        for page in self.streams.values():
            page.age(now, self.stale_after_s)

    def trades(self, page: StreamLedger, trades: Sequence[Trade], now: Moment) -> list[Trade | Event]:
        """Notes trades; returns those that were not delivered before, with the events that they cause."""
        fresh: list[Trade | Event] = []
        late = False
        for trade in trades:
            first, last, time_ns = int(trade.first_trade_id), int(trade.trade_id), trade.exchange_time_ns or 0
            match page.line.take(first, last, time_ns, now.at):
                case Verdict.DUPLICATE:
                    self.duplicates += 1
                    continue
                case Verdict.RESTART:
                    fresh.append(self._resync(page.stream, f"trade ids restarted at {first}", now))
                case Verdict.LATE:
                    late = True
            fresh.append(trade)
        if late:
            fresh += self._filled(page, now)
        return fresh

    def overdue(self, now: Moment) -> list[Event]:
        """Gap events for trades that were waited for in vain."""
        return [
            self._open_gap(page, hole, now)
            for page in self.streams.values()
            if page.line.waiting
            for hole in page.line.overdue(now.at)
        ]

    def _open_gap(self, page: StreamLedger, hole: Hole, now: Moment) -> Gap:
        self.missing_trades += hole.size
        first, last, after_ns = str(hole.first), str(hole.last), page.line.last_time_ns
        gap = self._detect(page.stream, now, "TradeIdsMissing", first, last, missing=hole.size, to_ns=after_ns)
        page.trade_gaps.append(gap)
        return gap

    def _filled(self, page: StreamLedger, now: Moment) -> list[Event]:
        """Closes the gaps of which late trades have brought the last id."""
        full = [gap for gap in page.trade_gaps if not page.line.open_ids(int(gap.first or 0), int(gap.last or 0))]
        page.trade_gaps = [gap for gap in page.trade_gaps if gap not in full]
        return [self._close(gap, GapState.REPAIRED, gap.missing, 0, "LateTrades", now) for gap in full]

    def book_lost(self, page: StreamLedger, sequence: int | None, reason: str, now: Moment) -> list[Event]:
        """A book is in doubt: opens its gap, unless one is open already."""
        if page.book_gap is not None:
            return []
        time_ns = page.last.exchange_time_ns if page.last is not None else None
        first = None if sequence is None else str(sequence)
        gap = self._detect(page.stream, now, reason, first, None, from_ns=time_ns)
        page.book_gap = gap.gap_id
        return [gap]

    def book_back(self, page: StreamLedger, snapshot: Orderbook, now: Moment) -> list[Event]:
        """A snapshot makes the book right again: closes its gap.

        The updates in between are gone for ever (no exchange offers them), so the gap is lost, with its bounds said;
        unless the sequence shows that there were none.
        """
        if page.book_gap is None:
            return []
        gap, page.book_gap = self.gaps[page.book_gap].gap, None
        if gap.first is not None and gap.first == str(snapshot.sequence):
            return [self._close(gap, GapState.REPAIRED, 0, 0, "NothingChanged", now)]
        return [self._close(gap, GapState.LOST, 0, None, f"ReplacedBySnapshot {snapshot.sequence}", now)]

    def resync(self, stream: Stream, reason: str, now: Moment) -> Resync:
        """A stream is asked for again because it is in doubt."""
        self.resyncs += 1
        return self._resync(stream, reason, now)

    def _resync(self, stream: Stream, reason: str, now: Moment) -> Resync:
        return Resync(self.exchange, stream.symbol, None, now.wall_ns, str(stream), reason)

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

    def disconnected(self, streams: Iterable[Stream], reason: str, now: Moment) -> list[Event]:
        """A connection ended; its books are in doubt until their next snapshot."""
        events: list[Event] = [Disconnected(self.exchange, None, None, now.wall_ns, None, reason)]
        for stream in streams:
            page = self.streams[stream]
            if stream.data_type is DataType.ORDERBOOK and isinstance(page.last, Orderbook):
                events += self.book_lost(page, page.last.sequence, "Disconnected", now)
        return events

    def unreadable(self, reason: str, frame: bytes, now: Moment) -> None:
        """A frame could not be read."""
        self.unreadable_frames += 1
        self.last_unreadable = Unreadable(now.wall_ns, reason, frame[:120].decode(errors="replace"))

    def open_gaps(self) -> list[Gap]:
        """Gaps that are not closed, oldest first."""
        return [known.gap for known in self.gaps.values() if known.state is GapState.OPEN]

    def _detect(
        self,
        stream: Stream,
        now: Moment,
        reason: str,
        first: str | None,
        last: str | None,
        *,
        missing: int | None = None,
        from_ns: int | None = None,
        to_ns: int | None = None,
    ) -> Gap:
        self.gaps_detected += 1
        gap_id = f"{stream}:{first or 'start'}@{now.wall_ns // 1_000_000}"
        gap = Gap(
            self.exchange,
            stream.symbol,
            None,
            now.wall_ns,
            gap_id,
            str(stream),
            first,
            last,
            from_ns,
            to_ns,
            missing,
            reason,
        )
        self.gaps[gap_id] = KnownGap(gap)
        return gap

    def _close(
        self, gap: Gap, state: GapState, recovered: int | None, missing: int | None, reason: str, now: Moment
    ) -> Repaired | Lost:
        self.gaps[gap.gap_id] = replace(self.gaps[gap.gap_id], state=state)
        closed = [gap_id for gap_id, known in self.gaps.items() if known.state is not GapState.OPEN]
        for gap_id in closed[:-CLOSED_GAPS_KEPT]:
            del self.gaps[gap_id]
        if state is GapState.REPAIRED:
            self.gaps_repaired += 1
        kind = Repaired if state is GapState.REPAIRED else Lost
        return kind(self.exchange, gap.symbol, None, now.wall_ns, gap.gap_id, gap.stream, recovered, missing, reason)
