"""Replays recordings in a loop as one endless market.

A client sees no seam between a recording and the next one (or the same one again):

* Trade ids continue: the first recorded trade keeps its id, and every later id follows the previous one by `count`.
  So a gap in the recorded ids disappears, and an id that was recorded twice is replayed once. Ids that are not dense
  are replayed as recorded in the first pass, and later ones are made from dense ids.
* Sequence numbers continue. Those of a recording are shifted by the same amount. Recordings without any (before 2023)
  get numbers with steps above 1, shared by books and trades.
* The recorded snapshot is replayed as an ordinary update from the current book to the snapshot. Its recorded checksum
  is valid for that update, because it depends only on the resulting state.
* A stream without snapshots starts with the recorded book of REST, or with an empty one.
* Times continue: a recorded time is shifted to the time of the replay, with distances divided by the speed. It never
  decreases within a channel.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, cycle

from market_simulator.engine.book import Book, Checksum
from market_simulator.engine.events import BookChange, Event, Key, RecordedRow, TradeRow, Trades
from market_simulator.engine.quantities import split_size
from market_simulator.engine.recording import Frame, RecordedBase, RecordedBook, RecordedState, RecordedTrade, Recording

JOINT_US = 100_000  # recorded time from the last frame of a recording to the first of the next
_SEAM = 17  # step of the sequence numbers at a seam
_NO_BASE = RecordedBase((), ())


def replay(recordings: Sequence[Recording], origin_us: int, speed: Fraction, checksum: Checksum) -> Iterator[Event]:
    """Endless events of all recordings from `origin_us` on, in order of time.

    Recordings that share an instrument follow each other in the given order; others run in parallel.
    """
    played = [_play(track, origin_us, speed, checksum) for track in tracks(recordings)]
    return heapq.merge(*played, key=lambda event: event.time_us)


def tracks(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Groups of recordings that share instruments, each in the given order."""
    groups: list[list[Recording]] = []
    for recording in recordings:
        sharing = [group for group in groups if any(other.names & recording.names for other in group)]
        groups = [group for group in groups if group not in sharing]
        groups.append([*(other for group in sharing for other in group), recording])
    return groups


def recorded_keys(recordings: Sequence[Recording]) -> frozenset[Key]:
    """The streams that are replayed as recorded instead of derived from trades and books."""
    frames = (frame for recording in recordings for frame in recording.frames)
    return frozenset(Key(f.channel, f.instrument) for f in frames if isinstance(f.content, RecordedState))


def recorded_books(recordings: Sequence[Recording]) -> dict[Key, int]:
    """The streams of order books, each with the number of its first message, or 0 if it has none."""
    books: dict[Key, int] = {}
    for frame in (frame for recording in recordings for frame in recording.frames):
        if isinstance(frame.content, RecordedBook):
            books.setdefault(Key(frame.channel, frame.instrument), frame.content.update)
    return books


def _play(track: Sequence[Recording], origin_us: int, speed: Fraction, checksum: Checksum) -> Iterator[Event]:
    streams = {name: _Stream(name, checksum) for recording in track for name in recording.names}
    start_us = Fraction(origin_us)
    for place, recording in enumerate(cycle(track)):
        segment = _Segment(start_us, recording.zero_ms, speed, place < len(track))
        for name in recording.names:
            streams[name].start(recording)
        for frame in recording.frames:
            yield from streams[frame.instrument].event(frame, segment)
        start_us += Fraction(recording.frames[-1].offset_us + JOINT_US) / speed


@dataclass(frozen=True, slots=True)
class _Segment:
    """One pass through a recording. It converts recorded times to times of the replay."""

    start_us: Fraction
    zero_ms: int
    speed: Fraction
    is_first: bool

    def time_us(self, frame: Frame) -> int:
        return int(self.start_us + frame.offset_us / self.speed)

    def ts_ms(self, recorded_ms: int) -> int:
        return int((self.start_us + (recorded_ms - self.zero_ms) * 1000 / self.speed) / 1000)


