"""The checkpoint: the position of every stream, kept across restarts in ``--state-dir``.

In a pod the directory is an emptyDir, which outlives a crashed container. The gap in between is then found like any
other. All sinks have acknowledged the positions in a checkpoint.
"""

import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from market_collector.feed.checkpoint_state import Positions

log = logging.getLogger(__name__)

FILE = "checkpoint.json"
SAMPLES_KEPT = 60
"""Largest number of positions that wait for acknowledgement."""


class Checkpoint:
    """The checkpoint file. A failure to read or write it is logged and never stops the collector."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._saved = b""

    def load(self) -> Positions | None:
        """The positions of the last run; None if there are none, or they are unreadable."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Positions)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s: cannot be read, so a gap since the last run is not detected: %s", self._path, error)
            return None

    def save(self, positions: Positions) -> None:
        """Replaces the file atomically."""
        text = msgspec.json.encode(positions)
        if text == self._saved:
            return
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            log.warning("%s: cannot be written: %s", self._path, error)
            return
        self._saved = text


class Samples:
    """Positions that wait until every sink has acknowledged them."""

    def __init__(self) -> None:
        self._taken: dict[int, Positions] = {}
        self._number = 0
        self.by_sink: dict[str, Positions] = {}
        """The newest positions that each sink has acknowledged."""

    def take(self, positions: Callable[[], Positions], mark: Callable[[int], None]) -> None:
        """Takes the current positions and marks them in every sink's queue."""
        if len(self._taken) < SAMPLES_KEPT:
            self._number += 1
            self._taken[self._number] = positions()
            mark(self._number)

    def acknowledged(self, reached: Mapping[str, int]) -> Positions | None:
        """The newest positions that every sink has reached, or None if there are no newer ones. Drops older ones."""
        for sink, mark in reached.items():
            if mark in self._taken:
                self.by_sink[sink] = self._taken[mark]
        done = [number for number in self._taken if number <= min(reached.values(), default=0)]
        newest = self._taken.get(done[-1]) if done else None
        for number in done:
            del self._taken[number]
        return newest
