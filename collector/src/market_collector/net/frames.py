"""WebSocket messages out of a connection's bytes: the plain ones directly, all others by the `websockets` library.

Nearly all that an exchange sends is one frame a message, unmasked and unfragmented: to cut those out takes 0.4 us each;
the library, which serves every client and server there can be, 2.5. Whatever else comes (handshake, control frames,
fragments, masks, reserved bits, messages that are too large, bytes after a close) goes to the library's protocol, frame
by frame and in its order, so that the rules of RFC 6455 are in one place, and not here.
"""

from collections.abc import Iterable

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

PLAIN = (0x81, 0x82)
"""First byte of a text or a binary frame that is a whole message, without extensions (RFC 6455, 5.2)."""
OPCODES = frozenset(Opcode)
LONGEST_HEAD_BYTES = 10
"""Of a frame: its first two bytes, and eight of length."""


class MessageReader:
    """Takes bytes in any portions. The protocol must be the connection's own, and be fed by nobody else."""

    def __init__(self, protocol: ClientProtocol, longest_message_bytes: int) -> None:
        self._protocol = protocol
        self._longest_bytes = longest_message_bytes + LONGEST_HEAD_BYTES
        self.has_asked = False
        """Whether the last `read` had something for the protocol, which then may have something to send."""
        self._is_head_read = False
        self._held: list[bytes] = []
        self._wanted = 0
        """Bytes that are missing until what is held can be read."""
        self._fragments: list[bytes] = []

    def read(self, data: bytes) -> list[bytes]:
        """The messages that are complete now, in their order."""
        self.has_asked = not self._is_head_read
        if self._held:
            self._held.append(data)
            self._wanted -= len(data)
            if self._wanted > 0:
                return []
            data = b"".join(self._held)
            self._held.clear()
        return self._read_frames(data) if self._is_head_read else self._read_head(data)

    def _read_head(self, data: bytes) -> list[bytes]:
        """The server's answer, line by line: its head ends with an empty one, and frames may come right behind it."""
        at = 0
        while end := data.find(b"\n", at) + 1:
            self._protocol.receive_data(data[at:end])
            self._is_head_read = not data[at:end].strip()
            at = end
            if self._is_head_read:
                return self._read_frames(data[at:])
        self._hold(data[at:], len(data) - at + 1)
        return []

    def _read_frames(self, data: bytes) -> list[bytes]:
        messages: list[bytes] = []
        at = 0
        while at < len(data) and self._protocol.state is State.OPEN:
            if not self._fragments:
                at = read_plain(data, at, messages)
            size = frame_size(data, at)
            if size is None or size > self._longest_bytes:
                break  # the protocol refuses it by its head
            if size > len(data) - at:
                self._hold(data[at:], size)
                return messages
            messages += self._ask_protocol(data[at : at + size])
            at += size
        return messages + self._ask_protocol(data[at:])

    def _hold(self, data: bytes, wanted: int) -> None:
        if data:
            self._held.append(data)
            self._wanted = wanted - len(data)

    def _ask_protocol(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        self.has_asked = True
        self._protocol.receive_data(data)
        frames = (event for event in self._protocol.events_received() if isinstance(event, Frame))
        return [message for frame in frames for message in self._message(frame)]

    def _message(self, frame: Frame) -> Iterable[bytes]:
        """Puts fragments together; control frames were answered by the protocol."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return ()
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return ()
        whole = b"".join(self._fragments)
        self._fragments.clear()
        return (whole,)


def read_plain(data: bytes, at: int, messages: list[bytes]) -> int:
    """Appends the plain messages from ``at`` on that are there whole; returns where something else begins."""
    end = len(data)
    while at + 1 < end and data[at] in PLAIN:
        start, length = at + 2, data[at + 1]
        if length == 126:
            start, length = at + 4, int.from_bytes(data[at + 2 : at + 4])
        elif length > 126:  # of 8 bytes, or masked
            break
        if start + length > end:
            break
        at = start + length
        messages.append(data[start:at])
    return at


def frame_size(data: bytes, at: int) -> int | None:
    """Length of the frame at ``at`` with its head; if more bytes are needed to tell, more than there are.

    None where the first two bytes alone show that a server must not send it: an unknown opcode, or masked.
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