class _Stream:
    """One instrument's numbers and book across all seams."""

    def __init__(self, instrument: str, checksum: Checksum) -> None:
        self._instrument = instrument
        self._checksum = checksum
        self._book = Book()
        self._is_started = False
        self._highest = 0  # the largest sequence number so far
        self._shift: int | None = 0  # added to recorded sequence numbers, None if there are none
        self._book_sequence = -1
        self._last_id: int | None = None
        self._recorded_id = 0
        self._last_ts: dict[str, int] = {}
        self._steps = count()
        self._has_checksums = False
        self._book_channel = ""
        self._base, self._is_linked = _NO_BASE, False

    def start(self, recording: Recording) -> None:
        rows = [row for f in recording.frames if f.instrument == self._instrument for row in f.rows]
        numbers = [row.sequence for row in rows if not isinstance(row, RecordedBase) and row.sequence is not None]
        numbers += [row.before for row in rows if isinstance(row, RecordedBook) and row.before is not None]
        self._base, self._is_linked = next((row for row in rows if isinstance(row, RecordedBase)), _NO_BASE), False
        self._shift = None if not numbers else 0
        if numbers and self._highest:
            self._shift = self._highest + _SEAM - min(numbers)
        self._has_checksums = any(row.checksum for row in rows if isinstance(row, RecordedBook))
        self._recorded_id = 0
        mine = (f for f in recording.frames if f.instrument == self._instrument)
        channels = (f.channel for f in mine if isinstance(f.content, RecordedBook))
        self._book_channel = next(channels, "")

    def event(self, frame: Frame, segment: _Segment) -> Iterator[Event]:
        match frame.content:
            case RecordedBook() if frame.channel != self._book_channel:
                pass  # another depth of the same book
            case RecordedBook() as book:
                yield from self._linked(frame, book, segment)
                yield from self._book_change(frame, book, segment)
            case RecordedBase():
                pass  # the pass starts with it
            case RecordedState():
                yield self._recorded(frame, frame.content, segment)
            case trades:
                yield from self._trades(frame, trades, segment)

    def _trades(self, frame: Frame, trades: tuple[RecordedTrade, ...], segment: _Segment) -> Iterator[Event]:
        rows = tuple(self._trade(trade, frame.channel, segment) for trade in trades if self._is_new(trade.id))
        if rows:
            yield Trades(segment.time_us(frame), self._instrument, rows)

    def _is_new(self, recorded_id: int | None) -> bool:
        if recorded_id is None:
            return True
        newer = recorded_id > self._recorded_id
        self._recorded_id = max(recorded_id, self._recorded_id)
        return newer

    def _trade(self, trade: RecordedTrade, channel: str, segment: _Segment) -> TradeRow:
        self._last_id = trade.id or 1 if self._last_id is None else self._last_id + trade.fills
        return TradeRow(
            last_id=self._last_id,
            price=trade.price,
            size=trade.size,
            sizes=split_size(trade.size, trade.fills),
            side=trade.side,
            source=trade.source,
            ts_ms=self._ts(channel, trade.ts_ms, segment),
            sequence=self._sequence(trade.sequence),
            name=trade.name if segment.is_first else "",
        )

    def _linked(self, frame: Frame, book: RecordedBook, segment: _Segment) -> Iterator[Event]:
        """The state before the first update of a pass, if the stream has no snapshots.

        It is that of REST. It may contain this update already, which changes nothing.
        """
        if book.before is not None and not self._is_linked:
            self._is_linked = True
            base = replace(
                book, bids=self._base.bids, asks=self._base.asks, sequence=book.before, is_snapshot=True, first=0
            )
            yield from self._book_change(frame, base, segment)

    def _book_change(self, frame: Frame, book: RecordedBook, segment: _Segment) -> Iterator[Event]:
        if not self._is_started and not book.is_snapshot:
            return  # a change of an unknown state
        previous = self._book_sequence
        is_empty = not (book.bids or book.asks or book.is_snapshot or book.before is not None)
        change = BookChange(
            time_us=segment.time_us(frame),
            instrument=self._instrument,
            ts_ms=self._ts(frame.channel, book.ts_ms, segment),
            bids=book.bids,
            asks=book.asks,
            sequence=previous if is_empty else self._sequence(book.sequence),
            previous=previous,
            checksum=book.checksum,
            is_snapshot=not self._is_started,
            first=book.first + (self._shift or 0) if book.first else 0,
        )
        yield self._applied(change, book.is_snapshot)

    def _applied(self, change: BookChange, is_recorded_snapshot: bool) -> BookChange:
        if is_recorded_snapshot and self._is_started:
            bids = self._book.bids.changes_to(change.bids)
            change = replace(change, bids=bids, asks=self._book.asks.changes_to(change.asks))
        self._book.apply(change.bids, change.asks)
        if self._has_checksums and not change.checksum:
            change = replace(change, checksum=self._checksum(self._book))
        self._is_started = True
        self._book_sequence = change.sequence
        return change

    def _recorded(self, frame: Frame, state: RecordedState, segment: _Segment) -> RecordedRow:
        ts_ms = self._ts(frame.channel, state.ts_ms, segment)
        sequence = None if state.sequence is None else self._sequence(state.sequence)
        return RecordedRow(segment.time_us(frame), self._instrument, frame.channel, state.row, ts_ms, sequence)

    def _sequence(self, recorded: int | None) -> int:
        if self._shift is None:
            sequence = (self._highest or 1_000_000) + 3 + next(self._steps) * 7 % 11
        elif recorded is not None:
            sequence = recorded + self._shift
        else:
            return self._highest
        self._highest = max(self._highest, sequence)
        return sequence

    def _ts(self, channel: str, recorded_ms: int, segment: _Segment) -> int:
        ts_ms = max(segment.ts_ms(recorded_ms), self._last_ts.get(channel, 0))
        self._last_ts[channel] = ts_ms
        return ts_ms
