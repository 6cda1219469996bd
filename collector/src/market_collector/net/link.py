"""A route that is to be connected, through all its connections: one at a time, two while one is being replaced.

A connection is replaced when the exchange announces its end (`feed.effects.Replace`) or somebody asks for it: the
successor is opened at once, the old one streams on and ends when the successor serves every stream, or after a
deadline, or when the exchange closes it. Everything else that ends a connection is followed by a delay and an attempt.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from market_collector.config.settings import Settings
from market_collector.errors import ConnectionFailedError
from market_collector.feed.feed import Feed
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState, Stream
from market_collector.net.backoff import Backoff
from market_collector.net.deadlines import Deadlines
from market_collector.net.dialer import Dialler
from market_collector.net.session import Session

log = logging.getLogger(__name__)

RELIEF_POLL_S = 0.1
"""How often a successor is looked at; only while a connection is being replaced."""


class LastReconnect(msgspec.Struct, frozen=True):
    """When a connection was last opened again, and why the one before it ended."""

    time_ns: int
    reason: str


class Shell(msgspec.Struct, frozen=True):
    """What links work with; one for all of a collector."""

    settings: Settings
    deadlines: Deadlines
    dialler: Dialler
    session: Callable[[str, Sequence[Stream], Callable[[str], None]], Session]
    """Makes a session of a route and its streams, with whom to tell that it wants to be replaced."""
    slow_reader_code: int | None
    """With this code the exchange closes a connection that is read too slowly."""
    clock: Callable[[], Moment]
    chance: random.Random


class Life(msgspec.Struct, eq=False):
    """One connection, from dialling to its end."""

    session: Session
    is_open: bool = False
    leaving: str = ""
    """Why it is to be replaced."""
    is_dismissed: bool = False
    """It was told to end."""
    ending: str | None = None
    """Why it ended, or could not be opened."""
    error: ConnectionFailedError | None = None

    def dismiss(self, reason: str) -> None:
        """Ends it, since it is not needed any more."""
        self.is_dismissed = True
        self.session.end(reason)


class Link:
    """One route. `keep` lives; everything else is told by others, at any time."""

    def __init__(self, route: str, streams: Sequence[Stream], shell: Shell) -> None:
        settings = shell.settings
        self.route = route
        self.streams = streams
        self.state = ConnectionState.CONNECTING
        self.since_ns = shell.clock().wall_ns
        self.reason = ""
        """Why it is not connected, or not for long any more."""
        self.reconnections = 0
        self.last_reconnect: LastReconnect | None = None
        self.exhausted = ""
        """How ``maxReconnectAttempts`` came to be used up, the last time."""
        self.slow_closes = 0
        """Connections that the exchange closed because we read too slowly."""
        self._shell = shell
        self._backoff = Backoff(settings.backoff_initial_s, settings.backoff_max_s, shell.chance)
        self._attempts = 0
        """Since the last success."""
        self._gave_up = False
        self._has_connected = False
        """Since `keep` began: whatever connects then is a reconnection."""
        self._lives: list[Life] = []
        """Oldest first."""
        self._phase = ConnectionState.CONNECTING
        self._phase_reason = ""
        self._why = ""
        """Why the next connection is needed."""
        self._wanted = ""
        """The same, when it is not to wait."""
        self._news = asyncio.Event()
        self._past_pings = 0
        self._past_pongs = 0

    @property
    def feed(self) -> Feed | None:
        """Of the newest connection that is open; None while there is none."""
        return next((life.session.feed for life in reversed(self._open())), None)

    @property
    def pings_sent(self) -> int:
        """On all connections of this link."""
        return self._past_pings + sum(life.session.feed.pings_sent for life in self._lives)

    @property
    def pongs_received(self) -> int:
        """On all connections of this link."""
        return self._past_pongs + sum(life.session.feed.pongs_received for life in self._lives)

    @property
    def has_given_up(self) -> bool:
        """``maxReconnectAttempts`` failed in a row and ``autoRestart`` is false: it stays down until `replace`."""
        return self._gave_up and not self._lives

    def replace(self, reason: str) -> None:
        """Wants another connection without delay; the present one streams on until that one can take over.

        While a connection is being opened that one is it: there is no newer.
        """
        for life in self._open():
            life.leaving = life.leaving or reason
        if self._phase is not ConnectionState.CONNECTING:
            self._wanted = reason
        self._show()
        self._news.set()

    async def keep(self) -> None:
        """Keeps the route connected until cancelled; then ends and awaits all its connections."""
        self._why, self._wanted, self._has_connected = "", "", False
        self._succeed()
        try:
            async with asyncio.TaskGroup() as lives:
                while True:
                    await self._connect(lives)
        finally:
            self._become(ConnectionState.STOPPED, "stopped")

    # -- one connection after the other

    async def _connect(self, lives: asyncio.TaskGroup) -> None:
        """A connection from dialling until the next one is to be dialled."""
        life = self._begin(lives)
        await self._until(lambda: life.is_open or life.ending is not None)
        await self._relieve(life)
        await self._until(lambda: life.ending is not None or bool(self._wanted))
        if life.session.feed.is_serving:
            self._succeed()
        if life.ending is not None and not self._wanted:
            await self._pause(life.ending, life.error)

    def _begin(self, lives: asyncio.TaskGroup) -> Life:
        for successor in self._open()[1:]:  # it is to be replaced before it served: two are enough
            successor.dismiss("replaced before it served")
        self._why, self._wanted = self._wanted or self._why, ""
        self._attempts += 1
        self._become(ConnectionState.CONNECTING, self._why)
        life = Life(self._shell.session(self.route, self.streams, lambda reason: self._announced(life, reason)))
        self._lives.append(life)
        lives.create_task(self._live(life), name=f"{self.route} connection")
        return life

    async def _live(self, life: Life) -> None:
        try:
            await life.session.admitted()
            connection = await self._shell.dialler.dial(life.session.feed.path, life.session.frames)
            self._opened(life)
            life.ending = await life.session.run(connection)
            if connection.close_code is not None and connection.close_code == self._shell.slow_reader_code:
                self._read_too_slowly(life.ending)
        except ConnectionFailedError as error:
            life.error, life.ending = error, str(error)
        finally:
            self._lives.remove(life)
            self._past_pings += life.session.feed.pings_sent
            self._past_pongs += life.session.feed.pongs_received
            self._show()
            self._news.set()

    def _opened(self, life: Life) -> None:
        life.is_open = True
        self._become(ConnectionState.CONNECTED)
        log.info("%s connection: connected, %d streams", self.route, len(self.streams))
        if self._has_connected:
            self.reconnections += 1
            self.last_reconnect = LastReconnect(self._shell.clock().wall_ns, self._why)
        self._has_connected = True
        self._news.set()

    def _announced(self, life: Life, reason: str) -> None:
        """The exchange will end this connection; it may say so more than once."""
        if not life.leaving:
            self.replace(reason)

    async def _relieve(self, successor: Life) -> None:
        """Ends the connections before this one as soon as it serves every stream, or after the deadline."""
        deadline = self._now() + self._shell.deadlines.drain_s
        while (old := self._before(successor)) and successor.ending is None and not self._wanted:
            if successor.session.feed.is_complete or self._now() >= deadline:
                state = (
                    "serves every stream" if successor.session.feed.is_complete else "does not serve every stream yet"
                )
                log.info("%s connection: the new one %s; the old one ends", self.route, state)
                for life in old:
                    life.dismiss(f"replaced: {life.leaving}")
                self._show()
            else:
                await self._until(lambda: successor.ending is not None or bool(self._wanted), RELIEF_POLL_S)

    async def _pause(self, ending: str, error: ConnectionFailedError | None) -> None:
        """Waits before the next attempt, or for good; a wish for another connection ends either."""
        self._why = ending
        delay = self._backoff.after(error)
        limit = self._shell.settings.max_reconnect_attempts
        if 0 < limit <= self._attempts:
            delay = self._exhausted(ending)
        if self._gave_up:
            await self._until(lambda: bool(self._wanted))
            self._succeed()
            return
        self._become(ConnectionState.BACKOFF, ending)
        log.warning("%s connection: %s; trying again in %.1f s", self.route, ending, delay)
        await self._until(lambda: bool(self._wanted), delay)

    def _exhausted(self, ending: str) -> float:
        """As many attempts failed in a row as are allowed; returns how long to wait when it starts over."""
        told = self.exhausted = f"gave up after {self._attempts} attempts: {ending}"
        if not self._shell.settings.auto_restart:
            self._gave_up = True
            self._become(ConnectionState.STOPPED, told)
            log.error("%s connection: %s (autoRestart is false)", self.route, told)
            return 0.0
        log.error("%s connection: %s; starting over (autoRestart is true)", self.route, told)
        self._succeed()
        return self._backoff.long()

    def _succeed(self) -> None:
        """Forgets failures: the connection served, or somebody wants it tried anew."""
        self._attempts = 0
        self._gave_up = False
        self._backoff.reset()

    def _read_too_slowly(self, ending: str) -> None:
        self.slow_closes += 1
        log.error("%s connection: we read too slowly: %s; more CPU or more shards are needed", self.route, ending)

    # -- what is known

    def _open(self) -> list[Life]:
        return [life for life in self._lives if life.is_open and not life.is_dismissed]

    def _before(self, successor: Life) -> list[Life]:
        return [life for life in self._open() if life is not successor]

    def _become(self, phase: ConnectionState, reason: str = "") -> None:
        self._phase, self._phase_reason = phase, reason
        self._show()

    def _show(self) -> None:
        """The state for people: an old connection that still streams says more than a new one that does not yet."""
        leaving = next((life.leaving for life in self._open() if life.leaving), "")
        state = ConnectionState.DRAINING if leaving else self._phase
        if state is not self.state:
            self.since_ns = self._shell.clock().wall_ns
        told = (
            f"{leaving}; the next one: {self._phase} {self._phase_reason}".rstrip() if leaving else self._phase_reason
        )
        self.state, self.reason = state, told

    def _now(self) -> float:
        return self._shell.clock().at

    async def _until(self, is_so: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Returns when it is so (looked at whenever there are news) or after the timeout. Only `keep` may wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not is_so():
                    self._news.clear()
                    await self._news.wait()
