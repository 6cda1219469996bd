"""What an exchange is to the rest of the collector: a checklist of facts and two translators.

`Exchange` answers what is always true of a venue (addresses, what it offers, limits). `RestApi` are what is asked
over REST, each beside the method that reads its answer. `Codec` is the talk on one WebSocket connection: which
frames to send, and what a received frame means. All are pure: no socket, no clock, no state that outlives the
connection.

Continuity is the same everywhere because each exchange translates its own numbers once:

* a book update is legal exactly when ``previous_sequence`` equals the last ``sequence``;
* trade ids of a stream are dense when ``has_dense_trade_ids``: the next record starts at the last id + 1.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from market_collector.book.book import Book
from market_collector.model.events import Balance, Data
from market_collector.model.streams import DataType, Stream


class Heartbeat(msgspec.Struct, frozen=True):
    """How a silent link is told from a dead one."""

    ping: str
    """Text frame that the client sends after ``interval_s`` without any frame."""
    max_interval_s: float
    """The exchange closes a connection that is silent for longer; the interval must stay below."""


class Request(msgspec.Struct, frozen=True):
    """One REST question: path with query, below the exchange's REST base address."""

    path: str


class Batch(msgspec.Struct, frozen=True, gc=False):
    """Data of one stream, in the exchange's order. A struct, since one is made for nearly every frame."""

    stream: Stream
    records: Sequence[Data]


class AccountUpdate(msgspec.Struct, frozen=True):
    """What the account holds, or what of it has changed."""

    stream: Stream
    balances: Sequence[Balance]
    time_ns: int
    """The exchange's time of the message, nanoseconds since 1970."""
    is_whole: bool
    """All that there is: an asset that is not listed is not held (any more)."""


class LoggedIn(msgspec.Struct, frozen=True):
    """The exchange accepted the login: streams may be asked for."""


class LoginRefusal(msgspec.Struct, frozen=True):
    """The exchange did not accept the login."""

    message: str
    """Never the exchange's own words, which may repeat what was sent."""
    is_permanent: bool
    """True: the same key will be refused again."""
    is_about_time: bool = False
    """The signature's time is too far from the exchange's."""


class Ack(msgspec.Struct, frozen=True):
    """The exchange accepted the subscription."""

    stream: Stream


class Refusal(msgspec.Struct, frozen=True):
    """The exchange refused to serve these streams: one, or all that the refused request held."""

    streams: tuple[Stream, ...]
    reason: str
    """One word for conditions, for example ``SymbolNotFound``."""
    message: str
    is_permanent: bool
    """False: the same request may succeed later without anybody doing anything."""


class Pong(msgspec.Struct, frozen=True):
    """The answer to `Heartbeat.ping`."""


class CloseNotice(msgspec.Struct, frozen=True):
    """The exchange announced that it will close this connection soon."""

    message: str


class Info(msgspec.Struct, frozen=True):
    """A frame that is understood and needs no reaction (an unsubscribe's ack)."""


Message = Batch | AccountUpdate | LoggedIn | LoginRefusal | Ack | Refusal | Pong | CloseNotice | Info


class Credentials(msgspec.Struct, frozen=True):
    """An API key. It never says what it holds: not to a log, not in a traceback."""

    api_key: str
    secret_key: str
    passphrase: str

    def __repr__(self) -> str:
        return "Credentials(...)"


class Codec(Protocol):
    """The talk on one connection."""

    path: str
    """Appended to the WebSocket base address."""

    def subscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Frames that ask for these streams, within the exchange's size limits."""
        ...

    def unsubscribe(self, streams: Sequence[Stream]) -> list[str]:
        """Frames that end these streams."""
        ...

    def read(self, frame: bytes, receive_time_ns: int) -> Sequence[Message]:
        """What a frame means.

        Raises:
            FrameError: it is not what the protocol promises (cut, not JSON, an unknown channel, a wrong field).
        """
        ...


class RestApi(Protocol):
    """What is asked over REST, and what the answers mean."""

    history_page: int
    """Records that one answer to `history` has at most."""

    def instruments(self) -> Request:
        """Asks REST for the spot instruments; `live_symbols` reads the answer."""
        ...

    def live_symbols(self, body: bytes) -> list[str]:
        """The symbols that can be collected now, sorted, from the answer to `instruments`.

        Raises:
            FrameError: the answer has another form, or is an error.
        """
        ...

    def time(self) -> Request:
        """Asks REST for the exchange's time; `read_time` reads the answer."""
        ...

    def read_time(self, body: bytes) -> int:
        """The exchange's time from the answer to `time`, in nanoseconds since 1970.

        Raises:
            FrameError: the answer has another form, or is an error.
        """
        ...

    def newest(self, stream: Stream) -> Request:
        """Asks REST for the stream's newest event; `newest_mark` reads the answer."""
        ...

    def newest_mark(self, stream: Stream, body: bytes) -> int:
        """The newest event's mark (see `mark`) from the answer to `newest`.

        Raises:
            FrameError: the answer has another form, or is an error.
        """
        ...

    def mark(self, record: Data) -> int:
        """A number that grows with each event of a stream: trade id, book sequence or exchange time.

        When REST's newest mark is not above ours, nothing was missed: the market is quiet.
        """
        ...

    def state(self, stream: Stream) -> Request:
        """Asks REST for the state of the stream's instrument; `is_trading` reads the answer."""
        ...

    def is_trading(self, stream: Stream, body: bytes) -> bool:
        """Whether the instrument trades continuously: in a call auction its book may be crossed.

        Raises:
            FrameError: the answer has another form, or is an error.
        """
        ...

    def history(self, stream: Stream, last: int, newest: int) -> Request:
        """Asks REST for the page of trades, or of closed candles, that ends with number ``last``: a trade id, or
        `Stream.candle_number`. ``newest`` is the highest number known: some exchanges keep old data elsewhere."""
        ...

    def read_history(self, stream: Stream, body: bytes, receive_time_ns: int) -> Sequence[Data]:
        """The records of an answer to `history`, oldest first, ``backfilled``.

        Raises:
            FrameError: the answer has another form, or is an error.
        """
        ...


class Exchange(Protocol):
    """What is always true of a venue."""

    name: str
    offers: frozenset[DataType]
    book_depths: tuple[int, ...]
    candle_intervals: tuple[str, ...]
    websocket: str
    """Default base address of the WebSocket connections, ``wss://host:port``."""
    rest: str
    """Default base address of REST, ``https://host``."""
    heartbeat: Heartbeat
    connections_per_second: float
    """New connections that one IP address may make."""
    slow_reader_code: int | None
    """Close code that says that we read too slowly."""
    has_dense_trade_ids: bool
    key_refused_codes: frozenset[int]
    """Close codes that say that the API key is not accepted (any more)."""
    rest_api: RestApi

    def needs_login(self, route: str) -> bool:
        """Whether streams of this connection are for those only who have logged in."""
        ...

    def login(self, credentials: Credentials, time_ns: int) -> str:
        """The frame that logs in; ``time_ns``: the exchange's present time, nanoseconds since 1970."""
        ...

    def route(self, stream: Stream) -> str:
        """Name of the connection that carries the stream: streams of one route share a connection."""
        ...

    def codec(self, route: str, streams: Sequence[Stream]) -> Codec:
        """A conversation for a new connection that will carry these streams."""
        ...

    def is_intact(self, book: Book, checksum: int) -> bool:
        """Whether a book agrees with the checksum that the exchange sent with it."""
        ...
