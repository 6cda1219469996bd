"""Interface of an exchange: constant facts, REST requests, and a WebSocket codec.

`Exchange` holds facts about a venue: addresses, data types, limits. `RestApi` builds each REST request and reads its
answer. `Codec` builds the frames to send on one WebSocket connection and reads the received ones. All are pure: no
socket, no clock, no state that outlives the connection.

Continuity rules are the same for all exchanges, because each exchange maps its numbers to these fields:

* a book update is valid if it follows the book's ``sequence`` by the exchange's `BookRule`;
* with ``has_dense_trade_ids``, the trade ids of a stream are dense: the next record starts at the last id + 1;
* otherwise a trade id only tells one trade from another, and `RecentTrades` shows what an interruption has missed.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from math import inf
from typing import Protocol

import msgspec

from market_collector.book.book import Book
from market_collector.book.rule import BookRule
from market_collector.model.events import Balance, Data, Instrument, Orderbook, Trade
from market_collector.model.streams import DataType, Stream

WEBSOCKET, REST = "websocket", "rest"
"""Names of the hosts that every exchange has; `Exchange.hosts` may have more."""
MAX_MESSAGE_BYTES = 16 * 2**20
"""Above any message of most exchanges (10 MB snapshots), and too small to exhaust a pod's memory."""


class Access(Enum):
    """Use of the API key on a connection."""

    PUBLIC = "none"
    LOGIN = "login"
    """A signed `Route.login_frame` comes first."""
    SIGNED = "signed requests"
    """Each request of the codec is signed, or carries a token."""


class Route(msgspec.Struct, frozen=True):
    """Facts about the connections that carry one kind of streams."""

    host: str = WEBSOCKET
    """Name of the host in `Exchange.hosts`."""
    streams_per_connection: int | None = None
    """More streams are spread over several connections. None: one connection carries them all."""
    access: Access = Access.PUBLIC
    login_frame: str = ""
    """The unsigned login, for `Access.LOGIN`."""
    sends_whole_accounts: bool = True
    """False: it sends only changes of an account, and `Polls` requests the rest over REST."""
    sends_settled_rates: bool = True
    """False: it sends only predicted funding rates, and `Polls` requests the settled ones over REST."""
    dead_after_s: float | None = None
    """Instead of `Heartbeat.dead_after_s`, where these connections show life less often. None: as the others."""
    polled_every_s: float | None = None
    """Interval of REST requests for streams that no connection carries, see `Polls`. None: connections carry them."""


class Window(msgspec.Struct, frozen=True):
    """A limit of how often something may happen."""

    count: int
    """At most this often in any `seconds`."""
    seconds: float
    burst: int = 1
    """How often at once; the rest is spaced evenly."""


class Limits(msgspec.Struct, frozen=True):
    """Limits of an exchange's connections. Each should be stricter than the exchange's own: others share the address.

    Limits of REST are those of `Request`, and the number of streams is in `Route`.
    """

    dial: Window
    """New connections to one host from one IP address."""
    frames_per_s: float | None = None
    """Frames that one connection may send in a second: requests, logins and pings. Answers to the exchange's ping
    frames are not paced, so leave room for them."""
    one_request_at_a_time: bool = False
    """Whether a request must wait until the last one is answered, each by one `Ack` or `Refusal`."""
    life_s: float | None = None
    """Age at which the exchange ends a connection, seconds. The collector replaces it shortly before."""
    max_message_bytes: int = MAX_MESSAGE_BYTES
    """A larger message ends the connection. At least 65,536."""


class HeartbeatKind(Enum):
    """Signs by which a quiet connection shows that it is alive."""

    PING = "answers to pings"
    """The client sends `Heartbeat.ping`, and any message shows life."""
    CONTROL_FRAMES = "control frames"
    """The exchange sends ping frames (RFC 6455). They show life, and so does any message."""
    MESSAGES = "messages"
    """The exchange sends messages all the time. Only they show life."""


