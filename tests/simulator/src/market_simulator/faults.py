"""What goes wrong on purpose. Every frame that leaves passes `Faults.outgoing`, every handshake `Faults.refusal`:
these are the two places where a fault of any kind is put in.

Times are seconds of a monotonic clock, given as argument.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from market_simulator.events import Key


class Kind(Enum):
    """What a frame is, as far as faults tell them apart."""

    PUSH = "push"  # published to everybody who has subscribed
    PRESENT = "present"  # the first push to one new subscriber
    REPLY = "reply"  # acknowledgement, error, pong


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A text on its way to one or many clients; `key` is None for replies that belong to no stream."""

    kind: Kind
    key: Key | None
    text: str


def _matches(outgoing: Outgoing, channel: str | None, instrument: str | None) -> bool:
    if channel is None and instrument is None:
        return True
    key = outgoing.key
    return key is not None and channel in (None, key.channel) and instrument in (None, key.instrument)


@dataclass(slots=True)
class Lose:
    """The next `left` messages of a stream are published to nobody. First pushes to new subscribers do not count."""

    channel: str
    instrument: str | None
    left: int

    def outgoing(self, now: float, outgoing: Outgoing) -> tuple[Outgoing, ...]:
        if outgoing.kind is not Kind.PUSH or not _matches(outgoing, self.channel, self.instrument):
            return (outgoing,)
        self.left -= 1
        return ()

    def is_over(self, now: float) -> bool:
        return self.left <= 0


@dataclass(slots=True)
class Silence:
    """Nothing is sent until a moment, on one stream or (with neither channel nor instrument) at all, pongs included."""

    until: float
    channel: str | None
    instrument: str | None

    def outgoing(self, now: float, outgoing: Outgoing) -> tuple[Outgoing, ...]:
        is_stream = outgoing.kind is not Kind.REPLY or (self.channel is None and self.instrument is None)
        return () if is_stream and _matches(outgoing, self.channel, self.instrument) else (outgoing,)

    def is_over(self, now: float) -> bool:
        return now >= self.until


@dataclass(slots=True)
class Refuse:
    """Handshakes are answered with an HTTP status until a moment."""

    until: float
    status: int

    def is_over(self, now: float) -> bool:
        return now >= self.until


Fault: TypeAlias = Lose | Silence | Refuse


@dataclass(slots=True)
class Faults:
    """The faults in force, in the order in which they were asked for."""

    active: list[Fault] = field(default_factory=list)

    def outgoing(self, now: float, outgoing: Outgoing) -> tuple[Outgoing, ...]:
        """What is sent instead of this: nothing, itself, or whatever a fault makes of it."""
        if not self.active:
            return (outgoing,)
        self._forget(lambda fault: fault.is_over(now))
        passing: tuple[Outgoing, ...] = (outgoing,)
        for fault in self.active:
            if not isinstance(fault, Refuse):
                passing = tuple(after for before in passing for after in fault.outgoing(now, before))
        return passing

    def refusal(self, now: float) -> int | None:
        """The HTTP status with which a handshake is refused now, or None."""
        self._forget(lambda fault: fault.is_over(now))
        return next((fault.status for fault in self.active if isinstance(fault, Refuse)), None)

    def is_mute(self, now: float) -> bool:
        """Whether nothing at all may leave."""
        return any(
            isinstance(f, Silence) and not f.channel and not f.instrument and not f.is_over(now) for f in self.active
        )

    def clear(self) -> int:
        """End all faults; returns how many there were."""
        ended = len(self.active)
        self.active.clear()
        return ended

    def _forget(self, is_over: Callable[[Fault], bool]) -> None:
        self.active = [fault for fault in self.active if not is_over(fault)]
