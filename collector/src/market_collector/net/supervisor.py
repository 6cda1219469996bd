"""Keeps an exchange's connections open, and owns all of their tasks.

`Supervisor.run` holds one task per link, which holds one per connection, and one that ages the streams. Cancelling it
ends and awaits them all. `start` and `stop` do that for callers without a task of their own.
"""

import asyncio
import random
import ssl
from collections.abc import Callable, Sequence, Set

from market_collector.config.settings import Settings
from market_collector.containment import Containment
from market_collector.exchanges.interface import Access, Closing, Exchange
from market_collector.feed.clock_skew import Timekeeper
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.feed.polling import Polling
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.streams import Stream
from market_collector.net.clock import ClockWatch
from market_collector.net.connection_plan import PlannedConnection, plan_connections, polled_streams
from market_collector.net.deadlines import DEADLINES, Deadlines
from market_collector.net.dialer import Dialer
from market_collector.net.link import Link, LinkContext
from market_collector.net.link_state import LastReconnect
from market_collector.net.login import LoginGate
from market_collector.net.poller import Poller
from market_collector.net.rate_limit import rate_limit_of
from market_collector.net.rest import Rest
from market_collector.net.session import Session

AGING_INTERVAL_S = 0.5
REPLACED_EARLIER = (0.04, 0.08)
"""Range of the part of a connection's life by which it is replaced earlier: of 24 hours one or two."""
STUCK_AFTER_S = 30.0
"""The aging task runs twice a second. When it has not run for this long, the process is stuck."""


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
        addresses = {host: settings.address(default) for host, default in exchange.hosts.items()}
        needs_tls = any(address.startswith(("wss:", "https:")) for address in addresses.values())
        tls = ssl.create_default_context() if needs_tls else None
        self._settings = settings
        self._deadlines = deadlines
        self._exchange = exchange
        self._chance = chance
        self._ledger = ledger
        self._emit = emit
        self._clock = clock
        self.rest = Rest(addresses, exchange.rest_api, tls=tls)
        self._watch = ClockWatch(exchange.rest_api, ledger, self.rest, clock)
        self._login_gate = LoginGate(settings, exchange, ledger, self._watch, emit, self.rest)
        self._aged_at: float | None = None
        """When the aging task last ran, monotonic seconds; None while not running."""
        self._lock = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None
        self._containment = Containment(ledger.complaints, clock)
        context = LinkContext(
            settings,
            deadlines,
            self._session,
            exchange.closing,
            exchange.rest_api.refusal,
            clock,
            chance,
            self._containment,
        )
        dialers = self._dialers({address for address in addresses.values() if address.startswith("ws")}, tls)
        self.links = [
            Link(planned, dialers[addresses[exchange.routes[planned.route].host]], context)
            for planned in plan_connections(exchange, ledger.streams)
        ]
        self.pollers = [self._poller(*polled) for polled in polled_streams(exchange, ledger.streams).items()]

    def _poller(self, route: str, streams: Sequence[Stream]) -> Poller:
        polling = Polling(route, self._exchange, streams, self._ledger)
        return Poller(polling, self.rest, self._emit, self._clock, self._containment, self._gate(route))

    def _gate(self, route: str) -> LoginGate | None:
        return None if self._exchange.routes[route].access is Access.PUBLIC else self._login_gate

    def _dialers(self, addresses: Set[str], tls: ssl.SSLContext | None) -> dict[str, Dialer]:
        """Return a dialer for each address: hosts that share an address also wait in one line."""
        limits = self._exchange.limits
        return {
            address: Dialer(
                address,
                tls=tls,
                rate_limit=rate_limit_of(address, limits.dial),
                max_message_bytes=limits.max_message_bytes,
                deadlines=self._deadlines,
                clock=self._clock,
            )
            for address in addresses
        }

    @property
    def timekeeper(self) -> Timekeeper:
        """Skew and steps of this machine's wall clock."""
        return self._watch.timekeeper

    @property
    def reconnections(self) -> int:
        """Connections opened after the first, over all links."""
        return sum(link.reconnections for link in self.links)

    @property
    def last_reconnect(self) -> LastReconnect | None:
        """The latest reconnect over all links."""
        known = [link.last_reconnect for link in self.links if link.last_reconnect]
        return max(known, key=lambda one: one.time_ns, default=None)

    def closes(self, closing: Closing) -> int:
        """Return how many connections the exchange closed for this reason."""
        return sum(link.closes[closing] for link in self.links)

    async def run(self) -> None:
        """Keep all connections open until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._age(), name="aging")
                tasks.create_task(self._watch.run(), name="clock")
                for link in self.links:
                    tasks.create_task(link.keep(), name=f"{link.name} link")
                for poller in self.pollers:
                    tasks.create_task(poller.run(), name=f"{poller.name} poller")
        finally:
            self._aged_at = None

    async def start(self) -> None:
        """Start to keep all connections open, unless running already.

        Raises:
            ExceptionGroup: the internal error that ended an earlier run.
        """
        async with self._lock:
            if self._running is not None and self._running.done():
                await self._end()
            if self._running is None:
                self._running = asyncio.create_task(self.run(), name="supervisor")

    async def stop(self) -> None:
        """End all connections and await every task; does nothing when not started.

        Raises:
            ExceptionGroup: the internal error that ended the run.
        """
        async with self._lock:
            await self._end()

    def reconnect(self, route: str | None, reason: str) -> None:
        """Request new connections for a route, or for one connection by its name, or for all; make before break.

        A link that gave up tries again.
        """
        for link in self.links:
            if route in (None, link.route, link.name):
                link.replace(reason)

    def is_stuck(self) -> bool:
        """Return whether the process is stuck: the only reason to restart it."""
        return self._aged_at is not None and self._clock().at - self._aged_at > STUCK_AFTER_S

    async def _end(self) -> None:
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.wait([self._running])  # a cancelled wait leaves the task to the next `stop`
        task, self._running = self._running, None
        if not task.cancelled() and (error := task.exception()):
            raise error

    async def _age(self) -> None:
        while True:
            now = self._clock()
            self._aged_at = now.at
            for stream, error in self._ledger.age(now):
                self._containment.report(f"{stream}: its state", error)
            await asyncio.sleep(AGING_INTERVAL_S)

    def _session(self, planned: PlannedConnection, replace: Callable[[str], None]) -> Session:
        feed = Feed(
            planned.route,
            self._exchange,
            planned.streams,
            self._ledger,
            name=planned.name,
            ping_interval_s=self._settings.ping_interval_s,
            subscribe_timeout_s=self._deadlines.subscribe_s,
            replace_after_s=age_of_replacement_s(self._exchange.limits.life_s, self._chance),
            store_raw=self._settings.store_raw_data,
            book_depth=self._settings.book_depth,
        )
        login_gate = self._gate(planned.route)
        return Session(feed, emit=self._emit, rest=self.rest, clock=self._clock, replace=replace, login_gate=login_gate)


def age_of_replacement_s(life_s: float | None, chance: random.Random) -> float | None:
    """Return the age at which a connection is replaced that the exchange ends at ``life_s``. Jitter spreads them."""
    return None if life_s is None else life_s * (1 - chance.uniform(*REPLACED_EARLIER))