class Heartbeat(msgspec.Struct, frozen=True):
    """The exchange's keepalive: tells an idle connection from a broken one."""

    kind: HeartbeatKind = HeartbeatKind.PING
    ping: str = ""
    """Text frame that the client sends after the ping interval without any message. Each ``{id}`` in it becomes the
    number of the ping."""
    max_interval_s: float = inf
    """The exchange closes a connection that sends nothing for longer. The ping interval must stay below it."""
    always: bool = False
    """Whether a ping is due in each interval, even if messages arrive."""
    dead_after_s: float | None = None
    """Seconds without a sign of life after which the connection ends: after a ping, otherwise after the last sign. At
    most the ping interval, which is the default."""


class Budget(msgspec.Struct, frozen=True):
    """Requests that one process may send to an address: a bucket that refills evenly.

    The exchange's own limit should be higher, because other processes behind the same IP address share it.
    """

    per_second: float
    """Cost that the bucket regains per second."""
    capacity: float = 1.0
    """Cost that may be spent at once from a full bucket."""


class Request(msgspec.Struct, frozen=True):
    """One REST request."""

    path: str
    """Path with query, below the host's base address."""
    method: str = "GET"
    body: str = ""
    host: str = REST
    """Name of the host in `Exchange.hosts`."""
    bucket: str = ""
    """Name of the budget that it spends, see `RestApi.budgets`."""
    cost: float = 1.0
    """Cost in that budget."""
    is_signed: bool = False
    """`Signer.request` signs it when it is sent."""
    headers: tuple[tuple[str, str], ...] = ()


class ProblemKind(Enum):
    """Meaning of an error of the REST API for the next requests."""

    BUSY = "too many requests"
    """Send nothing to the host for `RestProblem.pause_s`."""
    BANNED = "banned"
    """As `BUSY`, for minutes or days: the exchange blocks the IP address."""
    REGION = "RegionRestricted"
    """As `BUSY`, and permanent: the exchange excludes the country or region of the IP address. Messages, connections
    and conditions have this word."""
    NO_SYMBOL = "instrument refused"
    """The exchange does not know the instrument, or does not serve it any more."""
    KEY = "API key refused"
    CLOCK = "time of the request refused"
    SERVER = "no usable answer"
    """The same request may succeed later."""
    BUG = "request refused"
    """The same request will fail again."""


class RestProblem(msgspec.Struct, frozen=True):
    """An error of the exchange's REST API."""

    kind: ProblemKind
    pause_s: float = 0.0
    """For `ProblemKind.BUSY`, `ProblemKind.BANNED` and `ProblemKind.REGION`: seconds without any request."""


class Top(msgspec.Struct, frozen=True, gc=False):
    """The best prices of a book with their amounts; "" where a side is empty."""

    bid: str
    bid_amount: str
    ask: str
    ask_amount: str


Sign = int | str | Top
"""Sign of a stream's newest event in the answer to `RestApi.overview`.

* int: the event's mark, see `RestApi.mark`.
* str: a digest. Two answers with the same one prove that the stream had no event in between.
* `Top`: for books. Two answers with the same one, or one that agrees with our book, make an event unlikely.
"""


Evidence = int | str
"""A number or digest by which an exchange recognizes the state of a stream; the core only keeps it."""


class Seen(msgspec.Struct, frozen=True):
    """The data of a stream that an answer about its newest event is compared with."""

    last: Data | None = None
    """The last record; None before the first."""
    evidence: Evidence | None = None
    """`Batch.evidence` of the last data that had one."""
    answer: Evidence | None = None
    """`Freshness.evidence` of the last answer that had one; None if data came after it."""
    book: Book | None = None
    """For books: this connection's state; None while it is out of sync."""


