"""Drives the repairer: asks REST what it wants to know, hands it the answers, emits what it found."""

import asyncio
import logging
from collections.abc import Callable, Container, Sequence
from typing import Protocol

from market_collector.errors import RequestFailedError
from market_collector.feed.backfill import Backfiller, HistoryRequest
from market_collector.feed.effects import Emit, Warn
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)

IDLE_S = 0.5
"""Between two looks while nothing is to be repaired."""


class Output(Protocol):
    """Where records go."""

    def emit(self, records: Sequence[Record], sink: str | None = None) -> None:
        """Queues records for all sinks, or for one."""
        ...

    def full_sinks(self) -> Container[str]:
        """Sinks that are so far behind that nothing should be repaired for them now."""
        ...


class BackfillTask:
    """The one task that repairs; cancel `run` to end it."""

    def __init__(self, backfiller: Backfiller, rest: Rest, output: Output, clock: Callable[[], Moment]) -> None:
        self._backfiller = backfiller
        self._rest = rest
        self._output = output
        self._clock = clock

    async def run(self) -> None:
        """Backfills until cancelled."""
        while True:
            request = self._backfiller.next_request(self._clock(), self._output.full_sinks())
            if request is None:
                await asyncio.sleep(IDLE_S)
            else:
                self._do(await self._ask(request))

    async def _ask(self, request: HistoryRequest) -> Sequence[Emit | Warn]:
        try:
            body = await self._rest.get(request.request)
        except RequestFailedError as error:
            return self._backfiller.failed(request, str(error), self._clock())
        return self._backfiller.answered(request, body, self._clock())

    def _do(self, effects: Sequence[Emit | Warn]) -> None:
        for effect in effects:
            if isinstance(effect, Emit):
                self._output.emit(effect.records, effect.sink)
            else:
                log.warning("%s", effect.message)
