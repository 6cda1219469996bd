"""The server side of one client's WebSocket connection: it encodes frames and writes them to the socket."""

import asyncio
import socket
import struct
from dataclasses import dataclass, field

from aiohttp import web

from market_simulator.engine.dialect import Session
from market_simulator.engine.faults.messages import Outgoing, Wire
from market_simulator.engine.line import Line

_TEXT, _PING, _PONG, _UNKNOWN = 0x81, 0x89, 0x8A, 0x83  # FIN with opcode 1, 9, 10, and 3, which is reserved


def frame(payload: bytes, head: int = _TEXT) -> bytes:
    """Encode one complete, unmasked WebSocket frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", head, 126, size) + payload
    return struct.pack("!BBQ", head, 127, size) + payload


def written(message: Outgoing) -> bytes:
    """Encode a message as bytes."""
    payload = message.text.encode()
    match message.wire:
        case Wire.TEXT:
            return frame(payload)
        case Wire.PING:
            return frame(payload, _PING)
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
    """One client. Times are seconds of the loop's clock.

    `is_dead`: the server neither reads nor writes any more, and does not notify the client.
    """

    session: Session
    websocket: web.WebSocketResponse
    transport: asyncio.Transport
    peer: str
    opened: float
    alive: float  # time of the last push or the last answer to a ping
    frames: int = 0
    line: Line = field(default_factory=Line)
    pace: float | None = None  # bytes a second
    is_closing: bool = False
    is_dead: bool = False
    _timer: asyncio.TimerHandle | None = None

    def queue(self, message: Outgoing, data: bytes, now: float) -> None:
        """Queue a frame; `flush` writes the frames that are due."""
        if self.is_closing or self.is_dead:
            return
        self.line.put(data, message.key, now, message.late)
        self.frames += 1
        if message.wire is Wire.HALF:
            self._end_here(now)

    def flush(self, now: float) -> None:
        """Write the frames that are due, and schedule the next write."""
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
        """Cancel the next scheduled write."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_here(self, now: float) -> None:
        """Close the TCP connection after the queued frames, without a close frame."""
        self.flush(now)
        self.is_closing = True
        self.transport.close()

    def reset(self) -> None:
        """Close the TCP connection at once with a reset (RST)."""
        tcp = self.transport.get_extra_info("socket")
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return not self.is_closing and not self.transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """Bytes that wait in this process because the client reads too slowly."""
        return self.transport.get_write_buffer_size() + len(self.line)
