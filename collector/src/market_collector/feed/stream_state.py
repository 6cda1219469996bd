"""Progress of each stream, kept for as long as the process lives: one type per kind of stream."""

import msgspec

from market_collector.book.book import Book
from market_collector.book.continuity import IdTracker
from market_collector.exchanges.interface import Evidence
from market_collector.feed.account import LastBalances
from market_collector.feed.candle_order import CandleOrder
from market_collector.feed.latency import LatencyHistogram
from market_collector.model.events import Candle, Data, State, Trade
from market_collector.model.moment import Moment
from market_collector.model.reasons import GapReason, ResyncReason
from market_collector.model.recent import Recent
from market_collector.model.streams import DataType, Stream, StreamState

UNREADABLE = ResyncReason.UNREADABLE
"""Reason of a stream whose messages cannot be read."""
UNPROVED = "ChecksumUnreliable"
"""Reason of a book that is not published, since its checksum is the only proof and never matches."""
RARE_S = {DataType.FUNDING: 120.0}
"""Time without data that is normal, seconds. A recording of OKX has 83 s between two funding rates."""
LIVE = StreamState.LIVE
"""Used for each message: before Python 3.12 an enum member lookup takes 70 ns."""


class StreamProgress(msgspec.Struct):
    """Progress that streams of every kind have."""

    stream: Stream
    since_ns: int
    """When the stream entered its state, nanoseconds since 1970."""
    expected_since: float
    """Since when data may be expected, monotonic seconds."""
    state: StreamState = StreamState.PENDING
    reason: str = "NotConnected"
    message: str = ""
    """The reason as a sentence, where one word is not enough."""
    first_data: Data | None = None
    """The first data of this process."""
    last: Data | None = None
    """The newest data."""
    last_at: float = 0.0
    """When the last data arrived, monotonic seconds."""
    last_wall_ns: int = 0
    unreadable_at: float = float("-inf")
    """When the last message that cannot be read arrived, monotonic seconds."""
    unreadable_message: str = ""
    confirmed_at: float = float("-inf")
    """When the exchange last confirmed that it has no newer data, monotonic seconds."""
    evidence: Evidence | None = None
    """`Batch.evidence` of the last data that had one."""
    unchecked: str = ""
    """Why it is unknown whether the exchange has newer data; empty if it has, or if nobody has asked."""
    connections: set[int] = msgspec.field(default_factory=set)
    """Numbers of the connections that carry the stream."""
    carried_since_ns: int = 0
    """Since when there is such a connection, nanoseconds since 1970."""
    halt: str = ""
    """The exchange's word for an instrument that does not trade now: ``suspend``, ``preopen``."""
    latency: LatencyHistogram = msgspec.field(default_factory=LatencyHistogram)
    """Exchange time to receive time, one observation per message."""

    def set_state(self, state: StreamState, reason: str, now: Moment, message: str = "") -> None:
        """Change the state. ``since_ns`` changes only with it."""
        if state is not self.state:
            self.since_ns = now.wall_ns
        self.state, self.reason, self.message = state, reason, message

    def observe(self, record: Data, now: Moment) -> None:
        """Record the arrival of data and its latency."""
        self.last, self.last_at, self.last_wall_ns = record, now.at, now.wall_ns
        if record.exchange_time_ns is not None:
            self.latency.observe((now.wall_ns - record.exchange_time_ns) / 1e9)
        if self.state is not LIVE:
            self.first_data = self.first_data or record
            self.set_state(LIVE, "", now)

    def observe_late(self, record: Data, now: Moment) -> None:
        """Record the arrival of data that is older than `last`."""
        newest = self.last
        self.observe(record, now)
        self.last = newest or record

    def observe_repeated(self, record: Data, now: Moment) -> None:
        """Record the arrival of data without its latency: it may have been valid for a long time."""
        self.last, self.last_at, self.last_wall_ns = record, now.at, now.wall_ns
        if self.state is not LIVE:
            self.first_data = self.first_data or record
            self.set_state(LIVE, "", now)

    def observe_unreadable(self, message: str, now: Moment) -> None:
        """Record a message that cannot be read. It stays the stream's reason for `staleAfter`."""
        self.unreadable_at, self.unreadable_message = now.at, message
        if self.state is not StreamState.REFUSED:
            self.set_state(self.state, UNREADABLE, now, message)

    def age(self, now: Moment, stale_after_s: float) -> None:
        """Set the state by the time without data: quiet when the exchange confirms there is none.

        Otherwise the stream is stale, or unknown when the exchange could not be asked.
        """
        stale_after_s = max(stale_after_s, RARE_S.get(self.stream.data_type, 0.0))
        is_unreadable = now.at - self.unreadable_at <= stale_after_s
        if self.state is LIVE and self.reason == UNREADABLE and not is_unreadable:
            self.set_state(LIVE, "", now)
        if (
            self.state is StreamState.REFUSED
            or self.reason == UNPROVED
            or (self.last is not None and now.at - self.last_at <= stale_after_s)
        ):
            return
        if now.at - self.confirmed_at <= stale_after_s:
            self._set_quiet(now)
        elif self.state is StreamState.PENDING and now.at - self.expected_since <= stale_after_s:
            return
        elif is_unreadable:
            self.set_state(StreamState.STALE, UNREADABLE, now, self.unreadable_message)
        elif self.unchecked:
            message = (
                f"no data for more than {stale_after_s:g} s, and REST cannot confirm a quiet market: {self.unchecked}"
            )
            self.set_state(StreamState.UNKNOWN, "NotConfirmed", now, message)
        elif self.state is not StreamState.STALE or self.reason == UNREADABLE:
            self.set_state(StreamState.STALE, "NoData", now, f"no data for more than {stale_after_s:g} s")

    def _set_quiet(self, now: Moment) -> None:
        message = "the exchange confirms that there is nothing newer"
        if self.stream.data_type is DataType.BALANCE:
            self.set_state(StreamState.QUIET, "QuietAccount", now, message)
        elif self.stream.data_type is DataType.LIQUIDATION:
            self.set_state(StreamState.QUIET, "QuietMarket", now, "subscribed, and its connection is alive")
        elif self.halt:
            self.set_state(StreamState.QUIET, "NotTrading", now, f"{message}; its instrument's state is {self.halt}")
        else:
            self.set_state(StreamState.QUIET, "QuietMarket", now, message)


