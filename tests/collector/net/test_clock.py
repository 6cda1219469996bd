"""The clocks of this machine, watched against a real server's."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import pytest

from market_collector.exchanges.okx.exchange import Okx
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.feed.ledger import Ledger
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from market_collector.net import clock
from market_collector.net.clock import ClockWatch, read_clock
from market_collector.net.rest import Rest
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator
SIMULATOR_LAG_S = 0.25
"""Its clock goes on with its market, which a busy machine holds up."""
STREAM = Stream("BTC-USDT", DataType.TICKER)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


class Wall:
    """The machine's clocks, of which a test may set one."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> Moment:
        now = read_clock()
        return Moment(now.at, now.wall_ns + int(self.ahead_s * 1e9))


@asynccontextmanager
async def watch(rest: str, wall: Wall, ledger: Ledger | None = None) -> AsyncIterator[ClockWatch]:
    pages = ledger or Ledger("okx", [STREAM], 60.0, wall())
    one = ClockWatch(Okx().rest_api, pages, Rest({"rest": rest}, Okx.rest_api, tls=None), wall)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "CHECK_INTERVAL_S", 0.02)
    monkeypatch.setattr(clock, "FIRST_REQUEST_AFTER_S", 0.0)
    monkeypatch.setattr(clock, "REQUEST_INTERVAL_S", 0.1)


async def comes(is_so: object) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # type: ignore[operator]
            await asyncio.sleep(0.01)


def test_both_clocks_run() -> None:
    first, second = read_clock(), read_clock()
    assert second.at >= first.at
    assert abs(second.wall_ns / 1e9 - time.time()) < 5


async def test_the_same_machine_has_no_skew(exchange: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async with watch(exchange.rest, Wall()) as one:
        await comes(lambda: one.timekeeper.skew)
        skew = one.timekeeper.skew
        assert skew is not None
        assert abs(skew.seconds) <= skew.uncertainty_s + SIMULATOR_LAG_S
    assert caplog.text == ""


async def test_clock_skew_of_an_hour_is_logged(exchange: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    wall = Wall()
    wall.ahead_s = 3600.0
    async with watch(exchange.rest, wall) as one:
        await comes(lambda: one.timekeeper.skew)
        skew = one.timekeeper.skew
        assert skew is not None
        assert abs(skew.seconds + 3600) <= skew.uncertainty_s + SIMULATOR_LAG_S
    assert f"{-skew.seconds:.1f} s ahead of the exchange's" in caplog.text


async def test_clock_step_is_logged_counted_and_compared_again(
    exchange: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    wall = Wall()
    ledger = Ledger("okx", [STREAM], 60.0, wall())
    page = ledger.streams[STREAM]
    page.last_at, page.last_wall_ns = wall().at, wall().wall_ns
    async with watch(exchange.rest, wall, ledger) as one:
        await comes(lambda: one.timekeeper.skew)
        wall.ahead_s = -60.0
        await comes(lambda: one.timekeeper.steps == 1)
        await comes(lambda: one.timekeeper.skew and one.timekeeper.skew.seconds > 59)
        assert abs((wall().wall_ns - page.last_wall_ns) / 1e9 - (wall().at - page.last_at)) < 0.01
    assert "the wall clock was set back by 60" in caplog.text


@pytest.mark.parametrize("fault", ["http://127.0.0.1:9", ""])
async def test_an_exchange_that_does_not_tell_its_time_is_asked_again(
    exchange: Simulator, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Nobody there; or a server that answers with something else."""
    caplog.set_level("INFO")
    async with watch(fault or exchange.control, Wall()) as one:
        await comes(lambda: caplog.text.count("cannot compare clocks with the exchange") >= 2)
        assert one.timekeeper.skew is None


async def test_an_internal_error_does_not_end_the_clock_task(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mistakes = [OverflowError("int too large"), RecursionError("deep")]
    read_time = OkxRestApi.read_time

    def mistaken(self: OkxRestApi, body: bytes) -> int:
        if mistakes:
            raise mistakes.pop()
        return read_time(self, body)

    monkeypatch.setattr(OkxRestApi, "read_time", mistaken)
    wall = Wall()
    ledger = Ledger("okx", [STREAM], 60.0, wall())
    async with watch(exchange.rest, wall, ledger) as one:
        await comes(lambda: one.timekeeper.skew)
    assert ledger.complaints.internal_errors == 2
    assert "clock: internal error: RecursionError('deep')" in caplog.text
