"""The exchange as a whole: venue, truth, faults and connections, and how an event happens to all of them. `now` is
seconds of a monotonic clock, given as argument."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from market_simulator import rest
from market_simulator.book import Book
from market_simulator.events import BookChange, Event, Key, Trades
from market_simulator.faults import Faults
from market_simulator.faults.calls import NoHistory, joined
from market_simulator.faults.connections import StuckSubscribe, SubscribeError, SubscribeFault
from market_simulator.faults.market import Crossed, Numbering
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

    def first_push(self, key: Key) -> str | None:
        return self.venue.first_push(key)

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
