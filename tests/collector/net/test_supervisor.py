"""The supervisor keeps connections open through all faults of the simulator."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from collector_settings import settings_of
from loopback import new_address
from market_collector.app import streams
from market_collector.exchanges import EXCHANGES
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Connected, Disconnected, Gap, Orderbook, Record, Resync, Trade
from market_collector.model.streams import ConnectionState, DataType, StreamState
from market_collector.net.clock import read_clock
from market_collector.net.supervisor import Supervisor
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator

KINDS = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)


@pytest.fixture
def exchange() -> Iterator[Simulator]:
    with simulator(*MARKET) as running:
        yield running


@dataclass
class Collection:
    """A running supervisor and the records that it emitted."""

    supervisor: Supervisor
    ledger: Ledger
    records: list[Record] = field(default_factory=list)

    async def comes(self, is_so: Callable[[], Any], within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while not is_so():
                await asyncio.sleep(0.02)

    async def streams_flow(self) -> None:
        await self.comes(lambda: all(p.state is StreamState.LIVE for p in self.ledger.streams.values()))

    def kinds(self, kind: type) -> list[Any]:
        return [record for record in self.records if isinstance(record, kind)]


@asynccontextmanager
async def collection(exchange: Simulator, **changes: Any) -> AsyncIterator[Collection]:
    quick = {"stale_after_s": 5.0, "backoff_initial_s": 0.05, "backoff_max_s": 0.2}
    settings = settings_of(exchange.websocket, *KINDS, rest=exchange.rest, **(quick | changes))
    ledger = Ledger("okx", streams(settings), settings.stale_after_s, read_clock())
    records: list[Record] = []
    supervisor = Supervisor(
        settings, EXCHANGES["okx"], ledger, emit=records.extend, clock=read_clock, chance=random.Random(7)
    )
    task = asyncio.create_task(supervisor.run())
    try:
        yield Collection(supervisor, ledger, records)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert not [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]


async def test_every_dropped_connection_is_one_reconnection(exchange: Simulator) -> None:
    async with collection(exchange) as running:
        await running.streams_flow()
        for number in range(1, 4):
            assert exchange.post("/faults/drop") == {"dropped": 2}
            await running.comes(partial(_has_reconnected, running, 2 * number))
            await running.comes(lambda: all(page.gap_id is None for page in running.ledger.books.streams.values()))
        assert running.supervisor.last_reconnect is not None
        assert "lost" in running.supervisor.last_reconnect.reason
        assert len(running.kinds(Connected)) == 8
        assert len(running.kinds(Disconnected)) == 6
        assert {page.state for page in running.ledger.streams.values()} == {StreamState.LIVE}


def _has_reconnected(running: Collection, number: int) -> bool:
    return running.supervisor.reconnections == number


async def test_an_announced_end_costs_not_one_record(exchange: Simulator) -> None:
    """Notice 64008: each connection gets a successor before it ends. Records received on both are written once."""
    async with collection(exchange, stale_after_s=30.0) as running:
        await running.streams_flow()
        exchange.post("/faults/notice", {"seconds": 5})
        await running.comes(lambda: {link.state for link in running.supervisor.links} != {ConnectionState.CONNECTED})
        await running.comes(lambda: {link.state for link in running.supervisor.links} == {ConnectionState.CONNECTED})
        await running.comes(lambda: len(running.kinds(Disconnected)) == 2)
        assert running.supervisor.reconnections == 2
        assert running.supervisor.last_reconnect is not None
        assert "the exchange announced" in running.supervisor.last_reconnect.reason
        count = len(running.records)
        await running.comes(lambda: len(running.records) > count + 100)
    assert running.ledger.gaps.detected == 0
    ids = [int(trade.trade_id) for trade in running.kinds(Trade)]
    assert ids == list(range(ids[0], ids[-1] + 1))
    snapshot, *updates = (record for record in running.kinds(Orderbook))
    assert snapshot.action == "snapshot"
    assert [update.previous_sequence for update in updates] == [one.sequence for one in (snapshot, *updates[:-1])]


async def test_exchange_clock_step_opens_no_gap(exchange: Simulator) -> None:
    async with collection(exchange) as running:
        await running.streams_flow()
        for milliseconds in (3_600_000, -3_600_000):
            exchange.post("/faults/skew", {"milliseconds": milliseconds, "seconds": 60})
            count = len(running.records)
            await running.comes(lambda count=count: len(running.records) > count + 200)  # type: ignore[misc]
            exchange.clear_faults()
        assert {page.state for page in running.ledger.streams.values()} == {StreamState.LIVE}
        assert (running.ledger.gaps.detected, running.ledger.resyncs) == (0, 0)


async def test_a_refusing_exchange_is_asked_again_until_it_accepts(exchange: Simulator) -> None:
    async with collection(exchange, data_types=(DataType.TICKER,)) as running:
        await running.streams_flow()
        exchange.post("/faults/refuse", {"seconds": 60, "status": 503})
        exchange.post("/faults/drop")
        (link,) = running.supervisor.links
        await running.comes(lambda: link.state is ConnectionState.BACKOFF and "503" in link.reason)
        assert running.supervisor.reconnections == 0
        exchange.clear_faults()
        await running.comes(lambda: running.supervisor.reconnections == 1)
        assert link.state is ConnectionState.CONNECTED
        assert link.reason == ""


async def test_link_gives_up_with_a_reason_without_auto_restart(exchange: Simulator) -> None:
    exchange.post("/faults/refuse", {"seconds": 60, "status": 429})
    only = (DataType.TICKER,)
    async with collection(exchange, data_types=only, auto_restart=False, max_reconnect_attempts=3) as running:
        (link,) = running.supervisor.links
        await running.comes(lambda: link.state is ConnectionState.STOPPED)
        assert "gave up after 3 attempts" in link.reason
        assert "429" in link.reason
        assert not running.supervisor.is_stuck()


async def test_fills_and_candles_come_over_their_own_connection(exchange: Simulator) -> None:
    kinds = (DataType.TICKER, DataType.TRADE, DataType.CANDLE)
    async with collection(exchange, data_types=kinds, candle_intervals=("1s",)) as running:
        await running.streams_flow()
        assert {link.name: link.state for link in running.supervisor.links} == {
            "public": ConnectionState.CONNECTED,
            "business": ConnectionState.CONNECTED,
        }


async def test_an_unknown_symbol_is_refused_and_the_others_flow(exchange: Simulator) -> None:
    async with collection(exchange, symbols=("BTC-USDT", "NO-SUCH")) as running:
        pages = running.ledger.streams.values()
        wanted = {"BTC-USDT": StreamState.LIVE, "NO-SUCH": StreamState.REFUSED}
        await running.comes(lambda: all(page.state is wanted[page.stream.symbol] for page in pages))
        refused = [page for page in pages if page.stream.symbol == "NO-SUCH"]
        assert {page.reason for page in refused} == {"SymbolNotFound"}
        assert all("NO-SUCH" in page.message for page in refused)


async def test_a_lost_book_message_is_a_gap_and_a_new_snapshot(exchange: Simulator) -> None:
    async with collection(exchange) as running:
        await running.streams_flow()
        exchange.post("/faults/lose", {"channel": "books", "symbol": "BTC-USDT", "count": 1})
        await running.comes(lambda: running.kinds(Resync))
        await running.comes(lambda: running.ledger.gaps.all_open() == [])
        assert [gap.reason for gap in running.kinds(Gap)] == ["SequenceGap"]


async def test_lost_trades_are_a_gap_with_the_ids_that_were_lost(exchange: Simulator) -> None:
    async with collection(exchange) as running:
        await running.streams_flow()
        exchange.post("/faults/lose", {"channel": "trades-all", "symbol": "BTC-USDT", "count": 2})
        await running.comes(lambda: running.kinds(Gap))
        (gap,) = running.kinds(Gap)
        assert gap.stream == "BTC-USDT/trade"
        rows = exchange.lines(f"/truth/trades?symbol=BTC-USDT&from={gap.first_id}&to={gap.last_id}")
        truth = {row["tradeId"] for row in rows}
        assert truth == {str(number) for number in range(int(gap.first_id), int(gap.last_id) + 1)}
        received = {trade.trade_id for trade in running.kinds(Trade) if not trade.backfilled}
        assert not truth & received
        assert running.ledger.gaps.missing_trades == gap.missing == len(truth)


async def test_garbage_is_counted_and_the_connection_goes_on(exchange: Simulator) -> None:
    async with collection(exchange) as running:
        await running.streams_flow()
        for frame in ("garbage", '{"arg":{"channel":"books"', '{"event":"party"}'):
            exchange.post("/faults/raw", {"frame": frame, "path": "public"})
        await running.comes(lambda: running.ledger.unreadable_frames == 3)
        before = len(running.records)
        await running.comes(lambda: len(running.records) > before + 10)
        assert running.supervisor.reconnections == 0


async def test_a_silent_exchange_is_stale_and_then_live_again(exchange: Simulator) -> None:
    """The socket stays open and REST has newer trades, so the market is not quiet."""
    async with collection(exchange, stale_after_s=1.0) as running:
        await running.streams_flow()
        exchange.post("/faults/silence", {"seconds": 3})
        pages = running.ledger.streams.values()
        await running.comes(lambda: any(page.state is StreamState.STALE for page in pages))
        await running.comes(lambda: all(page.state is StreamState.LIVE for page in pages), within_s=20)


async def test_a_gone_exchange_does_not_stop_the_collector() -> None:
    address = new_address()
    with simulator(*MARKET, listen=address) as exchange:
        async with collection(exchange, stale_after_s=1.0) as running:
            await running.streams_flow()
            exchange.process.terminate()
            exchange.process.wait(10)
            pages = running.ledger.streams.values()
            await running.comes(lambda: all(page.state is StreamState.STALE for page in pages))
            with simulator(*MARKET, listen=address):
                await running.comes(lambda: all(page.state is StreamState.LIVE for page in pages), within_s=20)
            assert running.supervisor.reconnections == 2  # of both connections


async def test_internal_error_about_one_stream_ends_no_other(exchange: Simulator) -> None:
    async with collection(exchange, stale_after_s=1.0) as running:
        await running.streams_flow()
        first, *others = running.ledger.streams.values()
        first.unreadable_at = None  # type: ignore[assignment] # the internal error
        await running.comes(lambda: running.ledger.complaints.internal_errors >= 2)
        exchange.post("/faults/silence", {"seconds": 5})
        await running.comes(lambda: all(progress.state is StreamState.STALE for progress in others))
        assert not running.supervisor.is_stuck()
