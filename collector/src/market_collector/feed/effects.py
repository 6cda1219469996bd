"""What a feed wants done. The shell (net/) does it; nothing here does anything."""

from collections.abc import Sequence
from dataclasses import dataclass

from market_collector.exchanges.interface import Request
from market_collector.model.events import Record
from market_collector.model.streams import Stream


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class Emit:
    """Hand these records to all sinks, in this order."""

    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Fetch:
    """Ask REST and hand the answer to `Feed.answered`."""

    stream: Stream
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