class IdProgress(StreamProgress):
    """Progress of a stream with consecutive ids: trades, and closed candles counted in intervals since 1970."""

    ids: IdTracker = msgspec.field(default_factory=IdTracker)
    interruption: GapReason | None = None
    """Reason of the next gap, when known before it is found: a lost connection, a restart."""
    ahead: list[Trade] = msgspec.field(default_factory=list)
    """Trades that skip ids which another connection may still bring. They count as not received."""
    ahead_since: float = 0.0
    """Since when a connection is ahead, monotonic seconds; 0 if none is."""
    after_skip: list[Candle] = msgspec.field(default_factory=list)
    """Candles after intervals that may be empty: they wait for the word of history. They count as not received."""
    skipped_since: float = 0.0
    """Since when they wait, monotonic seconds; 0 if none does."""
    has_open_end: bool = False
    """Whether a gap was reported before there was a record after it."""
    is_held: bool = False
    """Whether another pod may have delivered the missing ids, so that no gap is opened yet (`handover`)."""

    def id_of(self, record: Data) -> int:
        """Return a record's id: its trade id, or its candle's number."""
        if isinstance(record, Candle):
            return self.stream.candle_number(record.open_time_ns)
        assert isinstance(record, Trade)
        return int(record.trade_id)


IDS_KEPT = 4096
"""Trade ids that are remembered for one stream, a multiple of the longest page of recent trades."""


def remember(ids: dict[str, None], trade_id: str) -> None:
    """Add a trade id, and forget the oldest one if there are too many."""
    ids[trade_id] = None
    if len(ids) > IDS_KEPT:
        del ids[next(iter(ids))]


class Interruption(msgspec.Struct):
    """An interruption in which trades without dense ids may have been missed, until REST shows it."""

    reason: GapReason
    known: dict[str, None]
    """Ids from before the interruption, in the order of their arrival."""
    from_ns: int
    """Exchange time of the newest trade before it."""
    since: float
    """When the stream was interrupted last, monotonic seconds."""
    live: dict[str, None] = msgspec.field(default_factory=dict)
    """The newest ids that a connection has brought since the last interruption."""
    live_ns: int | None = None
    """Exchange time of the first of these trades."""
    held: dict[str, Trade] = msgspec.field(default_factory=dict)
    """Trades after the interruption that wait for the answer of REST. They count as not received."""
    held_since: float = 0.0
    """Since when they wait, monotonic seconds."""
    gap_id: str | None = None
    """The open gap, once trades no longer wait."""
    asked_by: int = 0
    """The connection that requests the recent trades; 0 if none does."""
    is_read: bool = False
    """Whether an answer came before any trade of a connection."""
    next_at: float = float("-inf")
    """When they may be requested again, monotonic seconds."""
    failures: int = 0
    """Requests in a row that proved nothing."""
    lacking_since: float = 0.0
    """Since when answers do not reach the trades of a connection, monotonic seconds."""
    lacking_answers: int = 0

    @property
    def is_open(self) -> bool:
        """Whether trades no longer wait."""
        return self.gap_id is not None

    def interrupt_again(self, now: Moment) -> None:
        """Require an answer that reaches beyond another interruption."""
        self.since, self.live_ns = now.at, None
        self.live.clear()
        self.is_read, self.next_at = False, float("-inf")


