"""Drives the backfiller: sends its REST requests, passes it the answers, emits the records it returns."""

import asyncio
import logging
from collections.abc import Callable, Container, Sequence
from typing import Protocol

from market_collector.containment import Containment
from market_collector.errors import RequestFailedError
from market_collector.feed.backfill import Backfiller, HistoryRequest
from market_collector.feed.complaints import Complaints
from market_collector.feed.effects import Emit, Warn
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)

IDLE_S = 0.5
"""Interval of checks while no gap is due."""


class Output(Protocol):
    """Destination of records."""

    def emit(self, records: Sequence[Record], sink: str | None = None) -> None:
        """Queue records for all sinks, or for one."""
        ...

    def full_sinks(self) -> Container[str]:
        """Return sinks too far behind to backfill for."""
        ...


class BackfillTask:
    """The task that backfills; cancel `run` to end it."""

    def __init__(
        self,
        backfiller: Backfiller,
        rest: Rest,
        output: Output,
        clock: Callable[[], Moment],
        complaints: Complaints,
    ) -> None:
        self._backfiller = backfiller
        self._rest = rest
        self._output = output
        self._clock = clock
        self._containment = Containment(complaints, clock)

    async def run(self) -> None:
        """Backfill until cancelled."""
        while True:
            request = None
            with self._containment.of("backfill"):
                request = self._backfiller.next_request(self._clock(), self._output.full_sinks())
            if request is None:
                await asyncio.sleep(IDLE_S)
                continue
            with self._containment.of(f"{request.stream}: backfill"):
                self._carry_out(await self._fetch(request))

    async def _fetch(self, request: HistoryRequest) -> Sequence[Emit | Warn]:
        if request.request is None:
            return self._backfiller.out_of_reach(request, self._clock())
        try:
            body = await self._rest.fetch(request.request)
        except RequestFailedError as error:
            return self._backfiller.failed(request, str(error), self._clock())
        try:
            return self._backfiller.answered(request, body, self._clock())
        except Exception as error:
            reason = self._containment.report(f"{request.stream}: backfill", error)
            return self._backfiller.failed(request, reason, self._clock())

    def _carry_out(self, effects: Sequence[Emit | Warn]) -> None:
        for effect in effects:
            if isinstance(effect, Emit):
                self._output.emit(effect.records, effect.sink)
            else:
                log.warning("%s", effect.message)
