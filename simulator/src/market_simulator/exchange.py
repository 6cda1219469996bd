"""The exchange as a whole: venue, truth, faults and connections, and how an event happens to all of them. `now` is
seconds of a monotonic clock, given as argument."""

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
from market_simulator.faults.messages import Skew
from market_simulator.hub import Hub
from market_simulator.truth import Truth
from market_simulator.venue import Venue


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the exchange behaves. Seconds and bytes; 0 connections a second means no limit."""

    silence_limit: float = 30.0
    unsent_limit: int = 16 << 20
    connection_limit: int = 0
    has_rate_limits: bool = True


@dataclass(slots=True)
class Exchange:
    """The whole state. `is_paced` False: the market runs as fast as its clients read, and waits without any."""

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
        self.numbering = {name: Numbering() for name in self.names}
        self.hub = Hub(self.faults, self.options.silence_limit, self.options.unsent_limit)
        self.limits = rest.RateLimits(self.options.has_rate_limits)

    @property
    def names(self) -> frozenset[str]:
        """What can be subscribed."""
        return frozenset(self.venue.boards)

    def first_pushes(self, key: Key) -> list[str]:
        """What a new subscriber gets at once."""
        if key == account.KEY:
            return self.account.snapshot(self.venue.now_ms)
        text = self.venue.first_push(key)
        return [] if text is None else [text]

    def subscribers(self, key: Key) -> int:
        """How many connections have this stream."""
        return len(self.hub.wanted.get(key, ()))

    def login_refusal(self, login: dict[str, Any], now: float) -> tuple[str, str] | None:
        """Why this login fails: a fault, or what is wrong with it."""
        if fault := self.faults.next(LoginError, now):
            return fault.code, fault.message
        skew = self.faults.next(Skew, now)
        return self.account.refusal(login, self.now_us(now) // 1000 + round(skew.seconds * 1000 if skew else 0))

    def change_key(self, key: ApiKey) -> int:
        """Another API key from now on: who has logged in is closed with 4007. Returns how many."""
        self.account.key = key
        chosen = [connection for connection in self.hub.open_ones() if connection.session.is_logged_in]
        for connection in chosen:
            self.hub.close(connection, okx.KEY_CHANGED, "API key has been updated or deleted")
        return len(chosen)

    def change_holding(self, currency: str, total: Decimal, frozen: Decimal, now: float) -> None:
        """The account holds so much of a currency from now on, and its subscribers are told."""
        text = self.account.change(currency, total, frozen, self.now_us(now) // 1000)
        self.hub.publish([(account.KEY, text)], now)
        self.hub.flush(now)

    def subscribe_fault(self, key: Key, now: float) -> SubscribeFault | None:
        """What goes wrong with this subscription."""
        error = self.faults.next(SubscribeError, now, lambda fault: fault.stream.has(key))
        return error or self.faults.next(StuckSubscribe, now, lambda fault: fault.stream.has(key))

    def now_us(self, now: float) -> int:
        """The exchange's time for a moment of the loop's clock: microseconds since 1970."""
        return self.origin_us + round((now - self.started) * 1_000_000) if self.is_paced else self.truth.time_us

    def happen(self, event: Event, now: float) -> None:
        """Let one event happen: it becomes truth, and is published."""
        board = self.venue.boards.get(getattr(event, "instrument", ""))
        if board is not None:
            event = self._disturbed(event, board.book, now)
        pushes = self.venue.apply(event, self.hub.wanted)
        self.truth.record(event, board.book if board else None)
        self.hub.counters.events += 1
        if isinstance(event, Tick) and account.KEY in self.hub.wanted and event.time_us % account.REPEATED_US == 0:
            pushes += [(account.KEY, text) for text in self.account.snapshot(event.time_us // 1000)]
        self.hub.publish(pushes, now)

    def _disturbed(self, event: Event, book: Book, now: float) -> Event:
        """The event as the faults of the market let it happen; `book` is the one before it."""
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
        """What REST knows of the truth, and how a call for this symbol ("": none) goes wrong."""
        faults = self.faults.in_force(now)
        gaps = [
            gap
            for fault in faults
            if isinstance(fault, NoHistory) and fault.symbol == symbol
            for gap in self._gaps(fault)
        ]
        preopen = frozenset(fault.symbol for fault in faults if isinstance(fault, Crossed) and fault.preopen)
        return rest.View(joined(gaps), preopen)

    def _gaps(self, fault: NoHistory) -> list[tuple[int, int]]:
        return self.faults.swallowed.trade_ids(fault.symbol) if fault.swallowed else [(fault.first, fault.last)]