class UnnumberedProgress(StreamProgress):
    """Progress of trades whose ids only tell one trade from another."""

    seen: dict[str, None] = msgspec.field(default_factory=dict)
    """The newest ids, in the order of their arrival; those since the interruption while there is one."""
    newest_ns: int = 0
    """The latest exchange time of a trade, nanoseconds since 1970."""
    serving: set[int] = msgspec.field(default_factory=set)
    """Numbers of the connections that have acknowledged the stream."""
    is_audited: bool = False
    """Whether minutes are compared with their candles (`feed.volume_audit`)."""
    agreeing_minutes: int = 0
    """Minutes whose trades sum up to the volume of their candle."""
    differing_minutes: int = 0
    interruption: Interruption | None = None
    unlisted: dict[str, None] = msgspec.field(default_factory=dict)
    """Ids of trades of special kinds, such as block trades, which a page of recent trades may leave out."""

    @property
    def delivered(self) -> tuple[dict[str, None], int]:
        """The newest ids that were emitted, and their latest exchange time."""
        interruption = self.interruption
        if interruption is None or (interruption.is_open and self.seen):
            return self.seen, self.newest_ns
        return interruption.known, interruption.from_ns

    @property
    def proved_ns(self) -> int:
        """The exchange time until which each interruption is proved or reported."""
        return self.newest_ns if self.interruption is None else self.interruption.from_ns

    def add(self, trade: Trade) -> bool:
        """Remember a trade. Returns whether it was not seen before."""
        number, seen = trade.trade_id, self.seen
        if number in seen or (self.interruption is not None and number in self.interruption.known):
            return False
        remember(seen, number)
        if trade.kind is not None:
            remember(self.unlisted, number)
        if (time_ns := trade.exchange_time_ns or 0) > self.newest_ns:
            self.newest_ns = time_ns
        return True


class CandleProgress(IdProgress):
    """Progress of candles; `ids` are those of closed ones."""

    order: CandleOrder = msgspec.field(default_factory=CandleOrder)


class StateProgress(StreamProgress):
    """Progress of a state: a ticker, a mark price, open interest."""

    last: State | None = None
    older_at: float = float("-inf")
    """When a state older than the last one arrived, monotonic seconds."""


class FundingProgress(StateProgress):
    """Progress of funding rates; `last` is the predicted one."""

    settled_ns: int = 0
    """`Funding.funding_time_ns` of the last settled rate."""


class LiquidationProgress(StreamProgress):
    """Progress of liquidations."""

    recent: Recent = msgspec.field(default_factory=Recent)


Best = tuple[str | None, str | None, str | None, str | None]
"""Best bid with its amount, and best ask with its amount."""


class BookProgress(StreamProgress):
    """Progress of an order book, merged from all connections that carry it."""

    head: int | None = None
    """The sequence published last."""
    head_ns: int | None = None
    """The exchange time of that record, nanoseconds since 1970."""
    first: int | None = None
    """The sequence of the first snapshot published."""
    first_ns: int | None = None
    """The exchange time of that snapshot."""
    books: dict[int, Book] = msgspec.field(default_factory=dict)
    """By connection number, the book on each connection that is in sync."""
    publisher: int = 0
    """The only connection that publishes, where numbers of different connections cannot be compared; 0 if none."""
    top: Best | None = None
    """Those of the last quote since the last snapshot."""
    gap_id: str | None = None
    """The open gap of a book that is out of sync."""
    left_behind_at: float | None = None
    """Since when no connection has the state published last, monotonic seconds."""
    snapshot_at: float = 0.0
    """When the last snapshot was published, monotonic seconds."""
    updates_left: int = 0
    """Updates to publish until another snapshot is small against them."""


class AccountProgress(StreamProgress):
    """Progress of an account's balances."""

    balances: LastBalances = msgspec.field(default_factory=dict)


KINDS: dict[DataType, type[StreamProgress]] = {
    DataType.TRADE: IdProgress,
    DataType.CANDLE: CandleProgress,
    DataType.ORDERBOOK: BookProgress,
    DataType.BALANCE: AccountProgress,
    DataType.TICKER: StateProgress,
    DataType.MARKPRICE: StateProgress,
    DataType.OPENINTEREST: StateProgress,
    DataType.FUNDING: FundingProgress,
    DataType.LIQUIDATION: LiquidationProgress,
}


def start_progress(stream: Stream, now: Moment, *, has_dense_trade_ids: bool = True) -> StreamProgress:
    """Return the progress of a stream that has no data yet."""
    kind = KINDS[stream.data_type]
    if stream.data_type is DataType.TRADE and not has_dense_trade_ids:
        kind = UnnumberedProgress
    return kind(stream, now.wall_ns, now.at)
