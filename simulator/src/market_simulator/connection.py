"""One client's WebSocket connection on the server's side: frames, and how they get onto the socket."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from aiohttp import web

from market_simulator.faults.messages import Outgoing, Wire
from market_simulator.line import Line
from market_simulator.session import Session

_TEXT, _PONG, _UNKNOWN = 0x81, 0x8A, 0x83  # FIN with opcode 1, 10, and 3, which is reserved


def frame(payload: bytes, head: int = _TEXT) -> bytes:
    """One whole, unmasked WebSocket frame as a server sends it (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload


def written(message: Outgoing) -> bytes:
    """The bytes of a message."""
    payload = message.text.encode()
    match message.wire:
        case Wire.TEXT:
            return frame(payload)
        case Wire.PONG:
            return frame(message.text.encode("latin-1"), _PONG)
        case Wire.NOT_UTF8:
            return frame(payload[:-1] + b"\xff")
        case Wire.BROKEN:
            return frame(payload, _UNKNOWN)
        case Wire.HALF:
            whole = frame(payload)
            return whole[: len(whole) // 2]


@dataclass(slots=True, eq=False)
class Connection:
    """One client. Times are seconds of the loop's clock. `is_dead`: nothing is read or written any more, and the client
    is not told."""

    session: Session
    websocket: web.WebSocketResponse
    transport: asyncio.Transport
    peer: str
    opened: float
    alive: float  # when something was pushed, or the client's ping answered, last
    frames: int = 0
    line: Line = field(default_factory=Line)
    pace: float | None = None  # bytes a second
    is_closing: bool = False
    is_dead: bool = False
    _timer: asyncio.TimerHandle | None = None

    def queue(self, message: Outgoing, data: bytes, now: float) -> None:
        """Put a frame in line; `flush` writes what is due."""
        if self.is_closing or self.is_dead:
            return
        self.line.put(data, message.key, now, message.late)
        self.frames += 1
        if message.wire is Wire.HALF:
            self._end_here(now)

    def flush(self, now: float) -> None:
        """Write what is due, and come back when more is."""
        data = self.line.take(now, self.pace)
        if not self.is_open or self.is_dead:
            return
        if data:
            self.transport.write(data)
        if (due := self.line.due(now)) is not None:
            self._flush_at(due)

    def _flush_at(self, due: float) -> None:
        if self._timer is None or due < self._timer.when():
            self.forget_timer()
            self._timer = asyncio.get_running_loop().call_at(due, self._flush_late)

    def _flush_late(self) -> None:
        self._timer = None
        self.flush(asyncio.get_running_loop().time())

    def forget_timer(self) -> None:
        """Nobody waits for what is in line any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_here(self, now: float) -> None:
        """End the TCP connection after what is in line, without a close frame."""
        self.flush(now)
        self.is_closing = True
        self.transport.close()

    def reset(self) -> None:
        """End the TCP connection at once with a reset (RST)."""
        tcp = self.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return not self.is_closing and not self.transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """What the client has not read yet and the system does not hold any more."""
        return self.transport.get_write_buffer_size() + len(self.line)
