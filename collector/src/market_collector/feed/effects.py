"""What a feed wants done. The shell (net/) does it; nothing here does anything."""

from collections.abc import Sequence
from enum import Enum

import msgspec

from market_collector.exchanges.interface import Request
from market_collector.model.events import Record
from market_collector.model.streams import Stream


class Send(msgspec.Struct, frozen=True):
    """Send this text frame."""

    text: str


class Emit(msgspec.Struct, frozen=True):
    """Hand these records to all sinks (or to one), in this order."""

    records: Sequence[Record]
    sink: str | None = None


class Question(Enum):
    """What REST is asked about a stream."""

    NEWEST = "newest"
    """Its newest event: is the market quiet, or the stream dead?"""
    STATE = "state"
    """Whether the instrument trades continuously now: may its book be crossed?"""


class Login(msgspec.Struct, frozen=True):
    """Log in. The shell makes the frame and sends it: what is secret never gets into the core, nor into a record."""


class RejectKey(msgspec.Struct, frozen=True):
    """The exchange refuses the API key for good: do not come again with the same one soon."""


class CheckClock(msgspec.Struct, frozen=True):
    """The exchange says that our time is wrong: ask for its own before the next login."""


class Fetch(msgspec.Struct, frozen=True):
    """Ask REST and hand the answer to `Feed.answered`."""

    stream: Stream
    question: Question
    request: Request


class Reconnect(msgspec.Struct, frozen=True):
    """End this connection and open another one."""

    reason: str


class Replace(msgspec.Struct, frozen=True):
    """Open another connection, and end this one when that one serves all streams (make before break)."""

    reason: str


class Warn(msgspec.Struct, frozen=True):
    """Tell people, in the log."""

    message: str


Effect = Send | Emit | Login | RejectKey | CheckClock | Fetch | Reconnect | Replace | Warn
