"""Drives a feed on its connection: passes it the events and carries out its effects."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress

from market_collector.errors import CredentialsMissingError, FrameError, RequestFailedError
from market_collector.feed.effects import (
    Answer,
    CheckClock,
    Effect,
    Emit,
    Fetch,
    Reconnect,
    RejectKey,
    Replace,
    Send,
    SendSigned,
    Warn,
)
from market_collector.feed.feed import Feed
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.reasons import DisconnectReason
from market_collector.net.connection import Connection
from market_collector.net.login import LoginGate
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)


class Session:
    """One connection and its feed. Await `admitted`, pass `frames` to the connection, then await `run`."""

    def __init__(
        self,
        feed: Feed,
        *,
        emit: Callable[[Sequence[Record]], None],
        rest: Rest,
        clock: Callable[[], Moment],
        replace: Callable[[str], None],
        login_gate: LoginGate | None = None,
    ) -> None:
        self.feed = feed
        self._emit = emit
        self._rest = rest
        self._clock = clock
        self._replace = replace
        """Requests another connection; takes the reason."""
        self._login_gate = login_gate
        """Set for connections that need a login."""
        self._connection: Connection | None = None
        self._early: list[bytes] = []
        self._ended_as: DisconnectReason | None = None
        """The reason if the collector itself ends the connection."""
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = float("-inf")
        """When the timer ends, monotonic seconds."""
        self._requests: set[asyncio.Task[None]] = set()
        self._signing = asyncio.Lock()

    async def admitted(self) -> None:
        """Wait until a needed login has a usable key; return at once when none is needed."""
        if self._login_gate is not None:
            await self._login_gate.granted()

    def frames(self, frames: list[bytes]) -> None:
        """Handle messages that arrived together. Those that arrived with the handshake wait for `run`."""
        if self._connection is None:
            self._early += frames
            return
        now = self._clock()
        records: list[Record] = []
        try:
            for frame in frames:
                for effect in self.feed.received(frame, now):
                    if type(effect) is Emit:
                        records += effect.records
                    else:
                        self._carry_out((effect,))
        finally:  # an error in one frame must not drop the records of earlier frames
            self._emit(records)
        if self.feed.wake_at < self._armed_for:
            self._arm()

    async def run(self, connection: Connection) -> str:
        """Run until the connection ends; returns the reason. Cancelling it ends the connection."""
        self._connection = connection
        try:
            self._carry_out(self.feed.opened(self._clock()))
            self.frames(self._early)
            self._arm()
            reason = await connection.ended()
            end = self.feed.closed(
                reason, self._clock(), connection.close_code, self._ended_as, connection.close_reason
            )
            self._carry_out(end)
        except asyncio.CancelledError:
            await self._close(connection)
            self._carry_out(self.feed.stopped(self._clock()))
            raise
        finally:
            connection.abort()
            await self._release()
        return reason

    def end(self, reason: str, word: DisconnectReason = DisconnectReason.REPLACED) -> None:
        """Start to end the connection; `run` returns this reason."""
        self._ended_as = self._ended_as or word
        if self._connection is not None:
            self._connection.end(reason)

    async def _close(self, connection: Connection) -> None:
        """Send a close frame and wait for the answer; a second cancellation ends the wait."""
        connection.end("stopped")
        with suppress(asyncio.CancelledError):
            await connection.ended()

    async def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)

    def _carry_out(self, effects: Sequence[Effect]) -> None:
        assert self._connection is not None
        for effect in effects:
            match effect:
                case Emit(records):
                    self._emit(records)
                case Send(text):
                    self._connection.send(text)
                case SendSigned(text):
                    self._track(self._send_signed(text, self._connection))
                case RejectKey() | CheckClock():
                    self._carry_out_login(effect)
                case Fetch():
                    self._track(self._answer(effect))
                case Reconnect(reason):
                    log.warning("%s connection: %s", self.feed.name, reason)
                    self.end(reason, DisconnectReason.FAULTY)
                case Replace(reason, is_planned):
                    level = logging.INFO if is_planned else logging.WARNING
                    log.log(level, "%s connection: %s", self.feed.name, reason)
                    self._replace(reason)
                case Warn(message, error):
                    log.warning("%s connection: %s", self.feed.name, message, exc_info=error)

    async def _send_signed(self, text: str, connection: Connection) -> None:
        """Sign a frame, perhaps with a token that is requested first, and send it. Frames keep their order."""
        assert self._login_gate is not None
        async with self._signing:
            try:
                connection.send(await self._login_gate.signed(text))
            except (CredentialsMissingError, RequestFailedError, FrameError) as error:
                connection.end(str(error))
            except Exception as error:
                log.exception("internal error on the %s connection", self.feed.name)
                self.end(f"internal error: {error!r}", DisconnectReason.FAULTY)

    def _carry_out_login(self, effect: RejectKey | CheckClock) -> None:
        assert self._login_gate is not None
        if isinstance(effect, RejectKey):
            self._login_gate.reject_key()
        else:
            self._login_gate.suspect_clock()

    def _arm(self) -> None:
        """Set the timer to the feed's next deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._armed_for = self.feed.wake_at
        delay = max(0.0, self._armed_for - self._clock().at)
        self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        assert self._connection is not None
        self.feed.note_control_frame(self._connection.control_frame_at)
        self._handle_errors(lambda: self.feed.woken(self._clock()))
        self._arm()

    def _handle_errors(self, decide: Callable[[], Sequence[Effect]]) -> None:
        """Carry out effects in a callback. An internal error ends the connection and is logged; nothing awaits it."""
        try:
            self._carry_out(decide())
        except Exception as error:
            log.exception("internal error on the %s connection", self.feed.name)
            self.end(f"internal error: {error!r}", DisconnectReason.FAULTY)

    def _track(self, work: Coroutine[None, None, None]) -> None:
        """Run work that ends with the connection."""
        task = asyncio.create_task(work)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)

    async def _answer(self, fetch: Fetch) -> None:
        try:
            answer: Answer = await self._rest.fetch(fetch.request)
        except RequestFailedError as error:
            log.debug("%s: no answer about %s: %s", fetch.stream, fetch.question.value, error)
            answer = error
        self._handle_errors(lambda: self.feed.answered(fetch, answer, self._clock()))