class Finding(Enum):
    """Relation of an answer about a stream's newest event to the stream's data."""

    QUIET = "quiet"
    """The exchange has nothing newer."""
    EMPTY = "empty"
    """The exchange has no event of the stream at all."""
    NEWER = "newer"
    OLDER = "older"
    """The answer is older than the data: a cache lags, or the exchange set its clock back."""
    UNKNOWN = "unknown"
    """The next answer will tell, with the evidence of this one."""


class Freshness(msgspec.Struct, frozen=True):
    """The judgement of an answer about a stream's newest event."""

    finding: Finding
    newest: int | None = None
    """For `Finding.NEWER`: the newest trade id, or open time of a candle in milliseconds; None if they do not show
    which records are missing."""
    evidence: Evidence | None = None
    """Returned as `Seen.answer` with the next answer."""
    detail: str = ""
    """The difference in words, for messages: ``140 after 100``. "" for `Finding.UNKNOWN` if there was nothing to
    compare with."""


class HistoryRange(msgspec.Struct, frozen=True):
    """Missing trades or closed candles of a stream, to be requested from the exchange's history."""

    first: int
    """The lowest missing trade id or `Stream.candle_number`."""
    last: int
    """The highest one. The page should reach it, or start with ``first`` and be as long as the exchange allows."""
    newest: int
    """The highest number known, since some exchanges serve old data from another path."""
    after_ns: int | None = None
    """Exchange time of the last record before ``first``, nanoseconds since 1970; None if unknown."""
    cursor: str | None = None
    """`History.next` of the page that ended right before ``first``; None if there is none."""


class History(msgspec.Struct, frozen=True, gc=False):
    """One page of an exchange's history: the content of an answer to `RestApi.history`."""

    records: Sequence[Data]
    """Oldest first, ``backfilled``. They may exceed the requested range."""
    unreadable: int
    """Further rows that cannot be read. Their records exist, but nobody knows which ones they are."""
    covers: tuple[int | None, int | None] = (None, None)
    """First and last number between which the page lists every record; None: as far as requested.

    Numbers above the last one are requested again. Those below the first are out of history's reach.
    """
    next: str | None = None
    """Cursor of the page that follows, towards newer records; None if there is none."""


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Data of one stream, in the exchange's order. A struct, since one is made for nearly every frame."""

    stream: Stream
    records: Sequence[Data]
    evidence: Evidence | None = None
    """Returned as `Seen.evidence` when the stream has no data, if its records do not suffice to judge that."""


class AccountUpdate(msgspec.Struct, frozen=True):
    """All balances of the account, or the changed ones."""

    stream: Stream
    balances: Sequence[Balance]
    time_ns: int
    """The exchange's time of the message, nanoseconds since 1970."""
    is_whole: bool
    """True: the list is complete, so the account holds none of an asset that it lacks."""


class LoggedIn(msgspec.Struct, frozen=True):
    """The exchange accepted the login, so streams can be requested."""


class LoginRefusal(msgspec.Struct, frozen=True):
    """The exchange did not accept the login."""

    message: str
    """Never the exchange's own message, which may repeat the request and its secrets."""
    is_permanent: bool
    """True: the same key will be refused again."""
    is_about_time: bool = False
    """The signature's time is too far from the exchange's."""


class Ack(msgspec.Struct, frozen=True):
    """The exchange answered a request: it serves these streams."""

    streams: tuple[Stream, ...]
    """Those of the request, or all of the connection. None for an unsubscribe request."""


class Refusal(msgspec.Struct, frozen=True):
    """The exchange refused to serve these streams: one, or all streams of the refused request."""

    streams: tuple[Stream, ...]
    reason: str
    """One word for conditions, for example ``SymbolNotFound``."""
    message: str
    is_permanent: bool
    """False: the same request may succeed later without any change by the user."""
    spared: tuple[Stream, ...] = ()
    """Further streams of the refused request, to be requested again."""


class Pong(msgspec.Struct, frozen=True):
    """The answer to `Heartbeat.ping`."""


