"""Where each trade stream stands, kept across restarts in ``--state-dir``.

In a pod the directory is an emptyDir: it lives as long as the pod, so a container that crashed and came back knows
which trade was the last one, and the hole in between is found like any other. A checkpoint never runs ahead of the
sinks: what it says was acknowledged by all of them.
"""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from market_collector.book.continuity import TradeLine
from market_collector.feed.ledger import Ledger
from market_collector.model.streams import DataType

log = logging.getLogger(__name__)

FILE = "checkpoint.json"


class Position(msgspec.Struct, frozen=True):
    """The last trade of a stream."""

    trade_id: int
    time_ns: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Positions at one moment, which count once the sinks have acknowledged ``records`` records."""

    positions: Mapping[str, Position]
    records: int


def positions(ledger: Ledger) -> dict[str, Position]:
    """The present position of every trade stream that has had a trade."""
    return {
        str(stream): Position(page.line.last_id, page.line.last_time_ns)
        for stream, page in ledger.streams.items()
        if stream.data_type is DataType.TRADE and page.line.last_id is not None
    }


def resume(ledger: Ledger, saved: Mapping[str, Position]) -> None:
    """Lets every stream go on from its saved position."""
    for stream, page in ledger.streams.items():
        if position := saved.get(str(stream)):
            page.line = TradeLine(position.trade_id, position.time_ns)


class Checkpoint:
    """The file. A failure to read or write it is logged and never stops the collector: only a hole across a restart
    would go unnoticed then."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._sample: Sample | None = None
        self._saved: Mapping[str, Position] = {}

    def load(self) -> dict[str, Position]:
        """What the last run left; nothing when there is none, or none that can be read."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Position])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("%s cannot be read, so a hole since the last run cannot be seen: %s", self._path, error)
            return {}

    def advance(self, ledger: Ledger, emitted: int, acknowledged: int) -> None:
        """Saves the pending sample if all sinks have acknowledged it, and takes the next; to be called regularly.

        Args:
            ledger: where the streams stand now.
            emitted: records handed to the sinks so far.
            acknowledged: records that every sink is done with so far.
        """
        if self._sample is not None and acknowledged >= self._sample.records:
            self._save(self._sample.positions)
            self._sample = None
        if self._sample is None:
            self._sample = Sample(positions(ledger), emitted)

    def _save(self, new: Mapping[str, Position]) -> None:
        if new == self._saved:
            return
        part = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(msgspec.json.encode(new))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error)
            return
        self._saved = new
