"""Reads the clocks for the core, and runs the task that checks them."""

import asyncio
import logging
import time
from collections.abc import Callable

from market_collector.containment import Containment
from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import RestApi
from market_collector.feed.clock_skew import Timekeeper
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)

CHECK_INTERVAL_S = 0.5
FIRST_REQUEST_AFTER_S = 1.0
"""Delayed: the first data should not wait for it."""
REQUEST_INTERVAL_S = 60.0


def read_clock() -> Moment:
    """Return the present moment on both clocks."""
    return Moment(time.monotonic(), time.time_ns())


class ClockWatch:
    """Compares the wall clock with the monotonic clock and the exchange's; cancel `run` to end it."""

    def __init__(self, rest_api: RestApi, ledger: Ledger, rest: Rest, clock: Callable[[], Moment]) -> None:
        self._rest_api = rest_api
        self._ledger = ledger
        self._rest = rest
        self._clock = clock
        self._containment = Containment(ledger.complaints, clock)
        self.timekeeper = Timekeeper(clock())

    async def run(self) -> None:
        """Check the clocks until cancelled."""
        next_request_at = self._clock().at + FIRST_REQUEST_AFTER_S
        while True:
            with self._containment.of("clock"):
                self._check_clocks()
                if self._clock().at >= next_request_at:
                    next_request_at = self._clock().at + REQUEST_INTERVAL_S
                    await self.compare()
            await asyncio.sleep(CHECK_INTERVAL_S)

    def _check_clocks(self) -> None:
        now = self._clock()
        if warning := self.timekeeper.check_clocks(now):
            log.warning("%s", warning)
            self._ledger.restate_times(now)

    async def compare(self) -> None:
        """Compare the wall clock with the exchange's now. A failed request changes nothing."""
        with self._containment.of("clock"):  # logins await this too
            await self._compare()

    async def _compare(self) -> None:
        asked = self._clock()
        try:
            server_ns = self._rest_api.read_time(await self._rest.fetch(self._rest_api.time()))
        except (RequestFailedError, FrameError) as error:
            log.info("cannot compare clocks with the exchange: %s", error)
            return
        if warning := self.timekeeper.add_answer(asked, server_ns, self._clock()):
            log.warning("%s", warning)
