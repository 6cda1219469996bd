"""One WebSocket connection: the `websockets` library's sans-I/O protocol under an `asyncio.Protocol`.

`data_received` passes messages directly to a callback. A queue and a task switch in between cost the library's own
asyncio client two thirds of its time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import (
    InvalidMessage,
    PayloadTooBig,
    ProtocolError,
    StatusLineTooLong,
    WebSocketException,
)
from websockets.frames import Close
from websockets.protocol import State
from websockets.uri import WebSocketURI

from market_collector.errors import ConnectionFailedError
from market_collector.excerpt import READ_BYTES, first_words
from market_collector.net.addresses import words
from market_collector.net.frames import HeadTooLongError, MessageReader
from market_collector.net.http_answer import (
    BODY_S,
    LONGEST_BYTES,
    SWITCHING_PROTOCOLS,
    read_answer,
)

log = logging.getLogger(__name__)

RESERVED_BITS = "reserved bits must be 0"
"""The library's error for a frame with RSV1, RSV2 or RSV3 (RFC 6455, 5.2)."""

Frames = Callable[[list[bytes]], None]


class Connection(asyncio.Protocol):
    """An open connection; `net.opening` makes it.

    ``on_frames`` is called with messages that arrived together, text or binary, without control frames. ``claim`` is
    called with the connection when its handshake has succeeded; False aborts it.
    """

    def __init__(
        self,
        uri: WebSocketURI,
        on_frames: Frames,
        *,
        close_timeout_s: float,
        max_message_bytes: int,
        claim: Callable[[Connection], bool],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._protocol = ClientProtocol(uri, max_size=max_message_bytes)
        self._on_frames = on_frames
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[str] = loop.create_future()
        self._reader = MessageReader(self._protocol, max_message_bytes)
        self._max_message_bytes = max_message_bytes
        self._control_frames = 0
        self.control_frame_at = -inf
        """When the last ping or pong frame arrived, monotonic seconds."""
        self._claim = claim
        self._answer = b""
        """The beginning of the server's handshake answer."""
        self._reason = ""
        self._close_timeout_s = close_timeout_s
        self._abort_timer: asyncio.TimerHandle | None = None
        self._refusal_timer: asyncio.TimerHandle | None = None

    # -- for the owner

    @property
    def close_code(self) -> int | None:
        """Code of the exchange's close frame; None while open, and without a close frame."""
        return self._protocol.close_rcvd.code if self._protocol.close_rcvd else None

    @property
    def close_reason(self) -> str:
        """Text of the exchange's close frame; empty without one."""
        return self._protocol.close_rcvd.reason if self._protocol.close_rcvd else ""

    async def opened(self) -> None:
        """Wait for the handshake.

        Raises:
            ConnectionFailedError: the server refused it or disconnected.
        """
        await asyncio.shield(self._opened)

    def refusal(self) -> ConnectionFailedError | None:
        """The server's refusal of the handshake, as far as it has arrived; None without one."""
        answer = read_answer(self._answer)
        if answer is None or answer.status == SWITCHING_PROTOCOLS:
            return None
        return ConnectionFailedError(
            f"refused: {answer}",
            status=answer.status,
            retry_after_s=answer.retry_after_s,
            body=answer.plain_body()[:READ_BYTES],
        )

    async def ended(self) -> str:
        """Wait for the end of the connection; returns the reason."""
        return await asyncio.shield(self._ended)

    def send(self, text: str) -> None:
        """Send a text frame; does nothing on a closing connection."""
        if self._protocol.state is not State.OPEN or self._reason:
            return
        self._protocol.send_text(text.encode())
        self._flush()

    def end(self, reason: str) -> None:
        """Start to close the connection; `ended` returns this reason."""
        if self._reason or self._ended.done():
            return
        self._reason = reason
        if self._opened.done() and not self._opened.exception():
            with suppress(WebSocketException):
                self._protocol.send_close(1000)
            self._flush()
        self._abort_later()

    def abort(self) -> None:
        """Abort the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # -- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP (and TLS) is connected: start the WebSocket handshake."""
        self._transport = cast(asyncio.Transport, transport)  # by its methods: those of uvloop have another class
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Pass on the complete messages in the received bytes."""
        if not self._opened.done() and self._is_refusal(data):
            return
        try:
            messages = self._reader.read(data)
        except HeadTooLongError as error:
            self._fail_opening(ConnectionFailedError(f"refused: {error}"))
            self.abort()
            return
        self._receive(messages)
        if self._reader.has_fed_protocol:
            self._note_control_frames()
            self._flush()

    def _note_control_frames(self) -> None:
        if self._reader.control_frames > self._control_frames:
            self._control_frames, self.control_frame_at = self._reader.control_frames, time.monotonic()

    def eof_received(self) -> None:
        """The server has closed its sending side."""
        if self._refusal_timer is not None:
            self._refuse()
            return
        self._protocol.receive_eof()
        self._receive([])
        self._flush()

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed."""
        for timer in (self._abort_timer, self._refusal_timer):
            if timer is not None:
                timer.cancel()
        if self._protocol.state is not State.CLOSED:
            with suppress(WebSocketException):
                self._protocol.receive_eof()
        reason = self._reason or self._close_reason(error)
        self._fail_opening(self.refusal() or ConnectionFailedError(reason))
        if not self._ended.done():
            self._ended.set_result(reason)

    # -- inside

    def _receive(self, messages: list[bytes]) -> None:
        if not self._opened.done():
            self._finish_handshake()
        if messages and not self._reason:
            try:
                self._on_frames(messages)
            except Exception as error:
                # An internal error must end the connection: the frame was handled only in part.
                log.exception("internal error while handling a frame")
                self.end(f"internal error: {error!r}")

    def _is_refusal(self, data: bytes) -> bool:
        """Return whether the server refuses the handshake. Wait for the first words of the refusal's body."""
        self._answer = (self._answer + data)[:LONGEST_BYTES]
        answer = read_answer(self._answer)
        if answer is None or answer.status == SWITCHING_PROTOCOLS:
            return False
        if answer.is_complete:
            self._refuse()
        elif self._refusal_timer is None:
            self._refusal_timer = asyncio.get_running_loop().call_later(BODY_S, self._refuse)
        return True

    def _refuse(self) -> None:
        refusal = self.refusal()
        assert refusal is not None
        self._fail_opening(refusal)

    def _finish_handshake(self) -> None:
        """Check the server's handshake answer."""
        if (error := self._protocol.handshake_exc) is not None:
            self._fail_opening(ConnectionFailedError(f"refused: {self._invalid_answer(error)}"))
        elif self._protocol.state is not State.CONNECTING:
            if self._claim(self):
                self._opened.set_result(None)
            else:
                self._fail_opening(ConnectionFailedError("another address was faster"))

    def _invalid_answer(self, error: Exception) -> str:
        if not isinstance(error, InvalidMessage | StatusLineTooLong):
            return str(error)
        words = first_words(self._answer)
        return f"not an HTTP answer: {words}" if words else "closed without an answer"

    def _fail_opening(self, error: ConnectionFailedError) -> None:
        if not self._opened.done():
            self._reason = self._reason or str(error)
            self._opened.set_exception(error)
            self._opened.exception()  # marks it retrieved: the owner may have been cancelled

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
        if self._protocol.close_expected() and not self._transport.is_closing():
            # The server closes TCP first (RFC 6455, 7.1.1); otherwise the connection is aborted.
            self._abort_later()

    def _abort_later(self) -> None:
        if self._abort_timer is None:
            self._abort_timer = asyncio.get_running_loop().call_later(self._close_timeout_s, self.abort)

    def _close_reason(self, error: Exception | None) -> str:
        """Prefer the exchange's close frame: a socket error after it adds nothing."""
        received: Close | None = self._protocol.close_rcvd
        if received is not None:
            return f"closed by the exchange: {received}"
        if violation := _violation(self._protocol.parser_exc, self._max_message_bytes):
            return violation
        return f"connection lost: {words(error)}" if error else "connection lost without a close frame"


def _violation(error: Exception | None, max_bytes: int) -> str:
    """Describe why the library refused a frame; empty when it did not."""
    match error:
        case PayloadTooBig():
            size = (error.size or 0) + (error.current_size or 0)
            return f"message too large: {size:,} bytes; at most {max_bytes:,} are accepted"
        case ProtocolError() if str(error) == RESERVED_BITS:
            return "frame with a reserved bit, as in a compressed message, though no compression was agreed on"
        case None | EOFError():
            return ""
    return f"invalid WebSocket frame: {error}"
