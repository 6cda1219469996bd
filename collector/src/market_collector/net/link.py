"""Drives a route's connections: opens, ends and awaits them as `net.link_state` decides."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import msgspec

from market_collector.config.settings import Settings
from market_collector.containment import Containment
from market_collector.errors import CollectorError, ConnectionFailedError
from market_collector.exchanges.interface import Closing, ProblemKind, RestProblem
from market_collector.feed.feed import Feed
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState
from market_collector.net.backoff import TOO_MANY_REQUESTS, Backoff
from market_collector.net.connection import Connection
from market_collector.net.connection_plan import PlannedConnection
from market_collector.net.deadlines import Deadlines
from market_collector.net.dialer import Dialer
from market_collector.net.link_state import Dismiss, LastReconnect, LinkEffect, LinkMachine, LinkPolicy, Log, Open
from market_collector.net.session import Session

log = logging.getLogger(__name__)


class LinkContext(msgspec.Struct, frozen=True):
    """Collaborators of links; one for all of a collector."""

    settings: Settings
    deadlines: Deadlines
    session: Callable[[PlannedConnection, Callable[[str], None]], Session]
    """Makes a session; the callback requests its replacement."""
    closing: Callable[[int, str], Closing]
    """`Exchange.closing`."""
    refusal: Callable[[int, Mapping[str, str], bytes], RestProblem | None]
    """`RestApi.refusal`: a refused handshake has the same answers."""
    clock: Callable[[], Moment]
    chance: random.Random
    containment: Containment


class Link:
    """A planned connection, over its replacements. `keep` runs it; all other methods may be called at any time."""

    def __init__(self, planned: PlannedConnection, dialer: Dialer, context: LinkContext) -> None:
        settings = context.settings
        policy = LinkPolicy(
            context.deadlines.drain_s,
            context.deadlines.steady_s,
            settings.max_reconnect_attempts,
            settings.auto_restart,
        )
        backoff = Backoff(settings.backoff_initial_s, settings.backoff_max_s, context.chance)
        self.name = planned.name
        self.route = planned.route
        self.streams = planned.streams
        self._planned = planned
        self._dialer = dialer
        self._context = context
        self.machine = LinkMachine(policy, backoff, context.clock())
        self._sessions: dict[int, Session] = {}
        """By connection number."""
        self._tasks: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        self._past_pings = 0
        self._past_pongs = 0

    # -- for status

    @property
    def state(self) -> ConnectionState:
        """The state as /status shows it."""
        return self.machine.state

    @property
    def since_ns(self) -> int:
        """Start time of the present state, nanoseconds since 1970."""
        return self.machine.since_ns

    @property
    def reason(self) -> str:
        """The reason that it is not connected, or will soon be replaced."""
        return self.machine.reason

    @property
    def problem(self) -> str:
        """``RegionRestricted`` if the exchange refused the last attempt because of our region; empty otherwise."""
        return self.machine.problem

    @property
    def reconnections(self) -> int:
        """Connections opened after the first."""
        return self.machine.reconnections

    @property
    def last_reconnect(self) -> LastReconnect | None:
        """The last reconnect; None before the first."""
        return self.machine.last_reconnect

    @property
    def exhausted(self) -> str:
        """The message about ``maxReconnectAttempts`` when the attempts were last used up."""
        return self.machine.exhausted

    @property
    def closes(self) -> Counter[Closing]:
        """Counts of the connections that the exchange closed, by reason."""
        return self.machine.closes

    @property
    def has_given_up(self) -> bool:
        """``maxReconnectAttempts`` failed in a row and ``autoRestart`` is false: it stays down until `replace`."""
        return self.machine.has_given_up

    @property
    def feed(self) -> Feed | None:
        """Feed of the newest open connection; None while there is none."""
        number = self.machine.newest_open
        return None if number is None else self._sessions[number].feed

    @property
    def pings_sent(self) -> int:
        """Pings sent on all connections of this link."""
        return self._past_pings + sum(session.feed.pings_sent for session in self._sessions.values())

    @property
    def pongs_received(self) -> int:
        """Pongs received on all connections of this link."""
        return self._past_pongs + sum(session.feed.pongs_received for session in self._sessions.values())

    # -- running

    def replace(self, reason: str) -> None:
        """Request another connection without delay; the present one streams on until that one can take over."""
        self._carry_out(self.machine.replace(reason, self._context.clock(), is_serving=self._is_serving()))

    def _is_serving(self) -> bool:
        newest = self._sessions.get(self.machine.newest)
        return newest is not None and newest.feed.is_serving

    async def keep(self) -> None:
        """Keep it connected until cancelled; then end and await all its connections."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                try:
                    self._carry_out(self.machine.started(self._context.clock()))
                    await self._wake_machine()
                finally:
                    self.machine.stopping()
        finally:
            self.machine.stopped(self._context.clock())

    async def _wake_machine(self) -> None:
        while True:
            self._changed.clear()
            newest = self._sessions.get(self.machine.newest)
            is_complete = newest is not None and newest.feed.is_complete
            self._carry_out(self.machine.woken(self._context.clock(), is_complete=is_complete), is_awake=True)
            wake_at = self.machine.wake_at
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wake_at is None else max(0.0, wake_at - self._context.clock().at)):
                    await self._changed.wait()

    def _carry_out(self, effects: Iterable[LinkEffect], *, is_awake: bool = False) -> None:
        for effect in effects:
            match effect:
                case Open(number):
                    self._open(number)
                case Dismiss(number, reason):
                    self._sessions[number].end(reason)
                case Log(level, message):
                    log.log(level, "%s connection: %s", self.name, message)
        if not is_awake:
            self._changed.set()  # `wake_at` may be earlier now

    def _open(self, number: int) -> None:
        assert self._tasks is not None
        session = self._context.session(self._planned, lambda reason: self._on_announced(number, reason))
        self._sessions[number] = session
        self._tasks.create_task(self._run_connection(number, session), name=f"{self.name} connection")

    def _on_announced(self, number: int, reason: str) -> None:
        """The exchange will end this connection; it may announce that more than once."""
        if not self.machine.is_leaving(number):
            now = self._context.clock()
            self._carry_out(self.machine.announced(reason, now, is_serving=self._is_serving()))

    async def _run_connection(self, number: int, session: Session) -> None:
        closing, failure = Closing.OTHER, None
        try:
            await session.admitted()
            connection = await self._dial(session)
            self._on_opened(number)
            reason = await session.run(connection)
            closing = self._closing(connection)
            if closing is Closing.TOO_MANY:
                failure = ConnectionFailedError(reason, status=TOO_MANY_REQUESTS)
        except ConnectionFailedError as error:
            reason, failure = str(error), error
        except BaseException as error:
            if not isinstance(error, Exception) or isinstance(error, CollectorError):
                self._forget(number)
                self.machine.removed(number, self._context.clock())
                raise
            reason = self._context.containment.report(f"{self.name} connection", error)
            failure = ConnectionFailedError(reason)  # it costs this connection, and other links stay
        self._forget(number)
        now, is_serving = self._context.clock(), session.feed.is_serving
        effects = self.machine.ended(number, reason, now, error=failure, is_serving=is_serving, closing=closing)
        self._carry_out(effects)

    def _closing(self, connection: Connection) -> Closing:
        code = connection.close_code
        return Closing.OTHER if code is None else self._context.closing(code, connection.close_reason)

    async def _dial(self, session: Session) -> Connection:
        try:
            return await self._dialer.dial(session.feed.path, session.frames)
        except ConnectionFailedError as error:
            problem = None if error.status is None else self._context.refusal(error.status, {}, error.body)
            if problem is None or problem.kind is not ProblemKind.REGION:
                raise
            word, pause_s = problem.kind.value, max(problem.pause_s, error.retry_after_s or 0.0)
            message = f"{word}: {error}"
            raise ConnectionFailedError(message, status=error.status, retry_after_s=pause_s, problem=word) from error

    def _on_opened(self, number: int) -> None:
        self.machine.opened(number, self._context.clock())
        log.info("%s connection: connected, %d streams", self.name, len(self.streams))
        self._changed.set()

    def _forget(self, number: int) -> None:
        feed = self._sessions.pop(number).feed
        self._past_pings += feed.pings_sent
        self._past_pongs += feed.pongs_received
