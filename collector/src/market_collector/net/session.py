"""A feed on its connection: hands the feed what happens, does what the feed decides."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

from market_collector.errors import CredentialsMissingError, RequestFailedError
from market_collector.feed.effects import (
    CheckClock,
    Effect,
    Emit,
    Fetch,
    Login,
    Reconnect,
    RejectKey,
    Replace,
    Send,
    Warn,
)
from market_collector.feed.feed import Feed
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.net.connection import Connection
from market_collector.net.login import LoginGate
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)


class Session:
    """One connection's life, driven. Await `admitted`, give `frames` to the connection, then await `run`."""

    def __init__(
        self,
        feed: Feed,
        *,
        emit: Callable[[Sequence[Record]], None],
        rest: Rest,
        clock: Callable[[], Moment],
        replace: Callable[[str], None],
        admission: LoginGate | None = None,
    ) -> None:
        self.feed = feed
        self._emit = emit
        self._rest = rest
        self._clock = clock
        self._replace = replace
        """Told when another connection should take over, and why."""
        self._admission = admission
        """For connections that need a login."""
        self._connection: Connection | None = None
        self._early: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._questions: set[asyncio.Task[None]] = set()

    async def admitted(self) -> None:
        """Returns when it makes sense to connect: at once, unless a login is needed and there is no key for it."""
        if self._admission is not None:
            await self._admission.granted()

    def frames(self, frames: list[bytes]) -> None:
        """Messages that arrived together; those that came with the handshake wait for `run`."""
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
                        self._do((effect,))
        finally:  # a mistake in one frame must not take the records of those before it along
            self._emit(records)

    async def run(self, connection: Connection) -> str:
        """Lives until the connection ends, and returns the reason. Cancelling it ends the connection."""
        self._connection = connection
        try:
            self._do(self.feed.opened(self._clock()))
            self.frames(self._early)
            self._arm()
            reason = await connection.ended()
            self._do(self.feed.closed(reason, self._clock(), connection.close_code))
        except asyncio.CancelledError:
            await self._hang_up(connection)
            self._do(self.feed.stopped(self._clock()))
            raise
        finally:
            connection.abort()
            await self._release()
        return reason

    def end(self, reason: str) -> None:
        """Starts to end the connection; `run` returns this reason."""
        if self._connection is not None:
            self._connection.end(reason)

    async def _hang_up(self, connection: Connection) -> None:
        """Says goodbye, and waits for the answer; whoever cancels once more does not want to wait."""
        connection.end("stopped")
        with suppress(asyncio.CancelledError):
            await connection.ended()

    async def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for question in self._questions:
            question.cancel()
        await asyncio.gather(*self._questions, return_exceptions=True)

    def _do(self, effects: Sequence[Effect]) -> None:
        assert self._connection is not None
        for effect in effects:
            match effect:
                case Emit(records):
                    self._emit(records)
                case Send(text):
                    self._connection.send(text)
                case Login() | RejectKey() | CheckClock():
                    self._follow_login(effect, self._connection)
                case Fetch():
                    self._ask(effect)
                case Reconnect(reason):
                    log.warning("%s connection: %s", self.feed.route, reason)
                    self._connection.end(reason)
                case Replace(reason):
                    log.warning("%s connection: %s", self.feed.route, reason)
                    self._replace(reason)
                case Warn(message):
                    log.warning("%s connection: %s", self.feed.route, message)

    def _follow_login(self, effect: Login | RejectKey | CheckClock, connection: Connection) -> None:
        assert self._admission is not None
        match effect:
            case Login():
                try:
                    connection.send(self._admission.login())
                except CredentialsMissingError as error:  # it was there a moment ago
                    connection.end(str(error))
            case RejectKey():
                self._admission.reject_key()
            case CheckClock():
                self._admission.doubt_clock()

    def _arm(self) -> None:
        """One timer, set to when the feed wants to look at its deadlines."""
        delay = max(0.0, self.feed.wake_at - self._clock().at)
        self._timer = asyncio.get_running_loop().call_later(delay, self._wake)

    def _wake(self) -> None:
        self._do_safely(lambda: self.feed.woken(self._clock()))
        self._arm()

    def _do_safely(self, decide: Callable[[], Sequence[Effect]]) -> None:
        """For what no task awaits: a mistake of ours ends the connection loudly, instead of its deadlines silently."""
        try:
            self._do(decide())
        except Exception as error:
            log.exception("internal error on the %s connection", self.feed.route)
            self.end(f"internal error: {error!r}")

    def _ask(self, fetch: Fetch) -> None:
        task = asyncio.create_task(self._answer(fetch))
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    async def _answer(self, fetch: Fetch) -> None:
        try:
            answer: bytes | None = await self._rest.get(fetch.request)
        except RequestFailedError as error:
            log.info("%s: cannot ask the exchange for its %s: %s", fetch.stream, fetch.question.value, error)
            answer = None
        self._do_safely(lambda: self.feed.answered(fetch, answer, self._clock()))
