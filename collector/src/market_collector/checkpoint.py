"""Where every stream stands, kept across restarts in ``--state-dir``.

In a pod the directory is an emptyDir: it lives as long as the pod, so a container that crashed and came back knows
what it had, and the hole in between is found like any other. A checkpoint never runs ahead of the sinks: what it says
was acknowledged by all of them.
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
"""Positions that wait for their acknowledgement; while so many wait, no new ones are taken."""


class Checkpoint:
    """The file. A failure to read or write it is logged and never stops the collector: only a hole across a restart
    would go unnoticed then."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._saved = b""

    def load(self) -> Positions | None:
        """What the last run left; None when there is nothing, or nothing that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Positions)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s cannot be read, so a hole since the last run cannot be seen: %s", self._path, error)
            return None

    def save(self, positions: Positions) -> None:
        """Replaces the file, so that a crash at any moment leaves the old one or the new one."""
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
            log.warning("%s cannot be written: %s", self._path, error)
            return
        self._saved = text


class Samples:
    """Positions on their way from being taken to being acknowledged by every sink."""

    def __init__(self) -> None:
        self._taken: dict[int, Positions] = {}
        self._number = 0
        self.by_sink: dict[str, Positions] = {}
        """The newest positions that each sink has acknowledged."""

    def take(self, positions: Callable[[], Positions], mark: Callable[[int], None]) -> None:
        """Takes the present positions and marks this place in every sink's queue."""
        if len(self._taken) < SAMPLES_KEPT:
            self._number += 1
            self._taken[self._number] = positions()
            mark(self._number)

    def acknowledged(self, reached: Mapping[str, int]) -> Positions | None:
        """The newest positions that every sink has reached; those before them are forgotten. None: no news."""
        for sink, mark in reached.items():
            if mark in self._taken:
                self.by_sink[sink] = self._taken[mark]
        done = [number for number in self._taken if number <= min(reached.values(), default=0)]
        newest = self._taken.get(done[-1]) if done else None
        for number in done:
            del self._taken[number]
        return newest
