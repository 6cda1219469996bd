"""Reads recorded frames: one JSON object per line, `{"t": seconds or null, "dir": "in"|"out", "url", "raw": text}`.

Frames of the client (`out`), acknowledgements, `pong` and REST replies without instruments are ignored.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from market_simulator.events import Level, Levels, levels
from market_simulator.instruments import Instrument, recorded_instrument
from market_simulator.quantities import price_key

REPLAYED_AS_RECORDED = frozenset({"tickers", "bbo-tbt", "books5"})
_REPLAYED = REPLAYED_AS_RECORDED | {"trades", "books"}


class RecordingError(ValueError):
    """A recording cannot be replayed. The message has file, line, reason and remedy."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        super().__init__(f"{path}:{line}: {why}" if line else f"{path}: {why}")


@dataclass(frozen=True, slots=True)
class Frame:
    """One recorded push. `offset_us` is the time since the recording's first frame; `rows` are as received."""

    offset_us: int
    channel: str
    instrument: str
    action: str  # "snapshot", "update", "" for channels that have none
    rows: tuple[dict[str, Any], ...]
    bids: Levels
    asks: Levels


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


def read_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        RecordingError: The file cannot be opened, or a line is not a recorded frame.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordingError(path, 0, f"cannot be read ({error}); name a file of recorded frames") from error
    reader = _Reader(path)
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            reader.line(number, line)
    return Recording(path, reader.zero_ms or 0, tuple(reader.frames), tuple(reader.instruments))


class _Reader:
    """Collects the frames of one file, with the time of its first frame as origin."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.zero_ms: int | None = None
        self.frames: list[Frame] = []
        self.instruments: list[Instrument] = []

    def line(self, number: int, text: str) -> None:
        try:
            entry = json.loads(text)
            direction, url, raw = entry["dir"], str(entry["url"]), str(entry["raw"])
        except (ValueError, KeyError, TypeError) as error:
            why = 'not a recorded frame; each line is {"t": seconds, "dir": "in"|"out", "url": ..., "raw": frame text}'
            raise RecordingError(self.path, number, why) from error
        if direction == "in" and raw != "pong":
            try:
                self._incoming(url, json.loads(raw), entry.get("t"))
            except (ValueError, KeyError, TypeError) as error:
                raise RecordingError(self.path, number, f"raw is not a frame of OKX v5: {error!r}") from error

    def _incoming(self, url: str, message: dict[str, Any], at: float | None) -> None:
        if url.startswith("http"):
            if "/public/instruments" in url:
                self.instruments += [recorded_instrument(row) for row in message["data"]]
        elif "event" not in message and message["arg"]["channel"] in _REPLAYED:
            self.frames.append(self._frame(message, at))

    def _frame(self, message: dict[str, Any], at: float | None) -> Frame:
        arg, rows = message["arg"], tuple(message["data"])
        first = rows[0]
        book = arg["channel"] == "books"
        bids, asks = (_levels(first["bids"]), _levels(first["asks"])) if book else (levels(()), levels(()))
        offset = self._offset_us(at, int(first["ts"]))
        return Frame(offset, arg["channel"], arg["instId"], message.get("action", ""), rows, bids, asks)

    def _offset_us(self, at: float | None, ts_ms: int) -> int:
        """Offset by the recorder's clock or, without one, by the exchange's. It never decreases."""
        moment_us = ts_ms * 1000 if at is None else round(at * 1_000_000)
        if self.zero_ms is None:
            self.zero_ms = moment_us // 1000
        last = self.frames[-1].offset_us if self.frames else 0
        return max(last, moment_us - self.zero_ms * 1000)


def _levels(rows: list[list[str]]) -> Levels:
    return levels(Level(price_key(price), price, size, orders) for price, size, _, orders in rows)


def rest_replies_beside(paths: list[Path]) -> Iterator[Path]:
    """The files `rest.jsonl` in the directories of the recordings, which describe the instruments."""
    for directory in dict.fromkeys(path.parent for path in paths):
        if (candidate := directory / "rest.jsonl").is_file():
            yield candidate
