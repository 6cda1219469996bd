"""Keeps an exchange's connections alive: opens them one at a time, waits with jitter, counts, never gives up silently.

Every task has an owner: `Supervisor.run` holds one task a connection and one that ages the streams; cancelling it ends
them all and awaits them.
"""

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from market_collector.config import Settings
from market_collector.errors import ConnectionFailedError
from market_collector.exchanges.interface import Exchange
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState, Stream
from market_collector.net.backoff import full_jitter
from market_collector.net.connection import open_connection
from market_collector.net.rest import Rest
from market_collector.net.session import Session

log = logging.getLogger(__name__)

AGEING_S = 0.5
STUCK_AFTER_S = 30.0
"""The ageing task runs twice a second; when it has not run for this long, the process is stuck."""


@dataclass(slots=True)
class Link:
    """One connection that is to be there, through all its reconnects."""

    route: str
    streams: Sequence[Stream]
    since_ns: int
    state: ConnectionState = ConnectionState.CONNECTING
    reason: str = ""
    """Why it is not connected."""
    feed: Feed | None = None
    attempts: int = 0
    """Attempts since the last success."""
    has_connected: bool = False
    past_pings: int = 0
    past_pongs: int = 0

    @property
    def pings_sent(self) -> int:
        """On all connections of this link."""
        return self.past_pings + (self.feed.pings_sent if self.feed else 0)

    @property
    def pongs_received(self) -> int:
        """On all connections of this link."""
        return self.past_pongs + (self.feed.pongs_received if self.feed else 0)

    def become(self, state: ConnectionState, now: Moment, reason: str = "") -> None:
        """Changes the state; ``since`` moves only with it."""
        if state is not self.state:
            self.since_ns = now.wall_ns
        self.state, self.reason = state, reason

    def retire_feed(self) -> None:
        """The connection is gone; its counts stay."""
        self.past_pings, self.past_pongs, self.feed = self.pings_sent, self.pongs_received, None


@dataclass(frozen=True, slots=True)
class LastReconnect:
    """When a connection was last opened again, and why the one before it ended."""

    time_ns: int
    reason: str


class Supervisor:
    """All connections of one collector."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        *,
        emit: Callable[[Sequence[Record]], None],
        clock: Callable[[], Moment],
        chance: random.Random,
    ) -> None:
        base = settings.endpoint_websocket or exchange.websocket
        rest = settings.endpoint_rest or exchange.rest
        needs_tls = base.startswith("wss:") or rest.startswith("https:")
        self._tls = ssl.create_default_context() if needs_tls else None
        self._settings = settings
        self._exchange = exchange
        self._ledger = ledger
        self._emit = emit
        self._clock = clock
        self._chance = chance
        self._base = base.rstrip("/")
        self._rest = Rest(rest, tls=self._tls)
        self._dialling = asyncio.Lock()
        self._dial_at = 0.0
        self._aged_at = clock().at
        self.links = _links(exchange, ledger, clock())
        self.reconnections = 0
        self.last_reconnect: LastReconnect | None = None

    async def run(self) -> None:
        """Keeps all connections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._age(), name="ageing")
            for link in self.links:
                tasks.create_task(self._keep(link), name=f"{link.route} connection")

    def is_stuck(self) -> bool:
        """Whether the process has stopped to do its work: the only reason to restart it."""
        return self._clock().at - self._aged_at > STUCK_AFTER_S

    async def _age(self) -> None:
        while True:
            now = self._clock()
            self._aged_at = now.at
            self._ledger.age(now)
            await asyncio.sleep(AGEING_S)

    async def _keep(self, link: Link) -> None:
        delays = self._delays()
        while True:
            try:
                reason = await self._live(link)
            except ConnectionFailedError as error:
                reason = str(error)
            if link.attempts == 0:  # it was a success, however short
                delays = self._delays()
            if self._is_exhausted(link):
                link.become(ConnectionState.STOPPED, self._clock(), f"gave up after {link.attempts} attempts: {reason}")
                log.error("%s connection: %s (autoRestart is false)", link.route, link.reason)
                return
            link.become(ConnectionState.BACKOFF, self._clock(), reason)
            delay = next(delays)
            log.warning("%s connection: %s; trying again in %.1f s", link.route, reason, delay)
            await asyncio.sleep(delay)

    async def _live(self, link: Link) -> str:
        """One connection from dialling to its end; returns why it ended."""
        feed = Feed(
            link.route,
            self._exchange,
            link.streams,
            self._ledger,
            ping_interval_s=self._settings.ping_interval_s,
            store_raw=self._settings.store_raw_data,
        )
        session = Session(feed, emit=self._emit, rest=self._rest, clock=self._clock)
        last_end = link.reason
        link.attempts += 1
        async with self._dialling:  # one at a time, and no faster than the exchange allows
            await asyncio.sleep(self._dial_at - self._clock().at)
            self._dial_at = self._clock().at + 1 / self._exchange.connections_per_second
            link.become(ConnectionState.CONNECTING, self._clock(), last_end)
            connection = await open_connection(self._base + feed.path, session.frames, tls=self._tls)
        link.feed = feed
        self._connected(link, last_end)
        try:
            return await session.run(connection)
        finally:
            if feed.is_serving:
                link.attempts = 0
            link.retire_feed()

    def _connected(self, link: Link, last_end: str) -> None:
        now = self._clock()
        link.become(ConnectionState.CONNECTED, now)
        log.info("%s connection: connected, %d streams", link.route, len(link.streams))
        if link.has_connected:
            self.reconnections += 1
            self.last_reconnect = LastReconnect(now.wall_ns, last_end)
        link.has_connected = True

    def _delays(self) -> Iterator[float]:
        return full_jitter(self._settings.backoff_initial_s, self._settings.backoff_max_s, self._chance)

    def _is_exhausted(self, link: Link) -> bool:
        limit = self._settings.max_reconnect_attempts
        return not self._settings.auto_restart and 0 < limit <= link.attempts


def _links(exchange: Exchange, ledger: Ledger, now: Moment) -> list[Link]:
    routes: dict[str, list[Stream]] = {}
    for stream in ledger.streams:
        routes.setdefault(exchange.route(stream), []).append(stream)
    return [Link(route, streams, now.wall_ns) for route, streams in routes.items()]
