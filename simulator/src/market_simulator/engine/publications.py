"""The messages of all instruments: events go to the publisher of their instrument."""

from collections.abc import Callable, Container
from typing import Generic, Protocol, TypeVar

from market_simulator.engine.events import BookChange, Event, Key, RecordedRow, Tick, Trades
from market_simulator.engine.venue import Board, Venue

Pushes = list[tuple[Key, str]]


class EventPublisher(Protocol):
    """Makes the messages of one instrument for the streams in `wanted`."""

    def tick(self, time_us: int, wanted: Container[Key]) -> Pushes: ...
    def trades(self, event: Trades, wanted: Container[Key]) -> Pushes: ...
    def book_change(self, change: BookChange, wanted: Container[Key]) -> Pushes: ...
    def recorded(self, event: RecordedRow, wanted: Container[Key]) -> Pushes: ...


P = TypeVar("P", bound=EventPublisher)


class Publications(Generic[P]):
    """The messages of all instruments. `make` makes the publisher of each."""

    def __init__(self, venue: Venue, make: Callable[[Board, Venue], P]) -> None:
        self.of = {name: make(board, venue) for name, board in venue.boards.items()}

    def publish(self, event: Event, wanted: Container[Key]) -> Pushes:
        """The messages of the streams in `wanted` that result from an event, which the venue has applied."""
        match event:
            case Tick():
                return [push for publisher in self.of.values() for push in publisher.tick(event.time_us, wanted)]
            case Trades():
                return self.of[event.instrument].trades(event, wanted)
            case BookChange():
                return self.of[event.instrument].book_change(event, wanted)
            case RecordedRow():
                return self.of[event.instrument].recorded(event, wanted)
