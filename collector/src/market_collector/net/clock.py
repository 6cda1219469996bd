"""The only place that reads the clocks for the core, and the task that watches them."""

import asyncio
import logging
import time
from collections.abc import Callable

from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import RestApi
from market_collector.feed.clock_skew import Timekeeper
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)

LOOK_S = 0.5
FIRST_QUESTION_S = 1.0
"""Not at once: the first data should not wait for it."""
QUESTION_S = 60.0


def read_clock() -> Moment:
    """The present moment, on both clocks."""
    return Moment(time.monotonic(), time.time_ns())


class ClockWatch:
    """Compares the wall clock with the monotonic one, and with the exchange's; cancel `run` to end it."""

    def __init__(self, rest_api: RestApi, ledger: Ledger, rest: Rest, clock: Callable[[], Moment]) -> None:
        self._rest_api = rest_api
        self._ledger = ledger
        self._rest = rest
        self._clock = clock
        self.timekeeper = Timekeeper(clock())

    async def run(self) -> None:
        """Watches until cancelled."""
        next_question = self._clock().at + FIRST_QUESTION_S
        while True:
            self._look()
            if self._clock().at >= next_question:
                next_question = self._clock().at + QUESTION_S
                await self.ask()
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        now = self._clock()
        if warning := self.timekeeper.check_clocks(now):
            log.warning("%s", warning)
            self._ledger.restate_times(now)

    async def ask(self) -> None:
        """Compares clocks with the exchange now. An exchange that does not answer leaves what is known as it is."""
        asked = self._clock()
        try:
            server_ns = self._rest_api.read_time(await self._rest.get(self._rest_api.time()))
        except (RequestFailedError, FrameError) as error:
            log.info("cannot compare clocks with the exchange: %s", error)
            return
        if warning := self.timekeeper.add_answer(asked, server_ns, self._clock()):
            log.warning("%s", warning)
