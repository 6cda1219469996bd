"""What goes wrong with messages on their way to clients. Each fault turns one message into those that are sent instead.

Times are seconds of a monotonic clock, given as argument.
"""

import re
from dataclasses import dataclass, field, replace
from enum import Enum
from random import Random
from typing import Final, TypeAlias

from market_simulator.events import Key
from market_simulator.faults.turns import Stream, Turns


class Kind(Enum):
    """What a frame is, as far as faults tell them apart."""

    PUSH = "push"  # published to everybody who has subscribed
    PRESENT = "present"  # the first push to one new subscriber
    REPLY = "reply"  # acknowledgement, error, pong


class Wire(Enum):
    """How a text becomes bytes."""

    TEXT = "text"  # a whole text frame
    PONG = "pong"  # a whole control frame
    NOT_UTF8 = "not UTF-8"  # a whole text frame with bytes in it that no text has (RFC 6455 section 8.1)
    BROKEN = "broken"  # a frame of an opcode that does not exist (RFC 6455 section 5.2)
    HALF = "half"  # half of a frame's bytes, then the connection ends


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A text on its way to one or many clients; `key` is None for replies that belong to no stream.

    `late`: seconds that it is held back. `is_spoilt`: nobody can read it as what it was.
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
    """Messages are published to nobody. First pushes to new subscribers are not touched."""

    stream: Stream
    turns: Turns

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        return () if _is_meant(self.stream, message) and self.turns.comes(now) else (message,)


@dataclass(slots=True)
class Duplicate:
    """Messages come twice."""

    stream: Stream
    turns: Turns

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        return (message, message) if _is_meant(self.stream, message) and self.turns.comes(now) else (message,)


@dataclass(slots=True)
class Reorder:
    """Messages are held back until as many have come as were asked for, and then go out in reverse order."""

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
    """What is wrong with a corrupt message."""

    JSON = "json"  # a character that JSON's structure needs is another one
    VALUE = "value"  # good JSON, but a number (a price, a time) is none
    UTF8 = "utf8"  # bytes that no text has
    FRAME = "frame"  # a frame that WebSocket does not know


@dataclass(slots=True)
class Corrupt:
    """Messages arrive damaged. `turns.seed` chooses the character that is hit."""

    stream: Stream
    turns: Turns
    damage: Damage
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
                return (replace(message, text=_FIRST_VALUE.sub(r"\1x", message.text, count=1), is_spoilt=True),)
            case Damage.UTF8:
                return (replace(message, wire=Wire.NOT_UTF8, is_spoilt=True),)
            case Damage.FRAME:
                return (replace(message, wire=Wire.BROKEN, is_spoilt=True),)


# The first number of a row that matters: a trade's or ticker's price, a level's price, a candle's time; failing all
# of these (a book's push without levels) the time of the push.
_FIRST_VALUE: Final = re.compile(r'("(?:px|last)":"|\[\["|"ts":")\d')
_STRUCTURE: Final = re.compile(r'[{}\[\]:,"]')


def _without_structure(text: str, random: Random) -> str:
    place = random.choice([found.start() for found in _STRUCTURE.finditer(text)])
    return f"{text[:place]}~{text[place + 1 :]}"


class Cut(Enum):
    """Where a truncated message ends."""

    TEXT = "text"  # a whole frame with half of the text
    FRAME = "frame"  # half of the frame's bytes, then the connection ends


@dataclass(slots=True)
class Truncate:
    """Messages end in the middle."""

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
    """Book messages that carry a checksum carry a wrong one; those without (checksum 0) are not touched."""

    stream: Stream
    turns: Turns

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        found = _CHECKSUM.search(message.text)
        if found is None or not _is_meant(self.stream, message) or not self.turns.comes(now):
            return (message,)
        wrong = int(found[1]) ^ 1
        return (replace(message, text=_CHECKSUM.sub(f'"checksum":{wrong or 2},', message.text, count=1)),)


_CHECKSUM: Final = re.compile(r'"checksum":(-?[1-9]\d*),')


@dataclass(slots=True)
class Silence:
    """Nothing is sent until a moment, on some streams or (when everything is meant) at all, pongs included."""

    stream: Stream
    turns: Turns

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        return () if _is_meant_whole(self.stream, message) and self.turns.comes(now) else (message,)


@dataclass(slots=True)
class Latency:
    """Frames come `seconds` later; those of one stream stay in order."""

    stream: Stream
    turns: Turns
    seconds: float

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if not _is_meant_whole(self.stream, message) or not self.turns.comes(now):
            return (message,)
        return (replace(message, late=message.late + self.seconds),)


@dataclass(slots=True)
class Skew:
    """The exchange's clock is wrong by `seconds`: the times of pushes (not those of candles) and of REST's answers."""

    turns: Turns
    seconds: float

    def outgoing(self, now: float, message: Outgoing) -> Sent:
        if message.kind is Kind.REPLY or not self.turns.comes(now):
            return (message,)
        return (replace(message, text=self.shifted(message.text)),)

    def shifted(self, text: str) -> str:
        """The text with every `"ts":"<ms>"` shifted."""
        ms = round(self.seconds * 1000)
        return _TIME.sub(lambda found: f'"ts":"{int(found[1]) + ms}"', text)


_TIME: Final = re.compile(r'"ts":"(\d+)"')

SWALLOWING: Final = (Silence, Lose, Corrupt, Truncate)
"""After these nobody can have read the message."""

MESSAGE_FAULTS: Final = (*SWALLOWING, WrongChecksum, Skew, Latency, Reorder, Duplicate)
"""In the order in which they act: what is lost is not duplicated too."""

MessageFault: TypeAlias = Silence | Lose | Corrupt | Truncate | WrongChecksum | Skew | Latency | Reorder | Duplicate


def _is_meant(stream: Stream, message: Outgoing) -> bool:
    """Whether this is a push of the stream."""
    return message.kind is Kind.PUSH and stream.has(message.key)


def _is_meant_whole(stream: Stream, message: Outgoing) -> bool:
    """Whether this is a push of the stream, a first push included; where everything is meant, replies as well."""
    return stream.is_everything or (message.kind is not Kind.REPLY and stream.has(message.key))
