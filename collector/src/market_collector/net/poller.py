"""Requests the streams that exist over REST only, as `feed.polling` decides."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from market_collector.containment import Containment
from market_collector.errors import RequestFailedError
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.polling import Polling, PollRequest
from market_collector.model.events import Record
from market_collector.model.moment import Moment
from market_collector.model.streams import ConnectionState
from market_collector.net.login import LoginGate
from market_collector.net.rest import Rest

log = logging.getLogger(__name__)

WORKERS = 4
"""Requests of one route under way at the same time."""
SHORTEST_WAIT_S = 0.05


class Poller:
    """The tasks of one polled route; cancel `run` to end them."""

    def __init__(
        self,
        polling: Polling,
        rest: Rest,
        emit: Callable[[Sequence[Record]], None],
        clock: Callable[[], Moment],
        containment: Containment,
        login_gate: LoginGate | None,
    ) -> None:
        self.state = ConnectionState.CONNECTING
        self.since_ns = clock().wall_ns
        """Start of the state, nanoseconds since 1970."""
        self._polling = polling
        self._rest = rest
        self._emit = emit
        self._clock = clock
        self._containment = containment
        self._login_gate = login_gate
        """Set for routes that need the API key."""

    @property
    def name(self) -> str:
        """The route."""
        return self._polling.name

    @property
    def reason(self) -> str:
        """The reason that a stream is not connected."""
        return self._polling.reason

    @property
    def problem(self) -> str:
        """``RegionRestricted`` if the exchange excludes our region; empty otherwise."""
        return self._polling.problem

    async def run(self) -> None:
        """Request the streams until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(WORKERS):
                    tasks.create_task(self._work())
        finally:
            self._emit(self._polling.stopped(self._clock()))
            self._set_state(ConnectionState.STOPPED)

    async def _work(self) -> None:
        while True:
            with self._containment.of(f"{self.name} poll"):
                if self._login_gate is not None:
                    await self._login_gate.granted()
                request = self._polling.next_request(self._clock())
                if request is not None:
                    self._carry_out(await self._fetch(request))
            wait_s = self._polling.due_at - self._clock().at
            await asyncio.sleep(max(SHORTEST_WAIT_S, wait_s))

    async def _fetch(self, request: PollRequest) -> Sequence[Emit | Warn]:
        try:
            body = await self._rest.fetch(request.request)
        except RequestFailedError as error:
            return self._polling.failed(request.stream, error, self._clock())
        return self._polling.answered(request.stream, body, self._clock())

    def _carry_out(self, effects: Sequence[Emit | Warn]) -> None:
        for effect in effects:
            if isinstance(effect, Emit):
                self._emit(effect.records)
            else:
                log.warning("%s poll: %s", self.name, effect.message)
        is_connected = self._polling.is_connected
        self._set_state(ConnectionState.CONNECTED if is_connected else ConnectionState.CONNECTING)

    def _set_state(self, state: ConnectionState) -> None:
        if state is not self.state:
            self.state, self.since_ns = state, self._clock().wall_ns
