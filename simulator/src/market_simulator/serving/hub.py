"""All WebSocket connections: it routes messages to subscribers and closes silent connections.

A message is encoded once as a complete WebSocket frame, for any number of clients. All frames for one client in one
turn of the market go out in one write.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from market_simulator.engine.dialect import Close, Effect, Exceeded, Market
from market_simulator.engine.events import Key
from market_simulator.engine.faults import Faults
from market_simulator.engine.faults.connections import SlowWrite
from market_simulator.engine.faults.messages import Kind, Outgoing, Wire
from market_simulator.serving.connection import Connection, written

_CLOSE_TIMEOUT_S = 2.0


@dataclass(slots=True)
class Counters:
    """Counts since the start.

    `calls`: REST calls by path and HTTP status, or "timeout". `exceeded`: how often clients have exceeded each limit
    of connections and their requests. A REST call above its limit has a status of its own.
    """

    connections: int = 0
    refused_handshakes: int = 0
    requests: int = 0
    frames: int = 0
    published: int = 0
    events: int = 0
    closed_silent: int = 0
    closed_slow: int = 0
    calls: dict[str, dict[str, int]] = field(default_factory=dict)
    exceeded: dict[str, int] = field(default_factory=dict)

    def called(self, path: str, status: str) -> None:
        """Count a REST call."""
        by_status = self.calls.setdefault(path, {})
        by_status[status] = by_status.get(status, 0) + 1

    def exceed(self, limit: str) -> None:
        """Count that a client has exceeded a limit."""
        self.exceeded[limit] = self.exceeded.get(limit, 0) + 1


async def _close(connection: Connection, code: int, reason: str) -> None:
    """Send a close frame, and cut off a client that neither reads nor answers."""
    with contextlib.suppress(OSError):
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await connection.websocket.close(code=code, message=reason.encode())
        except TimeoutError:
            connection.transport.abort()


class Hub:
    """The connections and their subscriptions.

    `unsent_limit`: unread bytes of a client until its connection ends as `too_slow` says.
    """

    def __init__(self, faults: Faults, too_slow: Close, unsent_limit: int) -> None:
        self.faults = faults
        self.counters = Counters()
        self.connections: dict[str, Connection] = {}
        self.wanted: dict[Key, dict[str, Connection]] = {}
        self._end_of_slow = too_slow
        self._unsent_limit = unsent_limit
        self._closing: set[asyncio.Task[None]] = set()

    # -- opening and closing --------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """An id for the next connection: eight hexadecimal digits, like OKX's."""
        self.counters.connections += 1
        return f"{(self.counters.connections * 0x9E3779B1) & 0xFFFFFFFF:08x}"

    def join(self, connection: Connection) -> None:
        self.connections[connection.session.id] = connection

    def leave(self, connection: Connection) -> None:
        self.connections.pop(connection.session.id, None)
        connection.forget_timer()
        for key in connection.session.subscriptions:
            self._unwant(key, connection)

    def close(self, connection: Connection, code: int, reason: str) -> None:
        """Close a connection with a close frame after the queued frames."""
        if connection.is_closing:
            return
        if connection.is_dead:
            connection.transport.abort()
            return
        connection.flush(asyncio.get_running_loop().time())
        connection.is_closing = True
        task = asyncio.ensure_future(_close(connection, code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close_all(self, code: int, reason: str) -> None:
        """Close all connections, and wait until they have ended."""
        for connection in list(self.connections.values()):
            self.close(connection, code, reason)
        await asyncio.gather(*self._closing)

    def open_ones(self, path: str | None = None, name: str | None = None) -> list[Connection]:
        """The open connections, all or those with a path or an id."""
        is_open = [c for c in self.connections.values() if c.is_open]
        return [c for c in is_open if path in (None, c.session.path) and name in (None, c.session.id)]

    # -- out ------------------------------------------------------------------------------------------------------

    def publish(self, pushes: Iterable[tuple[Key, str]], now: float) -> None:
        """Queue pushes for their subscribers."""
        for key, text in pushes:
            self._publish(self.faults.outgoing(now, Outgoing(Kind.PUSH, key, text)), now)

    def release(self, held: Iterable[Outgoing], now: float) -> None:
        """Publish the messages that an ended fault held back."""
        self._publish(held, now)
        self.flush(now)

    def _publish(self, messages: Iterable[Outgoing], now: float) -> None:
        for message in messages:
            data = written(message)
            self.counters.published += 1
            for connection in list(self.wanted.get(message.key, {}).values()) if message.key else ():
                if not self.faults.keeps_from(connection.session.id, now, message):
                    self._queue(connection, message, data, now)

    def flush(self, now: float) -> None:
        """Write all queues, and close the connections of clients that read too slowly."""
        for connection in list(self.connections.values()):
            if connection.line:
                self._flush(connection, now)
                if connection.unsent_bytes > self._unsent_limit:
                    self._too_slow(connection)

    def _flush(self, connection: Connection, now: float) -> None:
        slow = self.faults.next(SlowWrite, now, lambda fault: fault.path in (None, connection.session.path))
        connection.pace = slow.bytes_per_second if slow else None
        connection.flush(now)

    def _too_slow(self, connection: Connection) -> None:
        if not connection.is_closing:
            self.counters.closed_slow += 1
            self.close(connection, self._end_of_slow.code, self._end_of_slow.reason)

    def send(self, connection: Connection, outgoing: Outgoing, now: float) -> None:
        """Send a message to one client at once."""
        for message in self.faults.outgoing(now, outgoing):
            self._queue(connection, message, written(message), now)
        self._flush(connection, now)

    def send_raw(self, connection: Connection, text: str, now: float) -> None:
        """Send exactly this string to one client, without applying faults."""
        raw = Outgoing(Kind.REPLY, None, text)
        self._queue(connection, raw, written(raw), now)
        self._flush(connection, now)

    def _queue(self, connection: Connection, message: Outgoing, data: bytes, now: float) -> None:
        connection.alive = now
        connection.queue(message, data, now)
        self.counters.frames += 1

    # -- in -------------------------------------------------------------------------------------------------------

    def received(self, connection: Connection, text: str, now: float, market: Market) -> None:
        """Answer a client's text frame."""
        self.counters.requests += 1
        self.follow(connection, connection.session.received(text, now, market), now)

    def follow(self, connection: Connection, effects: Iterable[Effect], now: float) -> None:
        """Carry out what a session has decided."""
        self._follow_subscriptions(connection)
        for effect in effects:
            self._carry_out(connection, effect, now)

    def ponged(self, connection: Connection, now: float) -> None:
        self.follow(connection, connection.session.control(True, now), now)

    def pinged(self, connection: Connection, payload: bytes, now: float) -> None:
        """Answer a WebSocket control ping. It is no sign of life for `Session.tick`."""
        self.follow(connection, connection.session.control(False, now), now)
        alive = connection.alive
        self.send(connection, Outgoing(Kind.REPLY, None, payload.decode("latin-1"), Wire.PONG), now)
        connection.alive = alive

    def _carry_out(self, connection: Connection, effect: Effect, now: float) -> None:
        match effect:
            case Outgoing():
                self.send(connection, effect, now)
            case Close(code=code, reason=reason):
                self.close(connection, code, reason)
            case Exceeded(limit=limit):
                self.counters.exceed(limit)

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

    # -- time -----------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Ping connections, and close those that were silent for too long."""
        if self.faults.is_silencing_all(now):
            for connection in self.connections.values():
                connection.alive = now  # silence caused by a fault must not close the connection
        for connection in self.open_ones():
            if not connection.is_dead:
                effects = connection.session.tick(connection.opened, connection.alive, now)
                self.counters.closed_silent += sum(isinstance(each, Close) and each.is_silence for each in effects)
                self.follow(connection, effects, now)
