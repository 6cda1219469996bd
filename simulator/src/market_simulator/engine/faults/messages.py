"""Faults of outgoing messages. Each fault replaces one message by none, one or more messages.

Times are seconds of a monotonic clock, passed as arguments.
"""

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random
from typing import Final, TypeAlias

from market_simulator.engine.events import Key
from market_simulator.engine.faults.turns import Stream, Turns
from market_simulator.engine.faults.words import Words


class Kind(Enum):
    """Kinds of messages that faults distinguish."""

    PUSH = "push"  # published to all subscribers
    PRESENT = "present"  # the first push to a new subscriber
    REPLY = "reply"  # acknowledgement, error, pong


class Wire(Enum):
    """Encodings of a message as a frame."""

    TEXT = "text"  # a complete text frame
    PING = "ping"  # a complete control frame
    PONG = "pong"  # a complete control frame
    NOT_UTF8 = "not UTF-8"  # a complete text frame with invalid UTF-8 (RFC 6455 section 8.1)
    BROKEN = "broken"  # a frame with a reserved opcode (RFC 6455 section 5.2)
    HALF = "half"  # half of a frame's bytes, then the connection ends


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to one or more clients; `key` is None for replies that belong to no stream.

    `late`: delay in seconds. `is_spoilt`: a fault has made the message unreadable.
    """

    kind: Kind
    key: Key | None
    text: str
    wire: Wire = Wire.TEXT
    late: float = 0.0
    is_spoilt: bool = False


Sent: TypeAlias = tuple[Outgoing, ...]


@dataclass(slots=True)
class Lose:
    """Discard messages for all clients or for one connection. First pushes to new subscribers are not affected."""

    stream: Stream
    turns: Turns
    connection: str | None = None

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        is_lost = self.connection is None and _is_meant(self.stream, message) and self.turns.comes(now)
        return () if is_lost else (message,)

    def keeps_from(self, connection: str, now: float, message: Outgoing) -> bool:
        """Whether the fault discards the message for this connection only."""
        return self.connection == connection and _is_meant(self.stream, message) and self.turns.comes(now)


@dataclass(slots=True)
class Duplicate:
    """Send messages twice."""

    stream: Stream
    turns: Turns

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        return (message, message) if _is_meant(self.stream, message) and self.turns.comes(now) else (message,)


@dataclass(slots=True)
class Reorder:
    """Hold messages back until their count is reached, then send them in reverse order."""

    stream: Stream
    turns: Turns
    held: list[Outgoing] = field(default_factory=list)

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if not _is_meant(self.stream, message):
            return (message,)
        if self.turns.comes(now):
            self.held.append(message)
            return () if not self.turns.is_over(now) else self._released()
        return (*self._released(), message) if self.turns.is_over(now) else (message,)

    def _released(self) -> Sent:
        released = tuple(reversed(self.held))
        self.held.clear()
        return released


class Damage(Enum):
    """Kinds of damage to a message."""

    JSON = "json"  # invalid JSON: a structural character is replaced
    VALUE = "value"  # valid JSON with an invalid number (a price, a time)
    UTF8 = "utf8"  # invalid UTF-8
    FRAME = "frame"  # a frame with a reserved opcode


@dataclass(slots=True)
class Corrupt:
    """Damage messages. `turns.seed` selects the character to replace."""

    stream: Stream
    turns: Turns
    damage: Damage
    words: Words
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._random = Random(self.turns.seed)

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if not _is_meant(self.stream, message) or not self.turns.comes(now):
            return (message,)
        match self.damage:
            case Damage.JSON:
                return (replace(message, text=_without_structure(message.text, self._random), is_spoilt=True),)
            case Damage.VALUE:
                return (replace(message, text=self.words.value.sub(r"\1x", message.text, count=1), is_spoilt=True),)
            case Damage.UTF8:
                return (replace(message, wire=Wire.NOT_UTF8, is_spoilt=True),)
            case Damage.FRAME:
                return (replace(message, wire=Wire.BROKEN, is_spoilt=True),)


_STRUCTURE: Final = re.compile(r'[{}\[\]:,"]')


def _without_structure(text: str, random: Random) -> str:
    place = random.choice([found.start() for found in _STRUCTURE.finditer(text)])
    return f"{text[:place]}~{text[place + 1 :]}"


class Cut(Enum):
    """Places where a truncated message ends."""

    TEXT = "text"  # a complete frame with half of the message
    FRAME = "frame"  # half of the frame's bytes, then the connection ends


@dataclass(slots=True)
class Truncate:
    """Truncate messages in the middle."""

    stream: Stream
    turns: Turns
    cut: Cut

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if not _is_meant(self.stream, message) or not self.turns.comes(now):
            return (message,)
        if self.cut is Cut.FRAME:
            return (replace(message, wire=Wire.HALF, is_spoilt=True),)
        return (replace(message, text=message.text[: len(message.text) // 2], is_spoilt=True),)


@dataclass(slots=True)
class WrongChecksum:
    """Send a wrong checksum with book messages. Messages without one (checksum 0) are not affected."""

    stream: Stream
    turns: Turns
    words: Words

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        found = self.words.checksum.search(message.text)
        if found is None or not _is_meant(self.stream, message) or not self.turns.comes(now):
            return (message,)
        wrong = int(found[2]) ^ 1
        text = self.words.checksum.sub(rf"\g<1>{wrong or 2}", message.text, count=1)
        return (replace(message, text=text),)


@dataclass(slots=True)
class Silence:
    """Send nothing on the selected streams or, if all are selected, nothing at all, not even pongs."""

    stream: Stream
    turns: Turns

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        return () if _is_meant_whole(self.stream, message) and self.turns.comes(now) else (message,)


@dataclass(slots=True)
class Delist(Silence):
    """Delist the instrument of the selected streams: no pushes, refused subscriptions, and REST does not know it."""

    @property
    def symbol(self) -> str:
        """The instrument."""
        return self.stream.symbol or ""


@dataclass(slots=True)
class Latency:
    """Delay frames by `seconds`. Frames of one stream stay in order."""

    stream: Stream
    turns: Turns
    seconds: float

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if not _is_meant_whole(self.stream, message) or not self.turns.comes(now):
            return (message,)
        return (replace(message, late=message.late + self.seconds),)


@dataclass(slots=True)
class Skew:
    """Shift the exchange's clock by `seconds` in pushes and REST answers, but not in candles."""

    turns: Turns
    seconds: float
    words: Words

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if message.kind is Kind.REPLY or not self.turns.comes(now):
            return (message,)
        return (replace(message, text=self.shifted(message.text)),)

    def shifted(self, text: str) -> str:
        """Shift every time of a message, in milliseconds."""
        ms = round(self.seconds * 1000)
        return self.words.time.sub(lambda found: f"{found[1]}{int(found[2]) + ms}", text)


SWALLOWING: Final = (Silence, Delist, Lose, Corrupt, Truncate)
"""Faults after which no client can have read the message."""

MESSAGE_FAULTS: Final = (*SWALLOWING, WrongChecksum, Skew, Latency, Reorder, Duplicate)
"""Faults in the order in which they act, so that a lost message is not duplicated as well."""

MessageFault: TypeAlias = Silence | Lose | Corrupt | Truncate | WrongChecksum | Skew | Latency | Reorder | Duplicate


def _is_meant(stream: Stream, message: Outgoing) -> bool:
    """Whether this is a push of the stream."""
    return message.kind is Kind.PUSH and stream.has(message.key)


def _is_meant_whole(stream: Stream, message: Outgoing) -> bool:
    """Whether this is a push or first push of the stream or, if all streams are selected, any message."""
    return stream.is_everything or (message.kind is not Kind.REPLY and stream.has(message.key))