class CloseNotice(msgspec.Struct, frozen=True):
    """The exchange announced that it will close this connection soon."""

    message: str


class Lost(msgspec.Struct, frozen=True):
    """Messages of this connection are missing, by a number that counts all of them. Any stream may lack one."""

    reason: str


class Trading(msgspec.Struct, frozen=True):
    """The exchange, or some instruments, stopped trading or started again."""

    symbols: frozenset[str] | None
    """None: all of the exchange."""
    halt: str
    """The exchange's word for the state without trading; empty when it trades."""


class Unknown(msgspec.Struct, frozen=True):
    """A frame of a kind that is not in the documentation, from an exchange that reserves the right to add kinds."""

    kind: str


class UnreadableData(msgspec.Struct, frozen=True):
    """Data of one stream that cannot be read, in a frame that has data of others too."""

    stream: Stream
    reason: str


class Info(msgspec.Struct, frozen=True):
    """A frame that is understood and needs no reaction (an unsubscribe's ack)."""


Message = (
    Batch
    | AccountUpdate
    | LoggedIn
    | LoginRefusal
    | Ack
    | Refusal
    | Pong
    | CloseNotice
    | Lost
    | Trading
    | Unknown
    | UnreadableData
    | Info
)


class Closing(Enum):
    """Meaning of a close frame of the exchange."""

    SLOW_READER = "the client reads too slowly"
    KEY_REFUSED = "the API key is not accepted, or no longer accepted"
    TOO_MANY = "the client sends too much, so it should wait for long"
    OTHER = "anything else"


class Credentials(tuple[str, ...]):
    """The parts of an API key, in the order of `Signer.fields`. Its `repr` hides them from logs and tracebacks."""

    __slots__ = ()

    def __new__(cls, *parts: str) -> "Credentials":
        """Takes the parts in order."""
        return super().__new__(cls, parts)

    def __repr__(self) -> str:
        return "Credentials(...)"


class Stamp(msgspec.Struct, frozen=True):
    """Time of a signature."""

    time_ns: int
    """The exchange's present time, nanoseconds since 1970."""
    nonce: int
    """About the same, but larger than that of each earlier signature of the process, even if a clock was set back."""


class Signer(Protocol):
    """Signs frames and requests. Only the shell has one, so no secret reaches the core, a record or a message."""

    fields: tuple[str, ...]
    """The keys of the Secret."""
    token_life_s: float
    """A token may be used in frames for this long, in seconds. 0 for exchanges without tokens."""

    def frame(self, text: str, credentials: Credentials, stamp: Stamp, token: str) -> str:
        """The frame to send for an unsigned one: a login, or a request of a connection with `Access.SIGNED`."""
        ...

    def request(self, request: Request, credentials: Credentials, stamp: Stamp) -> Request:
        """The REST request to send for an unsigned one."""
        ...

    def token_request(self) -> Request | None:
        """The request for the token that frames need; None for exchanges without tokens."""
        ...

    def read_token(self, body: bytes) -> str:
        """The token from the answer to `token_request`.

        Raises:
            FrameError: the answer is malformed, or reports an error. The message must not repeat it.
        """
        ...


