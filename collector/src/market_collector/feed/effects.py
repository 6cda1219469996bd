"""Effects that a feed returns; `net.session` carries them out."""

from collections.abc import Sequence
from enum import Enum

import msgspec

from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import Request
from market_collector.model.events import Record
from market_collector.model.streams import Stream


class Send(msgspec.Struct, frozen=True):
    """Send this text frame."""

    text: str


class Emit(msgspec.Struct, frozen=True):
    """Emit these records in this order to all sinks, or to one."""

    records: Sequence[Record]
    sink: str | None = None


class Question(Enum):
    """Question that a REST request answers about a stream."""

    NEWEST = "newest"
    """Its newest event: tells a quiet market from a stale stream."""
    STATE = "state"
    """Whether the instrument trades continuously: in an auction its book may be crossed."""
    SNAPSHOT = "snapshot"
    """Its whole book, where the connection brings only updates."""
    OVERVIEW = "newest activity of all instruments"
    """The newest activity of all instruments, for many streams without data."""
    RECENT = "recent trades"
    """Its newest trades, where ids do not show what an interruption has missed."""
    ACCOUNT = "account"
    """All balances, where the connection brings only changes."""
    SETTLED = "settled rates"
    """Its settled funding rates, where the connection brings only predicted ones."""
    HALTS = "instruments that do not trade"
    """Which instruments do not trade now."""


class SendSigned(msgspec.Struct, frozen=True):
    """Sign this text frame and send it. The session does both, so no secret reaches the feed or a record."""

    text: str


class RejectKey(msgspec.Struct, frozen=True):
    """The exchange refused the API key: do not use the same key again soon."""


class CheckClock(msgspec.Struct, frozen=True):
    """The exchange refused the login's time: read its clock before the next login."""


class Fetch(msgspec.Struct, frozen=True):
    """Send a REST request and pass the answer to `Feed.answered`."""

    stream: Stream | None
    """None if the answer is about all streams of the connection."""
    question: Question
    request: Request


Answer = bytes | RequestFailedError
"""What a `Fetch` got: the body of the answer, or why there is none."""


class Reconnect(msgspec.Struct, frozen=True):
    """End this connection and open another one."""

    reason: str


class Replace(msgspec.Struct, frozen=True):
    """Open another connection, and end this one once that one serves all streams (make before break)."""

    reason: str
    is_planned: bool = False
    """Whether the connection's age is the reason, which needs no warning."""


class Warn(msgspec.Struct, frozen=True):
    """Log a warning."""

    message: str
    error: Exception | None = None
    """An internal error, whose traceback is logged too."""


Effect = Send | SendSigned | Emit | RejectKey | CheckClock | Fetch | Reconnect | Replace | Warn
