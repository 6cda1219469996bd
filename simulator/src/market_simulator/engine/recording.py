"""Reads recorded frames: one JSON object per line, `{"t": seconds or null, "dir": "in"|"out", "url", "raw": text}`.

Frames of the client (`out`) are ignored, and a dialect reads the others.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from market_simulator.engine.events import Levels
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.quantities import decimal_text, decimals_of


class RecordingError(ValueError):
    """A recording cannot be replayed. The message has file, line, reason and remedy."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}:{line}: {why}" if line else f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class RecordedTrade:
    """Fills of one taker order at one price. `id` is that of the last one. `sequence` None means none.

    Without dense ids `id` is None, and `name` is the exchange's id of the only fill.
    """

    id: int | None
    price: str
    size: str
    fills: int
    side: str
    source: str
    ts_ms: int
    sequence: int | None
    name: str = ""


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """New absolute sizes, or (`is_snapshot`) the whole book. `checksum` 0 means none.

    `update`: the number of the message on its stream, if the exchange has such numbers. Updates of a stream without
    snapshots have `before`, the sequence number of the state that they change, and `first`, that of the first change.
    """

    bids: Levels
    asks: Levels
    ts_ms: int
    sequence: int | None
    checksum: int
    is_snapshot: bool
    update: int = 0
    before: int | None = None
    first: int = 0


@dataclass(frozen=True, slots=True)
class RecordedBase:
    """A book over REST. The updates of the stream belong to it."""

    bids: Levels
    asks: Levels


@dataclass(frozen=True, slots=True)
class RecordedState:
    """A row of another channel, with the prices and the sizes of trades in it."""

    row: Mapping[str, Any]
    ts_ms: int
    sequence: int | None
    prices: tuple[str, ...]
    sizes: tuple[str, ...]


Content: TypeAlias = tuple[RecordedTrade, ...] | RecordedBook | RecordedBase | RecordedState


@dataclass(frozen=True, slots=True)
class Push:
    """The market data of one frame. `ts_ms` is the exchange's time of its first row, or 0 if it has none."""

    channel: str
    instrument: str
    ts_ms: int
    content: Content


FrameReader: TypeAlias = Callable[[str, str], Push | list[Instrument] | None]
"""Reads one incoming frame or REST reply from its URL and its text. None: it has neither market data nor instruments.

Raises ValueError, LookupError or TypeError if the text is not a frame of the dialect.
"""


@dataclass(frozen=True, slots=True)
class Frame:
    """One recorded push. `offset_us` is the time since the recording's first frame."""

    offset_us: int
    channel: str
    instrument: str
    content: Content

    @property
    def rows(self) -> Sequence[RecordedTrade | RecordedBook | RecordedBase | RecordedState]:
        """The content as rows."""
        return self.content if isinstance(self.content, tuple) else (self.content,)


@dataclass(frozen=True, slots=True)
class Recording:
    """A file. `zero_ms` is the arrival time of its first frame (milliseconds since 1970)."""

    path: Path
    zero_ms: int
    frames: tuple[Frame, ...]
    instruments: tuple[Instrument, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(frame.instrument for frame in self.frames)


def read_recording(path: Path, read: FrameReader, protocol: str) -> Recording:
    """Read a recording of a protocol, which `read` understands.

    Raises:
        RecordingError: The file cannot be opened, or a line is not a recorded frame.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(path, 0, f"cannot be read ({error}); name a file of recorded frames") from error
    reader = _Reader(path, read, protocol)
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            reader.line(number, line)
    return Recording(path, reader.zero_ms or 0, tuple(reader.frames), tuple(reader.instruments))


class _Reader:
    """Collects the frames of one file, with the time of its first frame as origin."""

    def __init__(self, path: Path, read: FrameReader, protocol: str) -> None:
        self.path = path
        self.zero_ms: int | None = None
        self.frames: list[Frame] = []
        self.instruments: list[Instrument] = []
        self._read = read
        self._protocol = protocol

    def line(self, number: int, text: str) -> None:
        try:
            entry = json.loads(text)
            direction, url, raw = entry["dir"], str(entry["url"]), str(entry["raw"])
        except (ValueError, KeyError, TypeError) as error:
            why = 'not a recorded frame; each line is {"t": seconds, "dir": "in"|"out", "url": ..., "raw": frame text}'
            raise RecordingError(self.path, number, why) from error
        if direction == "in":
            try:
                self._incoming(self._read(url, raw), entry.get("t"))
            except (ValueError, LookupError, TypeError) as error:
                why = f"raw is not a frame of {self._protocol}: {error!r}"
                raise RecordingError(self.path, number, why) from error

    def _incoming(self, found: Push | list[Instrument] | None, at: float | None) -> None:
        match found:
            case Push():
                frame = Frame(self._offset_us(at, found.ts_ms), found.channel, found.instrument, found.content)
                self.frames.append(frame)
            case list():
                self.instruments += found

    def _offset_us(self, at: float | None, ts_ms: int) -> int:
        """Offset by the recorder's clock or, without one, by the exchange's. It never decreases, also without both."""
        moment_us = ts_ms * 1000 if at is None else round(at * 1_000_000)
        last = self.frames[-1].offset_us if self.frames else 0
        if not moment_us:
            return last
        if self.zero_ms is None:
            self.zero_ms = moment_us // 1000
        return max(last, moment_us - self.zero_ms * 1000)


def rest_replies_beside(paths: list[Path]) -> Iterator[Path]:
    """The files `rest.jsonl` in the directories of the recordings, which describe the instruments."""
    for directory in dict.fromkeys(path.parent for path in paths):
        if (candidate := directory / "rest.jsonl").is_file():
            yield candidate


def steps(symbol: str, recordings: Sequence[Recording]) -> tuple[str, str]:
    """Derive an instrument's steps of price and size from its recorded prices and sizes."""
    prices: list[str] = []
    sizes: list[str] = []
    book_sizes: list[str] = []  # used without trades
    for row in (row for recording in recordings for f in recording.frames if f.instrument == symbol for row in f.rows):
        match row:
            case RecordedTrade():
                prices.append(row.price)
                sizes.append(row.size)
            case RecordedBook() | RecordedBase():
                prices += [level.price for level in (*row.bids, *row.asks)]
                book_sizes += [level.size for level in (*row.bids, *row.asks)]
            case RecordedState():
                prices += row.prices
                sizes += row.sizes
    tick, lot = (decimal_text(1, max(map(decimals_of, values), default=0)) for values in (prices, sizes or book_sizes))
    return tick, lot
