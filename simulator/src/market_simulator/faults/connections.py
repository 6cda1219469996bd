"""What goes wrong with connections and subscriptions: before a handshake, during one, and on an open socket."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from market_simulator.faults.turns import Stream, Turns
from market_simulator.okx import Path


@dataclass(slots=True)
class Refuse:
    """Handshakes are answered with an HTTP status."""

    path: Path | None
    turns: Turns
    status: int


class Stage(Enum):
    """How far a connection comes before nothing is heard any more."""

    TCP = "tcp"  # accepted; TLS is not answered
    HANDSHAKE = "handshake"  # TLS works; the WebSocket handshake is not answered
    ESTABLISHED = "established"


@dataclass(slots=True)
class HalfOpen:
    """Connections stay open, and nothing is read or written on them any more: new ones that reach the stage, or
    (established) these `connections`."""

    stage: Stage
    path: Path | None
    turns: Turns
    connections: frozenset[str] = frozenset()


@dataclass(slots=True)
class Notice:
    """These connections were told (64008) that they will be closed, and are closed at the end, unless it is withdrawn."""

    connections: frozenset[str]
    turns: Turns
    code: int
    is_withdrawn: bool = False


@dataclass(slots=True)
class SlowWrite:
    """Connections are written to at so many bytes a second."""

    path: Path | None
    turns: Turns
    bytes_per_second: float


@dataclass(slots=True)
class SlowRead:
    """What clients send is read at so many bytes a second."""

    path: Path | None
    turns: Turns
    bytes_per_second: float


@dataclass(slots=True)
class SubscribeError:
    """Subscribing is answered with an error event. `has_arg`: the event says to which argument it belongs (OKX's may
    or may not, docs/exchanges/okx.md section 4)."""

    stream: Stream
    turns: Turns
    code: str
    message: str
    has_arg: bool


@dataclass(slots=True)
class LoginError:
    """Logging in is answered with an error event, and the connection is closed with 4001."""

    turns: Turns
    code: str
    message: str


@dataclass(slots=True)
class StuckSubscribe:
    """Subscribing is never answered, and no data come."""

    stream: Stream
    turns: Turns


SubscribeFault: TypeAlias = SubscribeError | StuckSubscribe
ConnectionFault: TypeAlias = Refuse | HalfOpen | Notice | SlowWrite | SlowRead | SubscribeFault | LoginError
