"""What a feed wants done. The shell (net/) does it; nothing here does anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from market_collector.exchanges.interface import Request
from market_collector.model.events import Record
from market_collector.model.streams import Stream


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand these records to all sinks (or to one), in this order."""

    records: Sequence[Record]
    sink: str | None = None


class Question(Enum):
    """What REST is asked about a stream."""

    NEWEST = "newest"
    """Its newest event: is the market quiet, or the stream dead?"""
    STATE = "state"
    """Whether the instrument trades continuously now: may its book be crossed?"""


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask REST and hand the answer to `Feed.answered`."""

    stream: Stream
    question: Question
    request: Request


@dataclass(frozen=True, slots=True)
class Reconnect:
    """End this connection and open another one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Open another connection, and end this one when that one serves all streams (make before break)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Tell people, in the log."""

    message: str


Effect = Send | Emit | Fetch | Reconnect | Replace | Warn
