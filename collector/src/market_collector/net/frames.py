"""Splits a connection's bytes into WebSocket messages: plain ones directly, others by the `websockets` library.

Nearly all messages of an exchange are one frame, unmasked and unfragmented. Splitting one takes 0.4 us here and 2.5 us
in the library. Everything else goes to the library, which implements RFC 6455, frame by frame and in order. That is
the handshake, control frames, fragments, masks, reserved bits, oversized messages and bytes after a close.
"""

from collections.abc import Iterable

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

PLAIN = (0x81, 0x82)
"""First byte of a text or binary frame that is a complete message, without extensions (RFC 6455, 5.2)."""
OPCODES = frozenset(Opcode)
LONGEST_HEAD_BYTES = 10
"""Longest frame head: two bytes, and eight of length."""


MAX_LINE_BYTES = 8 * 2**10
"""Longest line of the handshake's head; the library's own limit, which it checks once a line is complete."""
MAX_HEAD_BYTES = 64 * 2**10


class HeadTooLongError(ValueError):
    """The head of the handshake's answer is longer than any server's."""


class MessageReader:
    """Takes bytes in chunks of any size. Nothing else may feed the connection's protocol."""

    def __init__(self, protocol: ClientProtocol, longest_message_bytes: int) -> None:
        self._protocol = protocol
        self._longest_bytes = longest_message_bytes + LONGEST_HEAD_BYTES
        self.has_fed_protocol = False
        """Whether the last `read` passed bytes to the protocol, which may then have bytes to send."""
        self._is_head_read = False
        self._head_bytes = 0
        self._held: list[bytes] = []
        self._wanted = 0
        """Bytes needed before the held ones can be read."""
        self._fragments: list[bytes] = []
        self.control_frames = 0
        """Ping and pong frames so far."""

    def read(self, data: bytes) -> list[bytes]:
        """Return the messages that are complete, in order.

        Raises:
            HeadTooLongError: a line of the head, or the head, has no end within its limit.
        """
        self.has_fed_protocol = not self._is_head_read
        if self._held:
            self._held.append(data)
            self._wanted -= len(data)
            if self._wanted > 0:
                return []
            data = b"".join(self._held)
            self._held.clear()
        return self._read_frames(data) if self._is_head_read else self._read_head(data)

    def _read_head(self, data: bytes) -> list[bytes]:
        """Read the server's handshake line by line. It ends with an empty line; frames may follow directly."""
        at = 0
        while end := data.find(b"\n", at) + 1:
            self._check_head(end - at)
            self._head_bytes += end - at
            self._protocol.receive_data(data[at:end])
            self._is_head_read = not data[at:end].strip()
            at = end
            if self._is_head_read:
                return self._read_frames(data[at:])
        self._check_head(len(data) - at)
        self._hold(data[at:], len(data) - at + 1)
        return []

    def _check_head(self, line_bytes: int) -> None:
        if line_bytes > MAX_LINE_BYTES:
            raise HeadTooLongError(f"a line of more than {MAX_LINE_BYTES:,} bytes in the head of the answer")
        if self._head_bytes + line_bytes > MAX_HEAD_BYTES:
            raise HeadTooLongError(f"an answer whose head has more than {MAX_HEAD_BYTES:,} bytes")

    def _read_frames(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        at = 0
        while at < len(data) and self._protocol.state is State.OPEN:
            if not self._fragments:
                at = read_plain(data, at, messages)
            size = frame_size(data, at)
            if size is None or size > self._longest_bytes - (self._protocol.current_size or 0):  # of earlier fragments
                break  # the protocol refuses it by its head
            if size > len(data) - at:
                self._hold(data[at:], size)
                return messages
            messages += self._feed_protocol(data[at : at + size])
            at += size
        return messages + self._feed_protocol(data[at:])

    def _hold(self, data: bytes, wanted: int) -> None:
        if data:
            self._held.append(data)
            self._wanted = wanted - len(data)

    def _feed_protocol(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        self.has_fed_protocol = True
        self._protocol.receive_data(data)
        frames = (event for event in self._protocol.events_received() if isinstance(event, Frame))
        return [message for frame in frames for message in self._message(frame)]

    def _message(self, frame: Frame) -> Iterable[bytes]:
        """Join fragments. The protocol has answered control frames."""
        self.control_frames += frame.opcode in (Opcode.PING, Opcode.PONG)
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return ()
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return ()
        whole = b"".join(self._fragments)
        self._fragments.clear()
        return (whole,)


def read_plain(data: bytes, at: int, messages: list[bytes]) -> int:
    """Append the complete plain messages from ``at`` on; returns where the rest starts."""
    end = len(data)
    while at + 1 < end and data[at] in PLAIN:
        start, length = at + 2, data[at + 1]
        if length == 126:
            start, length = at + 4, int.from_bytes(data[at + 2 : at + 4])
        elif length > 126:  # length of 8 bytes, or masked
            break
        if start + length > end:
            break
        at = start + length
        messages.append(data[start:at])
    return at


def frame_size(data: bytes, at: int) -> int | None:
    """Return the length of the frame at ``at``, head included; a number above the bytes present when more are needed.

    None when the first two bytes show that a server must not send it: an unknown opcode, or a mask.
    """
    there = len(data) - at
    if there < 2:
        return 2
    if data[at] & 0x0F not in OPCODES or data[at + 1] & 0x80:
        return None
    length = data[at + 1]
    extended = {126: 2, 127: 8}.get(length, 0)
    if there < 2 + extended:
        return 2 + extended
    return 2 + extended + (int.from_bytes(data[at + 2 : at + 2 + extended]) if extended else length)
