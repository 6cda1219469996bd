"""The exchange: it passes each event through faults, venue and truth to the connections.

`now` is seconds of a monotonic clock, passed as an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from market_simulator import account, okx, rest
from market_simulator.account import Account, ApiKey
from market_simulator.book import Book
from market_simulator.events import BookChange, Event, Key, Tick, Trades
from market_simulator.faults import Faults
from market_simulator.faults.calls import NoHistory, joined
from market_simulator.faults.connections import LoginError, StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.faults.market import Crossed, Numbering
from market_simulator.faults.messages import Delist, Skew
from market_simulator.hub import Hub
from market_simulator.truth import Truth
from market_simulator.venue import Venue


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Behaviour of the exchange. Limits are in seconds, bytes and connections per second (0: no limit)."""

    silence_limit: float = 30.0
    unsent_limit: int = 16 << 20
    connection_limit: int = 0
    has_rate_limits: bool = True


@dataclass(slots=True)
class Exchange:
    """All state. With `is_paced` False the market runs as fast as its clients read, and pauses without clients."""

    venue: Venue
    truth: Truth
    events: Iterator[Event]
    origin_us: int
    is_paced: bool
    options: ServerOptions
    faults: Faults = field(default_factory=Faults)
    account: Account = field(default_factory=Account)
    numbering: dict[str, Numbering] = field(init=False)
    hub: Hub = field(init=False)
    limits: rest.RateLimits = field(init=False)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.numbering = {name: Numbering() for name in self.venue.boards}
        self.hub = Hub(self.faults, self.options.silence_limit, self.options.unsent_limit)
        self.limits = rest.RateLimits(self.options.has_rate_limits)

    @property
    def names(self) -> frozenset[str]:
        """Names of the instruments that clients can subscribe to."""
        return frozenset(self.venue.boards) - self._delisted()

    def _delisted(self) -> frozenset[str]:
        return frozenset(fault.symbol for fault in self.faults.of(Delist)) if self.faults.active else frozenset()

    def first_pushes(self, key: Key) -> list[str]:
        """The messages that a new subscriber gets at once."""
        if key == account.KEY:
            return self.account.snapshot(self.venue.now_ms)
        text = self.venue.first_push(key)
        return [] if text is None else [text]

    def subscribers(self, key: Key) -> int:
        """Number of connections with this stream."""
        return len(self.hub.wanted.get(key, ()))

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        """Check a login: the error of a fault or of the account as (code, msg), or None if it is valid."""
        if fault := self.faults.next(LoginError, now):
            return fault.code, fault.message
        skew = self.faults.next(Skew, now)
        return self.account.refusal(login, self.now_us(now) // 1000 + round(skew.seconds * 1000 if skew else 0))

    def change_key(self, key: ApiKey) -> int:
        """Replace the API key, and close logged-in connections with 4007. Returns their number."""
        self.account.key = key
        chosen = [connection for connection in self.hub.open_ones() if connection.session.is_logged_in]
        for connection in chosen:
            self.hub.close(connection, okx.KEY_CHANGED, "API key has been updated or deleted")
        return len(chosen)

    def change_holding(self, currency: str, total: Decimal, frozen: Decimal, now: float) -> None:
        """Set the holding of one currency, and push the change to the subscribers of the account."""
        text = self.account.change(currency, total, frozen, self.now_us(now) // 1000)
        self.hub.publish([(account.KEY, text)], now)
        self.hub.flush(now)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        """The fault that affects this subscription, if any."""
        error = self.faults.next(SubscribeError, now, lambda fault: fault.stream.has(key))
        return error or self.faults.next(StuckSubscribe, now, lambda fault: fault.stream.has(key))

    def now_us(self, now: float) -> int:
        """Convert the loop's clock to the exchange's time in microseconds since 1970."""
        return self.origin_us + round((now - self.started) * 1_000_000) if self.is_paced else self.truth.time_us

    def happen(self, event: Event, now: float) -> None:
        """Record one event as truth, and publish it."""
        board = self.venue.boards.get(getattr(event, "instrument", ""))
        if board is not None:
            event = self._with_market_faults(event, board.book, now)
        pushes = self.venue.apply(event, self.hub.wanted)
        self.truth.record(event, board.book if board else None)
        self.hub.counters.events += 1
        if isinstance(event, Tick) and account.KEY in self.hub.wanted and event.time_us % account.REPEATED_US == 0:
            pushes += [(account.KEY, text) for text in self.account.snapshot(event.time_us // 1000)]
        self.hub.publish(pushes, now)

    def _with_market_faults(self, event: Event, book: Book, now: float) -> Event:
        """Apply the faults of the market to an event; `book` is the book before it."""
        match event:
            case Trades():
                return self.numbering[event.instrument].trades(event)
            case BookChange():
                change = self.numbering[event.instrument].book_change(event)
                for fault in self.faults.of(Crossed) if self.faults.active else ():
                    change = fault.changed(now, change, book) if fault.symbol == event.instrument else change
                return change
        return event

    def view(self, symbol: str, now: float) -> rest.View:
        """The part of the truth that REST returns for a symbol ("" for a call without one)."""
        faults = self.faults.in_force(now)
        gaps = [
            gap
            for fault in faults
            if isinstance(fault, NoHistory) and fault.symbol == symbol
            for gap in self._gaps(fault)
        ]
        preopen = frozenset(fault.symbol for fault in faults if isinstance(fault, Crossed) and fault.preopen)
        return rest.View(joined(gaps), preopen, self._delisted())

    def _gaps(self, fault: NoHistory) -> list[tuple[int, int]]:
        return self.faults.swallowed.trade_ids(fault.symbol) if fault.swallowed else [(fault.first, fault.last)]
