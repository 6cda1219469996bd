"""Records of one run as an asynchronous iterator: one more reader of the callbacks' queues.

The sink fills a stream's queue like that of a callback, with the same bound. A record leaves it when the user takes it,
so cancelling the wait for the next record loses none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Self, cast
from weakref import finalize

from market_collector.api.callbacks import Inlet, Subscription, Subscriptions
from market_collector.api.loop import REST, TURN_S, check_loop
from market_collector.model.events import AnyRecord


class StreamInlet(Inlet):
    """The queue of a stream. It is unbounded once a stop is requested, which may come from the stream's own reader."""

    def __init__(self, subscription: Subscription, is_stopping: Callable[[], bool]) -> None:
        super().__init__(subscription)
        self._is_stopping = is_stopping

    def _may_wait(self) -> bool:
        return super()._may_wait() and not self._is_stopping()

    @property
    def is_over(self) -> bool:
        """Whether nothing follows the queued records."""
        return self._is_finishing or self.subscription.is_removed

    async def wait(self) -> None:
        """Returns when there may be a record, or none will follow."""
        self._wake.clear()
        await self._wake.wait()


class RecordStream(AsyncIterator[AnyRecord]):
    """Typed records of one collector, in one order; `ExchangeCollector.stream` makes it."""

    def __init__(
        self,
        name: str,
        subscriptions: Subscriptions,
        inlet: StreamInlet,
        loop: asyncio.AbstractEventLoop,
        error: Callable[[], Exception | None],
    ) -> None:
        self._name = name
        self._inlet = inlet
        self._loop = loop
        self._error = error
        self._turn_started = monotonic()
        self._discard = finalize(self, subscriptions.discard, inlet.subscription)  # after a break, nothing else does it
        self._discard.atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnyRecord:
        check_loop(self._name, self._loop)
        subscription = self._inlet.subscription
        self._end_call(subscription)
        if monotonic() - self._turn_started >= TURN_S:
            await self._suspended(asyncio.sleep(TURN_S * REST))
        waiting = subscription.waiting
        while not waiting:
            if self._inlet.is_over:
                raise self._end()
            await self._suspended(self._inlet.wait())
        record = waiting.popleft()
        subscription.calls += 1
        subscription.running_since = monotonic()
        return cast(AnyRecord, record)

    async def aclose(self) -> None:
        """Ends the stream and drops its queue. A loop that is left does the same."""
        self._discard()
        self._inlet.finish()

    def _end(self) -> Exception:
        return self._error() or StopAsyncIteration()

    async def _suspended(self, wait: Awaitable[None]) -> None:
        """Waits, so that everything else on the event loop gets a turn."""
        await wait
        self._turn_started = monotonic()

    def _end_call(self, subscription: Subscription) -> None:
        """Counts the time since the last record was taken, in which the user has handled it."""
        if subscription.running_since is not None:
            subscription.slowest_s = max(subscription.slowest_s, monotonic() - subscription.running_since)
            subscription.running_since = None
