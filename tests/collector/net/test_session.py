"""A feed on a real connection: execution of the feed's decisions, and clean-up."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Connected, Disconnected, Record, Trade
from market_collector.model.reasons import DisconnectReason
from market_collector.model.streams import DataType, Stream, StreamState
from market_collector.net.clock import read_clock
from market_collector.net.opening import open_connection
from market_collector.net.rest import Rest
from market_collector.net.session import Session
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator
TRADES = Stream("BTC-USDT", DataType.TRADE)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


class RunningSession:
    """A session with the simulator."""

    def __init__(self, exchange: Simulator, rest: str = "") -> None:
        self.records: list[Record] = []
        self.ledger = Ledger("okx", [TRADES], 1.0, read_clock())
        self.feed = Feed("business", Okx(), [TRADES], self.ledger, ping_interval_s=20.0)
        asker = Rest({"rest": rest or exchange.rest}, Okx.rest_api, tls=None)
        self.replaced: list[str] = []
        self.session = Session(
            self.feed, emit=self.records.extend, rest=asker, clock=read_clock, replace=self.replaced.append
        )
        self._url = exchange.websocket + self.feed.path

    async def start(self) -> "asyncio.Task[str]":
        connection = await open_connection(self._url, self.session.frames, tls=None)
        return asyncio.create_task(self.session.run(connection))

    async def comes(self, is_so: Any) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0.02)


async def test_session_ends_with_the_reason_when_the_exchange_disconnects(exchange: Simulator) -> None:
    running = RunningSession(exchange)
    task = await running.start()
    await running.comes(lambda: any(isinstance(record, Trade) for record in running.records))
    exchange.post("/faults/drop", {"path": None, "code": 4004})
    assert "4004" in await task
    assert isinstance(running.records[0], Connected)
    ended = running.records[-1]
    assert isinstance(ended, Disconnected)
    assert (ended.reason, ended.connection, ended.streams) == ("ClosedByExchange", "business", [str(TRADES)])


@pytest.mark.parametrize("word", [DisconnectReason.REPLACED, DisconnectReason.FAULTY])
async def test_session_that_is_ended_has_the_reason_of_the_caller(exchange: Simulator, word: DisconnectReason) -> None:
    running = RunningSession(exchange)
    task = await running.start()
    await running.comes(lambda: running.feed.is_serving)
    running.session.end("enough", word)
    assert await task == "enough"
    ended = running.records[-1]
    assert isinstance(ended, Disconnected)
    assert (ended.reason, ended.detail) == (word, "enough")


async def test_cancelling_it_ends_the_connection_and_leaves_no_task(exchange: Simulator) -> None:
    running = RunningSession(exchange)
    task = await running.start()
    await running.comes(lambda: running.feed.is_serving)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert isinstance(running.records[-1], Disconnected)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await running.comes(lambda: not exchange.get("/state")["connections"])


async def test_stream_without_data_is_compared_with_rest(exchange: Simulator) -> None:
    """The stream gets no data while the market trades, so it becomes stale and is subscribed again."""
    running = RunningSession(exchange)
    task = await running.start()
    await running.comes(lambda: any(isinstance(record, Trade) for record in running.records))
    exchange.post("/faults/silence", {"seconds": 60, "channel": "trades-all"})
    await running.comes(lambda: _state(running) is StreamState.STALE)
    await running.comes(lambda: running.ledger.resyncs > 0)
    exchange.clear_faults()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def _state(running: RunningSession) -> StreamState:
    running.ledger.age(read_clock())
    return running.ledger.ids.streams[TRADES].state


async def test_delisted_instrument_is_refused_until_it_is_listed_again(exchange: Simulator) -> None:
    running = RunningSession(exchange)
    task = await running.start()
    await running.comes(lambda: any(isinstance(record, Trade) for record in running.records))
    exchange.post("/faults/delist", {"symbol": "BTC-USDT", "seconds": 60})
    await running.comes(lambda: _state(running) is StreamState.REFUSED)
    progress = running.ledger.ids.streams[TRADES]
    assert progress.reason == "SymbolNotFound"
    assert "51001" in progress.message
    exchange.clear_faults()
    await running.comes(lambda: _state(running) is StreamState.LIVE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_rest_that_does_not_answer_is_no_reason_to_call_a_market_quiet(
    exchange: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    running = RunningSession(exchange, rest="http://127.0.0.1:9")
    task = await running.start()
    await running.comes(lambda: any(isinstance(record, Trade) for record in running.records))
    exchange.post("/faults/silence", {"seconds": 60, "channel": "trades-all"})
    await running.comes(lambda: _state(running) is StreamState.UNKNOWN)
    await running.comes(lambda: "REST cannot confirm that streams without data are quiet" in caplog.text)
    exchange.clear_faults()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
