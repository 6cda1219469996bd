"""What is known of one stream for as long as the process lives."""

import msgspec

from market_collector.book.book import Book
from market_collector.book.continuity import IdLine
from market_collector.feed.account import Held
from market_collector.feed.latency import LatencyHistogram
from market_collector.model.events import Candle, Data, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

LIVE = StreamState.LIVE
"""For what is done with each message: before Python 3.12 it takes 70 ns to look up an enum's member."""


class StreamLedger(msgspec.Struct):
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
    line: IdLine = msgspec.field(default_factory=IdLine)
    """Trades: their ids; candles: the closed ones, counted in intervals since 1970."""
    interruption: str = ""
    """Why the next hole is there, when that is known before it is found: a lost connection, a restart."""
    latency: LatencyHistogram = msgspec.field(default_factory=LatencyHistogram)
    """From the exchange's time to ours, one observation a message."""
    head: int | None = None
    """Books only: the sequence that was published last."""
    books: dict[int, Book] = msgspec.field(default_factory=dict)
    """Books only: the state on each connection on which it is provably in sync, by an id of the connection."""
    book_gap: str | None = None
    """Id of the open gap of a book that is not in sync."""
    held: Held = msgspec.field(default_factory=dict)
    """Balances only: by asset, what was passed on last."""
    left_behind_at: float | None = None
    """Books only: since when no connection has the state that was published last, monotonic seconds."""

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
        if self.state is not LIVE:
            self.become(LIVE, "", now)

    def note_state(self, record: Data, now: Moment) -> None:
        """Data came that may have been true for long: it says nothing of latency."""
        self.last, self.last_at, self.last_wall_ns = record, now.at, now.wall_ns
        if self.state is not LIVE:
            self.become(LIVE, "", now)

    def age(self, now: Moment, stale_after_s: float) -> None:
        """Looks at the clock: live becomes quiet when the exchange confirms it, stale when nothing explains it."""
        if self.state is StreamState.REFUSED or (self.last is not None and now.at - self.last_at <= stale_after_s):
            return
        if now.at - self.confirmed_at <= stale_after_s:
            is_account = self.stream.data_type is DataType.BALANCE
            reason = "QuietAccount" if is_account else "QuietMarket"
            self.become(StreamState.QUIET, reason, now, "the exchange confirms that there is nothing newer")
        elif self.state is StreamState.PENDING and now.at - self.asked_at <= stale_after_s:
            return
        elif self.state is not StreamState.STALE:
            self.become(StreamState.STALE, "NoData", now, f"no data for more than {stale_after_s:g} s")

    def number(self, record: Data) -> int:
        """A record's place on the line."""
        if isinstance(record, Candle):
            return self.stream.candle_number(record.open_time_ns)
        assert isinstance(record, Trade)
        return int(record.trade_id)

    def name_of(self, number: int) -> str:
        """A place on the line as gaps name it: a trade id, or a candle's open time in milliseconds."""
        is_candle = self.stream.data_type is DataType.CANDLE
        return str(self.stream.candle_open_ns(number) // 1_000_000 if is_candle else number)

    def number_of(self, name: str) -> int:
        """The reverse of `name_of`."""
        is_candle = self.stream.data_type is DataType.CANDLE
        return self.stream.candle_number(int(name) * 1_000_000) if is_candle else int(name)
