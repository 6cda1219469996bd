"""Keeps an exchange's connections alive: opens them one at a time, waits with jitter, counts, never gives up silently.

Every task has an owner: `Supervisor.run` holds one task a link (which holds one a connection) and one that ages the
streams; cancelling it ends them all and awaits them. `start` and `stop` do that for who has no task of its own.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence

from market_collector.config.settings import Settings
from market_collector.exchanges.interface import Exchange
from market_collector.feed.clock_skew import Timekeeper
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.streams import Stream
from market_collector.net.clock import ClockWatch
from market_collector.net.deadlines import DEADLINES, Deadlines
from market_collector.net.dialer import Dialler
from market_collector.net.link import Link, LinkContext
from market_collector.net.link_state import LastReconnect
from market_collector.net.login import LoginGate
from market_collector.net.rate_limit import pace_to
from market_collector.net.rest import Rest
from market_collector.net.session import Session

AGEING_S = 0.5
STUCK_AFTER_S = 30.0
"""The ageing task runs twice a second; when it has not run for this long, the process is stuck."""


class Supervisor:
    """All connections of one collector. All methods may be called at any time, in any order, from the loop's thread."""

    def __init__(
        self,
        settings: Settings,
        exchange: Exchange,
        ledger: Ledger,
        *,
        emit: Callable[[Sequence[Record]], None],
        clock: Callable[[], Moment],
        chance: random.Random,
        deadlines: Deadlines = DEADLINES,
    ) -> None:
        base = settings.endpoint_websocket or exchange.websocket
        rest = settings.endpoint_rest or exchange.rest
        needs_tls = base.startswith("wss:") or rest.startswith("https:")
        tls = ssl.create_default_context() if needs_tls else None
        pace = pace_to(base, exchange.connections_per_second)
        dialler = Dialler(base, tls=tls, pace=pace, deadlines=deadlines, clock=clock)
        self._settings = settings
        self._deadlines = deadlines
        self._exchange = exchange
        self._ledger = ledger
        self._emit = emit
        self._clock = clock
        self.rest = Rest(rest, tls=tls)
        self._watch = ClockWatch(exchange.rest_api, ledger, self.rest, clock)
        self._admission = LoginGate(settings, exchange, ledger, self._watch, emit)
        self._aged_at: float | None = None
        """When the ageing task last ran; None while nothing runs."""
        self._turning = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        context = LinkContext(settings, deadlines, dialler, self._session, exchange.slow_reader_code, clock, chance)
        self.links = [Link(route, streams, context) for route, streams in _routes(exchange, ledger).items()]

    @property
    def timekeeper(self) -> Timekeeper:
        """What is known of this machine's wall clock."""
        return self._watch.timekeeper

    @property
    def reconnections(self) -> int:
        """Connections that were opened after the first, over all links."""
        return sum(link.reconnections for link in self.links)

    @property
    def last_reconnect(self) -> LastReconnect | None:
        """The newest over all links."""
        known = [link.last_reconnect for link in self.links if link.last_reconnect]
        return max(known, key=lambda one: one.time_ns, default=None)

    @property
    def slow_closes(self) -> int:
        """Connections that the exchange closed because we read too slowly."""
        return sum(link.slow_closes for link in self.links)

    async def run(self) -> None:
        """Keeps all connections until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._age(), name="ageing")
                tasks.create_task(self._watch.run(), name="clock")
                for link in self.links:
                    tasks.create_task(link.keep(), name=f"{link.route} link")
        finally:
            self._aged_at = None

    async def start(self) -> None:
        """Begins to keep all connections, unless it does already.

        Raises:
            ExceptionGroup: what it died of, when it was running and died of a mistake of ours.
        """
        async with self._turning:
            if self._running is not None and self._running.done():
                await self._end()
            if self._running is None:
                self._running = asyncio.create_task(self.run(), name="supervisor")

    async def stop(self) -> None:
        """Ends all connections and awaits every task; does nothing when nothing was started.

        Raises:
            ExceptionGroup: what it died of, when it died of a mistake of ours.
        """
        async with self._turning:
            await self._end()

    def reconnect(self, route: str | None, reason: str) -> None:
        """Forces a new connection for a route (None: for each), make before break; a link that gave up tries again."""
        for link in self.links:
            if route in (None, link.route):
                link.replace(reason)

    def is_stuck(self) -> bool:
        """Whether the process has stopped to do its work: the only reason to restart it."""
        return self._aged_at is not None and self._clock().at - self._aged_at > STUCK_AFTER_S

    async def _end(self) -> None:
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.wait([self._running])  # who cancels this wait leaves the task for the next `stop`
        task, self._running = self._running, None
        if not task.cancelled() and (error := task.exception()):
            raise error

    async def _age(self) -> None:
        while True:
            now = self._clock()
            self._aged_at = now.at
            self._ledger.age(now)
            await asyncio.sleep(AGEING_S)

    def _session(self, route: str, streams: Sequence[Stream], replace: Callable[[str], None]) -> Session:
        feed = Feed(
            route,
            self._exchange,
            streams,
            self._ledger,
            ping_interval_s=self._settings.ping_interval_s,
            subscribe_timeout_s=self._deadlines.subscribe_s,
            store_raw=self._settings.store_raw_data,
        )
        admission = self._admission if self._exchange.needs_login(route) else None
        return Session(feed, emit=self._emit, rest=self.rest, clock=self._clock, replace=replace, admission=admission)


def _routes(exchange: Exchange, ledger: Ledger) -> dict[str, list[Stream]]:
    routes: dict[str, list[Stream]] = {}
    for stream in ledger.streams:
        routes.setdefault(exchange.route(stream), []).append(stream)
    return routes
