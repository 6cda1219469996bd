"""Replays recordings in a loop as one endless market.

A client sees no seam between a recording and the next one (or the same one again):

* Trade ids continue: the first recorded trade keeps its id, and every later id follows the previous one by `count`.
  So a gap in the recorded ids disappears, and an id that was recorded twice is replayed once.
* Sequence numbers continue. Those of a recording are shifted by the same amount. Recordings without any (before 2023)
  get numbers with steps above 1, shared by books and trades.
* The recorded snapshot is replayed as an ordinary update from the current book to the snapshot. Its recorded checksum
  is valid for that update, because it depends only on the resulting state.
* Times continue: a recorded time is shifted to the time of the replay, with distances divided by the speed. It never
  decreases within a channel.
"""

import heapq
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count, cycle
from typing import Any

from market_simulator.book import Book
from market_simulator.events import BookChange, Event, Key, RecordedRow, TradeRow, Trades
from market_simulator.quantities import split_size
from market_simulator.recording import REPLAYED_AS_RECORDED, Frame, Recording

JOINT_US = 100_000  # recorded time from the last frame of a recording to the first of the next
_SEAM = 17  # step of the sequence numbers at a seam


def replay(recordings: Sequence[Recording], origin_us: int, speed: Fraction) -> Iterator[Event]:
    """Endless events of all recordings from `origin_us` on, in order of time.

    Recordings that share an instrument follow each other in the given order; others run in parallel.
    """
    played = [_play(track, origin_us, speed) for track in tracks(recordings)]
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
    return frozenset(Key(f.channel, f.instrument) for f in frames if f.channel in REPLAYED_AS_RECORDED)


def _play(track: Sequence[Recording], origin_us: int, speed: Fraction) -> Iterator[Event]:
    streams = {name: _Stream(name) for recording in track for name in recording.names}
    start_us = Fraction(origin_us)
    for recording in cycle(track):
        segment = _Segment(start_us, recording.zero_ms, speed)
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

    def time_us(self, frame: Frame) -> int:
        return int(self.start_us + frame.offset_us / self.speed)

    def ts_ms(self, recorded_ms: int) -> int:
        return int((self.start_us + (recorded_ms - self.zero_ms) * 1000 / self.speed) / 1000)


class _Stream:
    """One instrument's numbers and book across all seams."""

    def __init__(self, instrument: str) -> None:
        self._instrument = instrument
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

    def start(self, recording: Recording) -> None:
        rows = [row for f in recording.frames if f.instrument == self._instrument for row in f.rows]
        numbers = [int(row["seqId"]) for row in rows if "seqId" in row]
        self._shift = None if not numbers else 0
        if numbers and self._highest:
            self._shift = self._highest + _SEAM - min(numbers)
        self._has_checksums = any(row.get("checksum") for row in rows)
        self._recorded_id = 0

    def event(self, frame: Frame, segment: _Segment) -> Iterator[Event]:
        match frame.channel:
            case "trades":
                yield from self._trades(frame, segment)
            case "books":
                yield from self._book_change(frame, segment)
            case _:
                yield self._recorded(frame, segment)

    def _trades(self, frame: Frame, segment: _Segment) -> Iterator[Event]:
        rows = tuple(self._trade(row, segment) for row in frame.rows if self._is_new(int(row["tradeId"])))
        if rows:
            yield Trades(segment.time_us(frame), self._instrument, rows)

    def _is_new(self, recorded_id: int) -> bool:
        newer = recorded_id > self._recorded_id
        self._recorded_id = max(recorded_id, self._recorded_id)
        return newer

    def _trade(self, row: dict[str, Any], segment: _Segment) -> TradeRow:
        fills = int(row.get("count", 1))
        self._last_id = int(row["tradeId"]) if self._last_id is None else self._last_id + fills
        return TradeRow(
            last_id=self._last_id,
            price=row["px"],
            size=row["sz"],
            sizes=split_size(row["sz"], fills),
            side=row["side"],
            source=row.get("source", "0"),
            ts_ms=self._ts("trades", int(row["ts"]), segment),
            sequence=self._sequence(row),
        )

    def _book_change(self, frame: Frame, segment: _Segment) -> Iterator[Event]:
        if not self._is_started and frame.action != "snapshot":
            return  # a change of an unknown state
        row = frame.rows[0]
        previous = self._book_sequence
        is_empty = not frame.bids.rows and not frame.asks.rows and frame.action != "snapshot"
        change = BookChange(
            time_us=segment.time_us(frame),
            instrument=self._instrument,
            ts_ms=self._ts("books", int(row["ts"]), segment),
            bids=frame.bids,
            asks=frame.asks,
            sequence=previous if is_empty else self._sequence(row),
            previous=previous,
            checksum=int(row.get("checksum", 0)),
            is_snapshot=not self._is_started,
        )
        yield self._applied(change, frame.action == "snapshot")

    def _applied(self, change: BookChange, is_recorded_snapshot: bool) -> BookChange:
        if is_recorded_snapshot and self._is_started:
            bids = self._book.bids.changes_to(change.bids.rows)
            change = replace(change, bids=bids, asks=self._book.asks.changes_to(change.asks.rows))
        self._book.apply(change.bids.rows, change.asks.rows)
        if self._has_checksums and not change.checksum:
            change = replace(change, checksum=self._book.checksum())
        self._is_started = True
        self._book_sequence = change.sequence
        return change

    def _recorded(self, frame: Frame, segment: _Segment) -> RecordedRow:
        row = dict(frame.rows[-1], ts=str(self._ts(frame.channel, int(frame.rows[-1]["ts"]), segment)))
        if "seqId" in row:
            row["seqId"] = self._sequence(row)
        text = json.dumps(row, separators=(",", ":"))
        return RecordedRow(segment.time_us(frame), self._instrument, frame.channel, text)

    def _sequence(self, row: dict[str, Any]) -> int:
        if self._shift is None:
            sequence = (self._highest or 1_000_000) + 3 + next(self._steps) * 7 % 11
        elif "seqId" in row:
            sequence = int(row["seqId"]) + self._shift
        else:
            return self._highest
        self._highest = max(self._highest, sequence)
        return sequence

    def _ts(self, channel: str, recorded_ms: int, segment: _Segment) -> int:
        ts_ms = max(segment.ts_ms(recorded_ms), self._last_ts.get(channel, 0))
        self._last_ts[channel] = ts_ms
        return ts_ms