class Codec(Protocol):
    """Encodes and decodes the frames of one connection."""

    path: str
    """Appended to the WebSocket base address."""

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Frames that subscribe to these streams, within the exchange's size limits."""
        ...

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Frames that end these streams."""
        ...

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """Decodes a frame into messages.

        Raises:
            FrameError: the frame violates the protocol (cut off, not JSON, an unknown channel, a wrong field).
        """
        ...


class RestApi(Protocol):
    """REST requests, and readers for their answers."""

    budgets: Mapping[str, Budget]
    """By the name of `Request.bucket`. Each host has buckets of its own."""
    history_page: int
    """Largest number of records in one answer to `history`."""

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> RestProblem | None:
        """The error that an answer reports; None if it reports none, or if the reader of the answer judges it.

        It is asked about refused WebSocket handshakes as well, without headers: is the problem `ProblemKind.REGION`?

        Args:
            status: HTTP status. Exchanges report errors with 200 too.
            headers: by lower-case name.
            body: of an HTTP error, only the first 4 KB.
        """
        ...

    def used_share(self, bucket: str, headers: Mapping[str, str]) -> float:
        """The used share of the host's limit, by the headers of an answer; 0.0 where the exchange reports none.

        Args:
            bucket: that of the request.
            headers: by lower-case name.
        """
        ...

    def instruments(self, kind: str) -> Request:
        """The request for all instruments of one kind of `market_spec.names.KINDS`; `read_instruments` reads it."""
        ...

    def read_instruments(self, symbols: Set[str] | None, body: bytes, receive_time_ns: int) -> Sequence[Instrument]:
        """The descriptions of those of these symbols that the answer to `instruments` or `state` lists.

        The ``status`` is ``trading`` only in continuous trading: otherwise a crossed book counts as right.

        Args:
            symbols: None for all instruments that have a canonical name.
            body: the answer.
            receive_time_ns: when it arrived, nanoseconds since 1970.

        Raises:
            FrameError: the answer is malformed, or reports an error.
        """
        ...

    def more_instruments(self, body: bytes) -> Request | None:
        """The request for the page that follows this answer to `instruments`; None after the last one."""
        ...

    def unlisted(self, symbols: Set[str], body: bytes) -> Set[str]:
        """Those of these symbols that the exchange does not list on this page, by the same answer.

        Raises:
            FrameError: the answer is malformed.
        """
        ...

    def time(self) -> Request:
        """The request for the exchange's time; `read_time` reads the answer."""
        ...

    def read_time(self, body: bytes) -> int:
        """The exchange's time from the answer to `time`, in nanoseconds since 1970.

        Raises:
            FrameError: the answer is malformed, or reports an error.
        """
        ...

    def newest(self, stream: Stream) -> Request:
        """The request for the stream's newest event; `judge` reads the answer."""
        ...

    def judge(self, stream: Stream, seen: Seen, body: bytes) -> Freshness:
        """Compare the answer to `newest` with the stream's data.

        Raises:
            InstrumentRefusedError: the exchange does not know the instrument, or does not serve it any more.
            FrameError: the answer is malformed, or reports another error. It has the stream if the exchange answers,
                but the stream's data cannot be read: other streams are not concerned.
        """
        ...

    def overview(self, kind: str) -> Request | None:
        """The request for the newest activity of all instruments of one kind; None where the exchange offers none."""
        ...

    def read_overview(self, streams: Iterable[Stream], body: bytes) -> Mapping[Stream, Sign]:
        """The signs of those of these streams that the answer to `overview` covers.

        Raises:
            FrameError: the answer is malformed, or reports an error.
        """
        ...

    def mark(self, record: Data) -> int:
        """The number that an overview shows of this record, for streams whose `Sign` is an int."""
        ...

    def halted(self, body: bytes) -> Mapping[str, str]:
        """The symbols that do not trade now, with the exchange's word for their state.

        Args:
            body: the answer to `instruments` or `state`.

        Raises:
            FrameError: the answer is malformed, or reports an error.
        """
        ...

    def state(self, stream: Stream) -> Request:
        """The request for the state of the stream's instrument; `read_instruments` reads the answer."""
        ...

    def history(self, stream: Stream, missing: HistoryRange) -> Request | None:
        """The request for a page of trades, or of closed candles; None where history cannot have the range.

        The page may end with ``missing.last``, start with ``missing.first``, start at the time ``missing.after_ns``, or
        always have the newest records. A page of candles should start with an earlier one. That one proves that
        history reaches back to the range, so that candles absent from the page do not exist.
        """
        ...

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> History:
        """The records of an answer to `history`.

        Raises:
            FrameError: the answer or all of its rows are malformed, or it reports an error.
        """
        ...


