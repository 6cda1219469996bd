"""Faults of connections and subscriptions: before a handshake, during one, and on an open socket."""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from market_simulator.engine.faults.turns import Stream, Turns


@dataclass(slots=True)
class Refuse:
    """Answer handshakes with an HTTP status."""

    path: str | None
    turns: Turns
    status: int


@dataclass(slots=True)
class Ban:
    """Answer handshakes and REST calls with an HTTP status, as an exchange does with a banned address.

    `region`: the exchange excludes the country of the address, so the answer has no end.
    """

    turns: Turns
    status: int
    region: bool = False


class Stage(Enum):
    """The point of a connection after which the server stops responding."""

    TCP = "tcp"  # accepted; TLS is not answered
    HANDSHAKE = "handshake"  # TLS works; the WebSocket handshake is not answered
    ESTABLISHED = "established"


@dataclass(slots=True)
class HalfOpen:
    """Keep connections open without reading or writing.

    Affects new connections that reach the stage, or (established) the `connections`.
    """

    stage: Stage
    path: str | None
    turns: Turns
    connections: frozenset[str] = frozenset()


@dataclass(slots=True)
class Notice:
    """Close connections at the end that got a notice, unless the fault is withdrawn."""

    connections: frozenset[str]
    turns: Turns
    code: int
    is_withdrawn: bool = False


@dataclass(slots=True)
class SlowWrite:
    """Write to connections at a limited rate."""

    path: str | None
    turns: Turns
    bytes_per_second: float


@dataclass(slots=True)
class SlowRead:
    """Read from connections at a limited rate."""

    path: str | None
    turns: Turns
    bytes_per_second: float


@dataclass(slots=True)
class SubscribeError:
    """Answer a subscribe request with an error. `has_arg`: the answer says which stream it belongs to."""

    stream: Stream
    turns: Turns
    code: str
    message: str
    has_arg: bool


@dataclass(slots=True)
class LoginError:
    """Answer a login with an error, and close the connection."""

    turns: Turns
    code: str
    message: str


@dataclass(slots=True)
class StuckSubscribe:
    """Answer a subscribe request neither with an acknowledgement nor with data."""

    stream: Stream
    turns: Turns


SubscribeFault: TypeAlias = SubscribeError | StuckSubscribe
ConnectionFault: TypeAlias = Ban | Refuse | HalfOpen | Notice | SlowWrite | SlowRead | SubscribeFault | LoginError
