"""All WebSocket connections: what goes out to whom, and when a silent connection is ended.

Frames are written to the transport as whole WebSocket frames that were made once per message, however many clients get
it; what one client gets in one turn of the market goes out in one write.
"""

import asyncio
import contextlib
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from aiohttp import web

from market_simulator import okx
from market_simulator.events import Key
from market_simulator.faults import Faults, Kind, Outgoing
from market_simulator.session import Close, Effect, Market, Session

_TEXT, _PONG = 0x81, 0x8A
_GOODBYE_SECONDS = 2.0


def frame(payload: bytes, head: int = _TEXT) -> bytes:
    """One whole, unmasked WebSocket frame as a server sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload


def text_frame(text: str) -> bytes:
    """A text frame."""
    return frame(text.encode())


@dataclass(slots=True, eq=False)
class Connection:
    """One client. Times are seconds of the loop's clock."""

    session: Session
    socket: web.WebSocketResponse
    transport: asyncio.Transport
    peer: str
    opened: float
    alive: float  # when something was pushed, or the client's ping answered, last
    frames: int = 0
    waiting: list[bytes] = field(default_factory=list)
    is_closing: bool = False

    def queue(self, data: bytes) -> None:
        """Put a whole frame in line; `flush` sends the line."""
        self.waiting.append(data)
        self.frames += 1

    def flush(self) -> None:
        if self.waiting and self.is_open:
            self.transport.write(b"".join(self.waiting))
        self.waiting.clear()

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return not self.is_closing and not self.transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read yet and the system does not hold any more."""
        return self.transport.get_write_buffer_size()


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    connections: int = 0
    refused_handshakes: int = 0
    requests: int = 0
    frames: int = 0
    published: int = 0
    events: int = 0
    closed_silent: int = 0
    closed_slow: int = 0


async def _close(connection: Connection, code: int, reason: str) -> None:
    """Say goodbye; a client that neither reads nor answers is cut off."""
    with contextlib.suppress(OSError):
        try:
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await connection.socket.close(code=code, message=reason.encode())
        except TimeoutError:
            connection.transport.abort()


class Hub:
    """Holds the connections. `silence_limit`: seconds without data or ping (OKX: 30) until close code 4004;
    `unsent_limit`: bytes that a client may leave unread until close code 4005."""

    def __init__(self, faults: Faults, silence_limit: float, unsent_limit: int) -> None:
        self.faults = faults
        self.counters = Counters()
        self.connections: dict[str, Connection] = {}
        self.wanted: dict[Key, dict[str, Connection]] = {}
        self._silence_limit = silence_limit
        self._unsent_limit = unsent_limit
        self._closing: set[asyncio.Task[None]] = set()

    # -- coming and going -----------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """The next connection's id: eight hexadecimal digits, like OKX's."""
        self.counters.connections += 1
        return f"{(self.counters.connections * 0x9E3779B1) & 0xFFFFFFFF:08x}"

    def join(self, connection: Connection) -> None:
        self.connections[connection.session.id] = connection

    def leave(self, connection: Connection) -> None:
        self.connections.pop(connection.session.id, None)
        for key in connection.session.subscriptions:
            self._unwant(key, connection)

    def close(self, connection: Connection, code: int, reason: str) -> None:
        """End a connection with a close frame; frames that wait go out before it."""
        if connection.is_closing:
            return
        connection.flush()
        connection.is_closing = True
        task = asyncio.ensure_future(_close(connection, code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close_all(self, code: int, reason: str) -> None:
        """End all connections, and wait until they have ended."""
        for connection in list(self.connections.values()):
            self.close(connection, code, reason)
        await asyncio.gather(*self._closing)

    def on_path(self, path: okx.Path | None) -> list[Connection]:
        """The open connections of a path, or all."""
        return [c for c in self.connections.values() if c.is_open and (path is None or c.session.path is path)]

    # -- out ------------------------------------------------------------------------------------------------------

    def publish(self, pushes: Iterable[tuple[Key, str]], now: float) -> None:
        """Put pushes in line for all who want them."""
        for key, text in pushes:
            for data in self._frames(Outgoing(Kind.PUSH, key, text), now):
                self.counters.published += 1
                for connection in self.wanted.get(key, {}).values():
                    self._queue(connection, data, now)

    def flush(self) -> None:
        """Send every line; end those whose clients read too slowly."""
        for connection in list(self.connections.values()):
            if connection.waiting:
                connection.flush()
                if connection.unsent_bytes > self._unsent_limit:
                    self._too_slow(connection)

    def _too_slow(self, connection: Connection) -> None:
        if not connection.is_closing:
            self.counters.closed_slow += 1
            self.close(connection, okx.READS_TOO_SLOWLY, "Your connection buffer is full")

    def send(self, connection: Connection, outgoing: Outgoing, now: float) -> None:
        """Send something to one client at once."""
        for data in self._frames(outgoing, now):
            self._queue(connection, data, now)
        connection.flush()

    def send_raw(self, path: okx.Path | None, text: str, now: float) -> int:
        """Send exactly this text to all connections (of a path); returns how many there are."""
        chosen = self.on_path(path)
        for connection in chosen:
            self._queue(connection, text_frame(text), now)
            connection.flush()
        return len(chosen)

    def _frames(self, outgoing: Outgoing, now: float) -> list[bytes]:
        """The one place where texts become frames, and where faults have their say."""
        return [text_frame(passing.text) for passing in self.faults.outgoing(now, outgoing)]

    def _queue(self, connection: Connection, data: bytes, now: float) -> None:
        connection.alive = now
        connection.queue(data)
        self.counters.frames += 1

    # -- in -------------------------------------------------------------------------------------------------------

    def received(self, connection: Connection, text: str, now: float, market: Market) -> None:
        """Answer a text frame of a client."""
        self.counters.requests += 1
        effects = connection.session.received(text, now, market)
        self._follow_subscriptions(connection)
        for effect in effects:
            self._carry_out(connection, effect, now)

    def pinged(self, connection: Connection, payload: bytes, now: float) -> None:
        """Answer a WebSocket control ping. It is no sign of life in OKX's sense (okx.md section 3)."""
        if not self.faults.is_mute(now):
            connection.queue(frame(payload, _PONG))
            connection.flush()

    def _carry_out(self, connection: Connection, effect: Effect, now: float) -> None:
        match effect:
            case Outgoing():
                self.send(connection, effect, now)
            case Close(code=code, reason=reason):
                self.close(connection, code, reason)

    def _follow_subscriptions(self, connection: Connection) -> None:
        has = connection.session.subscriptions
        for key in [key for key, who in self.wanted.items() if connection.session.id in who and key not in has]:
            self._unwant(key, connection)
        for key in has:
            self.wanted.setdefault(key, {})[connection.session.id] = connection

    def _unwant(self, key: Key, connection: Connection) -> None:
        who = self.wanted.get(key, {})
        who.pop(connection.session.id, None)
        if not who:
            self.wanted.pop(key, None)

    # -- silence --------------------------------------------------------------------------------------------------

    def end_silent(self, now: float) -> None:
        """Close with 4004 what has not subscribed in time, or has had neither data nor pong for too long."""
        if self.faults.is_mute(now):
            for connection in self.connections.values():
                connection.alive = now  # a fault's silence is not the exchange's: it must not end the connection
        for connection in self._silent(now):
            self.counters.closed_silent += 1
            self.close(connection, okx.NO_DATA, "No data received in 30s.")

    def _silent(self, now: float) -> Iterator[Connection]:
        for connection in list(self.connections.values()):
            since = connection.alive if connection.session.has_subscribed else connection.opened
            if now - since >= self._silence_limit and connection.is_open:
                yield connection
