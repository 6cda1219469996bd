"""Long work lets the event loop run; here time passes only when the work says so."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from market_collector.app import Collector
from market_collector.config.settings import Settings
from market_collector.model.streams import DataType
from market_collector.telemetry import slices


class Clock:
    """Time that the work makes pass, and the turns that another task got meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.turns = 0

    def work(self, count: int, seconds: float) -> Iterator[int]:
        for number in range(count):
            self.now += seconds
            yield number

    async def count_turns(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


@pytest.mark.parametrize(("seconds", "turns"), [(slices.SLICE_S, 100), (slices.SLICE_S / 4, 25), (0.0, 0)])
async def test_event_loop_gets_a_turn_after_each_slice(
    monkeypatch: pytest.MonkeyPatch, seconds: float, turns: int
) -> None:
    clock = Clock()
    monkeypatch.setattr(slices, "thread_time", lambda: clock.now)
    other = asyncio.create_task(clock.count_turns())
    assert await slices.in_slices(clock.work(100, seconds)) == list(range(100))
    assert clock.turns == turns
    other.cancel()


@pytest.mark.parametrize("page", [Collector.status_page, Collector.metrics_page])
async def test_event_loop_gets_turns_while_a_page_of_many_streams_is_made(
    monkeypatch: pytest.MonkeyPatch, page: Callable[[Collector], Awaitable[bytes]]
) -> None:
    symbols = tuple(f"S{number}-USDT" for number in range(100))
    collector = Collector(Settings("many", "ns", 0, "okx", symbols, (DataType.TRADE, DataType.ORDERBOOK)))
    await page(collector)  # loads the client library
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    clock = Clock()
    other = asyncio.create_task(clock.count_turns())
    body = await page(collector)
    assert clock.turns >= len(collector.ledger.streams)
    other.cancel()
    assert all(f"{symbol}/orderbook" in body.decode() for symbol in symbols)
