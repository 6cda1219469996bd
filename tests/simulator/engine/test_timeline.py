from collections.abc import Iterator
from itertools import islice

from market_simulator.engine.events import NO_LEVELS, BookChange, Event, Level, Tick
from market_simulator.engine.timeline import with_beats

SOME = (Level(1, "1", "1", "1"),)


def change(time_us: int, sequence: int, instrument: str = "A-B") -> BookChange:
    return BookChange(time_us, instrument, time_us // 1000, SOME, NO_LEVELS, sequence, sequence - 2, 77, sequence == 2)


def test_tick_every_100_ms_precedes_events_of_the_same_time() -> None:
    events: list[Event] = [change(50_000, 2), change(300_000, 4)]
    times = [(type(event).__name__, event.time_us) for event in with_beats(events, 10**9)]
    assert times == [
        ("BookChange", 50_000), ("Tick", 100_000), ("Tick", 200_000), ("Tick", 300_000), ("BookChange", 300_000),
    ]  # fmt: skip


def test_unchanged_book_is_repeated_with_its_sequence_and_checksum() -> None:
    events: list[Event] = [change(1_000, 2), change(1_000_000, 4)]
    still = [e for e in with_beats(events, 300_000) if isinstance(e, BookChange) and e.is_no_change]
    assert [(e.time_us, e.sequence, e.previous, e.checksum) for e in still] == [
        (301_000, 2, 2, 77), (601_000, 2, 2, 77), (901_000, 2, 2, 77),
    ]  # fmt: skip
    assert not any(e.is_snapshot for e in still)


def test_change_postpones_the_no_change_push() -> None:
    events: list[Event] = [change(n * 200_000, 2 + 2 * n) for n in range(5)]
    assert not [e for e in with_beats(events, 300_000) if isinstance(e, BookChange) and e.is_no_change]


def test_no_change_pushes_are_independent_and_in_order_of_time() -> None:
    events: list[Event] = [change(0, 2, "A-B"), change(100_001, 2, "C-D"), change(900_000, 4, "A-B")]
    mixed = list(with_beats(events, 250_000))
    assert [e.time_us for e in mixed] == sorted(e.time_us for e in mixed)
    still = [(e.instrument, e.time_us) for e in mixed if isinstance(e, BookChange) and e.is_no_change]
    assert still == [
        ("A-B", 250_000), ("C-D", 350_001), ("A-B", 500_000), ("C-D", 600_001), ("A-B", 750_000), ("C-D", 850_001),
    ]  # fmt: skip


def test_regular_events_read_one_source_event_ahead() -> None:
    def endless() -> Iterator[Event]:
        n = 0
        while True:
            n += 1
            yield change(n * 10_000, 2 * n)

    assert len(list(islice(with_beats(endless(), 10**9), 1000))) == 1000
    assert Tick(1).time_us == 1