class BookSnapshots(Protocol):
    """REST snapshots of books, where connections bring only updates."""

    def request(self, stream: Stream, depth: int | None) -> Request:
        """The request for the whole book, or for at least this many levels on each side.

        With `BookWindow.KNOWN_RANGE` it should ask for more: a book uses them up before it is requested again.
        """
        ...

    def read(self, stream: Stream, depth: int | None, body: bytes, receive_time_ns: int) -> Orderbook:
        """The snapshot in the answer to `request`, with the ``sequence`` that updates follow.

        With `BookWindow.KNOWN_RANGE`, its ``depth`` is the number of levels that were requested for each side.

        Raises:
            FrameError: the answer is malformed, or reports an error.
        """
        ...


class RecentTrades(Protocol):
    """The newest trades over REST, where trade ids are not dense."""

    def request(self, stream: Stream) -> Request:
        """The request for as many of the newest trades as one answer has."""
        ...

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Sequence[Trade]:
        """The trades in an answer, oldest first, ``backfilled``: all between the first and the last one.

        Raises:
            FrameError: the answer or a row is malformed, or it reports an error.
        """
        ...


class Polls(Protocol):
    """Requests for streams that exist over REST only, and for data that a connection does not send.

    That is an account of which it sends only changes, or the settled rates of which it sends only the predicted ones.
    """

    def request(self, stream: Stream) -> Request:
        """The request for the newest data of a stream.

        Of candles these are the running one and a few closed ones, of funding rates the last settled ones.
        """
        ...

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Batch | AccountUpdate:
        """The data in an answer, an account whole, settled rates oldest first.

        Raises:
            InstrumentRefusedError: the exchange does not know the instrument, or does not serve it any more.
            FrameError: the answer is malformed, or reports another error.
        """
        ...


class Exchange(Protocol):
    """Facts about one venue, and its REST API and codecs."""

    name: str
    offers: frozenset[DataType]
    book_depths: tuple[int, ...]
    books: BookRule
    """How order books are proved complete."""
    book_snapshots: BookSnapshots | None
    """Snapshots of books over REST; None where they come on the connection."""
    polls: Polls | None
    """For routes with `Route.polled_every_s`, or without `Route.sends_whole_accounts` or `Route.sends_settled_rates`;
    None if there is none."""
    candle_intervals: tuple[str, ...]
    skips_empty_candles: bool
    """Connections carry no candle of an interval without trades, so that one is only missing if history has it."""
    hosts: Mapping[str, str]
    """Default base addresses by name: ``wss://host:port`` for connections, ``https://host`` for REST. ``websocket`` and
    ``rest`` are always there. ``spec.connection.endpoint`` replaces all addresses of a kind."""
    routes: Mapping[str, Route]
    """By name, each route that `route` returns."""
    heartbeat: Heartbeat
    limits: Limits
    has_dense_trade_ids: bool
    recent_trades: RecentTrades | None
    """Where trade ids are not dense: shows what an interruption has missed. None where they are dense."""
    rest_api: RestApi

    def signer(self) -> Signer:
        """Signs with the API key; loaded only where a route needs it."""
        ...

    def route(self, stream: Stream) -> str:
        """Name of the stream's route, a key of `routes`. Streams of one route share a connection.

        They have instruments of one kind, because lists of instruments and overviews are about one kind.
        """
        ...

    def codec(self, route: str, streams: Sequence[Stream], book_depth: int | None) -> Codec:
        """The codec for a new connection that will carry these streams.

        Args:
            route: a key of `routes`.
            streams: those of the connection.
            book_depth: wanted levels on each side of the books; None for the exchange's default.
        """
        ...

    def closing(self, code: int, reason: str) -> Closing:
        """The meaning of a close frame of the exchange."""
        ...

    def is_intact(self, book: Book, checksum: int) -> bool:
        """Whether a book matches the checksum that the exchange sent with it."""
        ...
