"""The exchange: it passes each event through faults, venue, dialect and truth to the connections.

`now` is seconds of a monotonic clock, passed as an argument.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from market_simulator.engine.account import Account, ApiKey, Holding
from market_simulator.engine.book import Book
from market_simulator.engine.dialect import Dialect, Frontend, ServerOptions, View
from market_simulator.engine.events import BookChange, Event, Key, Trades
from market_simulator.engine.faults import Faults
from market_simulator.engine.faults.calls import NoHistory, joined
from market_simulator.engine.faults.connections import LoginError, StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.engine.faults.market import Crossed, Numbering
from market_simulator.engine.faults.messages import Delist, Skew
from market_simulator.engine.faults.turns import Stream
from market_simulator.engine.truth import Truth
from market_simulator.engine.venue import Venue
from market_simulator.serving.hub import Hub


@dataclass(slots=True)
class Exchange:
    """All state. With `is_paced` False the market runs as fast as its clients read, and pauses without clients."""

    dialect: Dialect
    venue: Venue
    truth: Truth
    events: Iterator[Event]
    origin_us: int
    is_paced: bool
    options: ServerOptions
    account: Account = field(default_factory=Account)
    frontend: Frontend = field(init=False)
    faults: Faults = field(init=False)
    numbering: dict[str, Numbering] = field(init=False)
    hub: Hub = field(init=False)
    started: float = 0.0

    def __post_init__(self) -> None:
        self.frontend = self.dialect.open(self.venue, self.truth, self.account, self.options)
        self.faults = Faults(self.dialect.words)
        self.numbering = {name: Numbering() for name in self.venue.boards}
        self.hub = Hub(self.faults, self.dialect.too_slow, self.options.unsent_limit)

    @property
    def names(self) -> frozenset[str]:
        """Names of the instruments that clients can subscribe to."""
        return frozenset(self.venue.boards) - self._delisted()

    def _delisted(self) -> frozenset[str]:
        return frozenset(fault.symbol for fault in self.faults.of(Delist)) if self.faults.active else frozenset()

    def first_pushes(self, key: Key) -> list[str]:
        """The messages that a new subscriber gets at once."""
        return self.frontend.first(key)

    def stream(self, channel: str | None, symbol: str | None) -> Stream:
        """Select streams by a channel, or a data type with all its channels, and by a symbol; None means any."""
        symbol = None if symbol is None else self.dialect.market_name(symbol)
        return Stream(channel, symbol, self.dialect.channels.get(channel or "", frozenset()))

    def subscribers(self, key: Key) -> int:
        """Number of connections with this stream."""
        return len(self.hub.wanted.get(key, ()))

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        """Check a login: the error of a fault or of the account as (code, msg), or None if it is valid."""
        if fault := self.faults.next(LoginError, now):
            return fault.code, fault.message
        skew = self.faults.next(Skew, now)
        now_ms = self.now_us(now) // 1000 + round(skew.seconds * 1000 if skew else 0)
        return self.frontend.login_refusal(login, now_ms)

    def change_key(self, key: ApiKey, now: float) -> int:
        """Replace the API key, and tell logged-in connections. Returns their number."""
        self.account.key = key
        chosen = [connection for connection in self.hub.open_ones() if connection.session.is_logged_in]
        for connection in chosen:
            self.hub.follow(connection, connection.session.key_changed(self.now_us(now) // 1000), now)
        return len(chosen)

    def change_holding(self, currency: str, total: Decimal, frozen: Decimal, now: float) -> None:
        """Set the holding of one currency, and push the change to the subscribers of the account."""
        self.account.holdings[currency] = Holding(total, frozen, self.now_us(now) // 1000)
        self.hub.publish(self.frontend.holding_changed(currency), now)
        self.hub.flush(now)

    def resend(self, stream: Stream, now: float) -> int:
        """Push the first messages of the subscribed streams again. Returns the number of messages."""
        chosen = [key for key in self.hub.wanted if stream.has(key)]
        pushes = [(key, text) for key in chosen for text in self.first_pushes(key)]
        self.hub.publish(pushes, now)
        self.hub.flush(now)
        return len(pushes)

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
        self.venue.apply(event)
        pushes = self.frontend.publish(event, self.hub.wanted)
        self.truth.record(event, board.book if board else None)
        self.hub.counters.events += 1
        self.hub.publish(pushes, now)

    def _with_market_faults(self, event: Event, book: Book, now: float) -> Event:
        """Apply the faults of the market to an event; `book` is the book before it."""
        match event:
            case Trades():
                return self.numbering[event.instrument].trades(event)
            case BookChange():
                change = self.numbering[event.instrument].book_change(event)
                for fault in self.faults.of(Crossed) if self.faults.active else ():
                    if fault.symbol == event.instrument:
                        change = fault.changed(now, change, book, self.dialect.checksum)
                return change
        return event

    def view(self, symbol: str, now: float) -> View:
        """The part of the truth that REST returns for a symbol ("" for a call without one)."""
        faults = self.faults.in_force(now)
        gaps = [
            gap
            for fault in faults
            if isinstance(fault, NoHistory) and fault.symbol == symbol
            for gap in self._gaps(fault)
        ]
        preopen = frozenset(fault.symbol for fault in faults if isinstance(fault, Crossed) and fault.preopen)
        return View(joined(gaps), preopen, self._delisted())

    def _gaps(self, fault: NoHistory) -> list[tuple[int, int]]:
        return self.faults.swallowed.trade_ids(fault.symbol) if fault.swallowed else [(fault.first, fault.last)]
