"""Inserts the exchange's regular events into those of a source: ticks and no-change pushes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from heapq import heappop, heappush

from market_simulator.engine.events import NO_LEVELS, BookChange, Event, Tick

TICK_US = 100_000


def with_beats(events: Iterable[Event], no_change_us: int) -> Iterator[Event]:
    """Add a `Tick` every 100 ms, and a no-change push for each book that is unchanged for `no_change_us`.

    Inserted events precede the source's events of the same time.
    """
    beats = _Beats(no_change_us)
    for event in events:
        yield from beats.until(event.time_us)
        if isinstance(event, BookChange):
            beats.book_changed(event)
        yield event


class _Beats:
    def __init__(self, no_change_us: int) -> None:
        self._no_change_us = no_change_us
        self._next_tick_us: int | None = None
        self._books: dict[str, BookChange] = {}
        self._due: list[tuple[int, str]] = []  # at most one entry per book, which can be too early but never too late

    def book_changed(self, change: BookChange) -> None:
        if change.instrument not in self._books:
            heappush(self._due, (change.time_us + self._no_change_us, change.instrument))
        self._books[change.instrument] = change

    def until(self, time_us: int) -> Iterator[Event]:
        if self._next_tick_us is None:
            self._next_tick_us = time_us - time_us % TICK_US + TICK_US
        while self._next_tick_us <= time_us:
            yield from self._still_books(self._next_tick_us)
            yield Tick(self._next_tick_us)
            self._next_tick_us += TICK_US
        yield from self._still_books(time_us)

    def _still_books(self, time_us: int) -> Iterator[Event]:
        while self._due and self._due[0][0] <= time_us:
            _, instrument = heappop(self._due)
            change = self._books[instrument]
            due_us = change.time_us + self._no_change_us
            if due_us <= time_us:
                change = self._books[instrument] = _nothing_changed(change, due_us)
                yield change
                due_us += self._no_change_us
            heappush(self._due, (due_us, instrument))


def _nothing_changed(last: BookChange, time_us: int) -> BookChange:
    return replace(
        last, time_us=time_us, ts_ms=time_us // 1000, bids=NO_LEVELS, asks=NO_LEVELS, previous=last.sequence,
        is_snapshot=False,
    )  # fmt: skip
