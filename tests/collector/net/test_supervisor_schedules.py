"""Any concurrent calls and failures leave nothing behind, and the supervisor can start again."""

import asyncio
import gc
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector_settings import settings_of
from market_collector.exchanges.interface import Limits, Window
from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Connected, Disconnected, Record
from market_collector.model.streams import ConnectionState, DataType, Stream
from market_collector.net.clock import read_clock
from market_collector.net.deadlines import Deadlines
from market_collector.net.supervisor import Supervisor
from scripted_exchange import ScriptedExchange, scripted_exchange

DEADLINES = Deadlines(open_s=0.2, subscribe_s=0.2, drain_s=0.1, close_s=0.1)
STREAMS = [
    Stream("BTC-USDT", DataType.TICKER),
    Stream("BTC-USDT", DataType.ORDERBOOK),
    Stream("BTC-USDT", DataType.CANDLE, "1m"),
]
"""On two connections."""


class FastOkx(Okx):
    """OKX with a limit that a test does not wait for."""

    limits = Limits(dial=Window(1000, 1.0))


@pytest.fixture(scope="module")
def exchange() -> Iterator[ScriptedExchange]:
    with scripted_exchange() as running:
        yield running


@dataclass
class Play:
    """A supervisor, the calls of it that are under way, and an exchange that fails on command."""

    exchange: ScriptedExchange
    supervisor: Supervisor
    records: list[Record]
    calls: list["asyncio.Task[None]"] = field(default_factory=list)

    def act(self, action: str) -> None:
        match action:
            case "start":
                self.calls.append(asyncio.create_task(self.supervisor.start()))
            case "stop":
                self.calls.append(asyncio.create_task(self.supervisor.stop()))
            case "cancel":  # who waits for start or stop loses patience
                for call in self.calls:
                    call.cancel()
            case "reconnect":
                self.supervisor.reconnect(None, "asked")
            case "reconnect public":
                self.supervisor.reconnect("public", "asked")
            case "cut":
                self.exchange.cut()
            case "close":
                self.exchange.close(4005)
            case "goodbye":
                self.exchange.send_close_notice()
            case "refuse":
                self.exchange.refuse = 503
            case "accept":
                self.exchange.refuse = None
            case "deaf":
                self.exchange.greets = False
            case "hear":
                self.exchange.greets = True
            case "mute":
                self.exchange.answers = False
            case "speak":
                self.exchange.answers = True

    async def come_to_rest(self) -> None:
        results = await asyncio.gather(*self.calls, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results), results
        await self.supervisor.stop()


ACTIONS = [
    "start", "stop", "cancel", "reconnect", "reconnect public", "cut", "close", "goodbye", "refuse", "accept", "deaf",
    "hear", "mute", "speak",
]  # fmt: skip
SCHEDULES = st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from([None, 0.0, 0.01, 0.05])), max_size=14)
"""What is done, and how long is waited after it; None: nothing else gets a turn in between."""


@pytest.mark.faults
@pytest.mark.timeout(120)
@settings(max_examples=40)
@given(schedule=SCHEDULES)
def test_supervisor_leaves_nothing_and_can_start_again(
    exchange: ScriptedExchange, schedule: list[tuple[str, Any]]
) -> None:
    heal(exchange)
    sockets = open_sockets()
    asyncio.run(play(exchange, [("start", 0.02), *schedule]))
    gc.collect()  # what was forgotten would warn now, and warnings are errors
    wait_for(lambda: not exchange.clients and open_sockets() <= sockets)


async def play(exchange: ScriptedExchange, schedule: list[tuple[str, float | None]]) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
    one = start_play(exchange)
    for action, wait in schedule:
        one.act(action)
        if wait is not None:
            await asyncio.sleep(wait)
    await one.come_to_rest()
    await nothing_is_left(one)
    heal(exchange)
    await one.supervisor.start()
    async with asyncio.timeout(10):
        while not all(link.feed and link.feed.is_complete for link in one.supervisor.links):
            await asyncio.sleep(0.01)
    await one.supervisor.stop()
    await nothing_is_left(one)
    assert complaints == []


def start_play(exchange: ScriptedExchange) -> Play:
    wanted = settings_of(
        exchange.websocket,
        *(stream.data_type for stream in STREAMS),
        ping_interval_s=0.2,
        backoff_initial_s=0.01,
        backoff_max_s=0.02,
    )
    ledger = Ledger("okx", STREAMS, 60.0, read_clock())
    records: list[Record] = []
    supervisor = Supervisor(
        wanted,
        FastOkx(),
        ledger,
        emit=records.extend,
        clock=read_clock,
        chance=random.Random(7),
        deadlines=DEADLINES,
    )
    return Play(exchange, supervisor, records)


async def nothing_is_left(one: Play) -> None:
    await asyncio.sleep(0)  # sockets are closed in the loop's next round
    loop: Any = asyncio.get_running_loop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []
    assert {link.state for link in one.supervisor.links} == {ConnectionState.STOPPED}
    assert not one.supervisor.is_stuck()
    assert count(one.records, Connected) == count(one.records, Disconnected)


def count(records: list[Record], kind: type) -> int:
    return sum(isinstance(record, kind) for record in records)


def heal(exchange: ScriptedExchange) -> None:
    exchange.refuse, exchange.greets, exchange.answers = None, True, True


def open_sockets() -> int:
    """File descriptors of this process that are sockets, the exchange's included."""
    paths = (f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd"))
    return sum(os.path.lexists(path) and os.readlink(path).startswith("socket:") for path in paths)


def wait_for(is_so: Callable[[], bool]) -> None:
    """For the exchange's own thread."""
    deadline = time.monotonic() + 5
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)
