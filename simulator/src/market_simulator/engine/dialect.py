"""The interface of a dialect, so that the same market can be served as one exchange or another.

A `Dialect` has facts and functions without state. It opens a `Frontend` for a running exchange, which makes a
`Session` for each connection. No module of the engine or of the server knows a dialect by name.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from market_simulator.engine.account import Account, Holding
from market_simulator.engine.book import Checksum
from market_simulator.engine.events import Event, Key, TradeRow
from market_simulator.engine.faults.calls import Gaps, How, Stale
from market_simulator.engine.faults.connections import SubscribeFault
from market_simulator.engine.faults.messages import Outgoing
from market_simulator.engine.faults.words import Words
from market_simulator.engine.instruments import Making
from market_simulator.engine.recording import FrameReader
from market_simulator.engine.truth import Fill, Truth
from market_simulator.engine.venue import Venue


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Behaviour of the exchange.

    Limits are in seconds, bytes and connections in the window of the exchange (0: no limit).
    """

    silence_limit: float = 30.0
    unsent_limit: int = 16 << 20
    life: float = 86_400.0
    connection_limit: int = 0
    has_rate_limits: bool = True


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection with this close code. `is_silence`: because it was silent for too long."""

    code: int
    reason: str
    is_silence: bool = False


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The client has exceeded this limit of the exchange. The answer is an effect of its own."""

    limit: str


Effect: TypeAlias = Outgoing | Close | Exceeded


class Market(Protocol):
    """The exchange as a session uses it."""

    @property
    def names(self) -> frozenset[str]: ...
    def first_pushes(self, key: Key) -> list[str]: ...
    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None: ...
    def subscribers(self, key: Key) -> int: ...
    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None: ...


class Session(Protocol):
    """The protocol of one WebSocket connection without the socket. `now` is seconds of a monotonic clock."""

    @property
    def id(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def subscriptions(self) -> dict[Key, None]: ...
    @property
    def requests(self) -> int: ...
    @property
    def is_logged_in(self) -> bool: ...
    def received(self, text: str, now: float, market: Market) -> list[Effect]:
        """Answer one text frame, and update the subscriptions."""

    def opened(self, now: float, market: Market) -> list[Effect]:
        """Effects of the opening, such as the first data of streams in the URL."""

    def control(self, is_pong: bool, now: float) -> list[Effect]:
        """Effects of a received control frame: a pong or a ping, which is answered in any case."""

    def tick(self, opened: float, alive: float, now: float) -> list[Effect]:
        """Effects of time: pings, and the end of a connection that was silent for too long.

        `opened` is the time of its opening, `alive` that of the last push or of the last answer to a ping.
        """

    def key_changed(self, now_ms: int) -> list[Effect]:
        """Effects of a new API key on a connection that is logged in."""

    def notice(self, now_ms: int) -> str:
        """The announcement that the connection will soon be closed, or "" if the exchange makes none.

        `now_ms` is the exchange's time.
        """


@dataclass(frozen=True, slots=True)
class View:
    """Differences between REST and the truth: missing trade ids, and instruments that are pre-open or delisted."""

    gaps: Gaps = ()
    preopen: frozenset[str] = frozenset()
    delisted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One GET call and its fault (`how`). `now` is seconds of a monotonic clock, `now_ms` the exchange's time.

    `skew_ms` is the shift of the exchange's clock by a fault. Times in the answer get it later; signatures have it.
    """

    path: str
    query: Mapping[str, str]
    ip: str
    now: float
    now_ms: int
    view: View = View()
    how: How | None = None
    query_string: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    skew_ms: int = 0

    @property
    def lag(self) -> int:
        """Number of the newest rows, or of the newest changes of a book, that the answer leaves out."""
        return self.how.stale if isinstance(self.how, Stale) else 0


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP status and a JSON body."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


class Frontend(Protocol):
    """One running exchange as its clients see it."""

    def session(self, name: str, target: str) -> Session:
        """The session of a new connection. `target` is the path of the handshake with its query."""

    def publish(self, event: Event, wanted: Container[Key]) -> list[tuple[Key, str]]:
        """The messages of the streams in `wanted` that result from an event, which the venue has applied.

        A stream that differs between connections has a key for each variant, so each variant is encoded once.
        """

    def first(self, key: Key) -> list[str]:
        """The messages that a new subscriber gets at once."""

    def holding_changed(self, currency: str) -> list[tuple[Key, str]]:
        """The messages about a changed holding."""

    def login_refusal(self, login: Mapping[str, Any], now_ms: int) -> tuple[str, str] | None:
        """Check a login: the error as (code, message), or None if it is valid."""

    def symbol(self, path: str, query: Mapping[str, str]) -> str:
        """The symbol that a REST call is about, or ""."""

    def rest(self, request: RestRequest) -> Reply:
        """Answer a REST call."""


class Dialect(Protocol):
    """The words of one exchange."""

    @property
    def title(self) -> str:
        """Name and version of the protocol."""

    @property
    def paths(self) -> Mapping[str, str]:
        """The WebSocket paths by their short names."""

    @property
    def routes(self) -> Sequence[str]:
        """The patterns of the WebSocket paths, as in aiohttp."""

    @property
    def rest_prefix(self) -> str:
        """The path below which REST calls are answered."""

    @property
    def endpoints(self) -> Mapping[str, str]:
        """The paths of the REST calls by their short names."""

    @property
    def channels(self) -> Mapping[str, frozenset[str]]:
        """Each channel, and each data type (trade, orderbook, ticker, candle, balance, funding and so on) with its channels."""

    @property
    def error_messages(self) -> Mapping[str, str]:
        """The usual messages of errors by their codes."""

    @property
    def ban_status(self) -> int:
        """The usual HTTP status for a banned address."""

    @property
    def exclusion(self) -> Reply:
        """The answer to handshakes and REST calls from a country that the exchange excludes."""

    @property
    def connection_window(self) -> float:
        """Seconds in which an address may open a limited number of connections."""

    @property
    def words(self) -> Words: ...
    @property
    def checksum(self) -> Checksum: ...
    @property
    def make_instrument(self) -> Making: ...
    @property
    def fixed_kinds(self) -> frozenset[str]:
        """The kinds of instruments whose prices and sizes keep their zeros at the end."""

    @property
    def read_frame(self) -> FrameReader:
        """Reads recorded frames."""

    @property
    def too_slow(self) -> Close:
        """The end of a connection whose client reads too slowly."""

    def open(self, venue: Venue, truth: Truth, account: Account, options: ServerOptions) -> Frontend:
        """The frontend of a running exchange."""

    def path(self, path: str) -> str:
        """The one of `paths` that a handshake with this path means."""

    def market_name(self, symbol: str) -> str:
        """The name by which this exchange's market, truth and faults know a canonical symbol."""

    def fill_row(self, symbol: str, fill: Fill) -> str:
        """A fill as JSON, as REST returns it."""

    def trade_row(self, symbol: str, row: TradeRow) -> str:
        """A merged trade as JSON, as it is published."""

    def holding_row(self, currency: str, holding: Holding) -> Mapping[str, Any]:
        """A holding as it is published."""
