"""The task that reads instruments, with the simulator's REST API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from exchange_words import ALL_WORDS
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import Budget
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Instrument, Record
from market_collector.model.streams import ACCOUNT, DataType, Stream
from market_collector.net import instrument_watch
from market_collector.net.clock import read_clock
from market_collector.net.instrument_watch import InstrumentWatch
from market_collector.net.rest import Rest
from rest_apis import Received, pages_of_bybit, served
from simulator_process import MARKET, Simulator, simulator

pytestmark = pytest.mark.simulator


@pytest.fixture(scope="module", params=ALL_WORDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with simulator(*MARKET, exchange=request.param) as running:
        yield running


async def test_each_kind_of_instruments_is_requested() -> None:
    symbols = ("BTC-USDT", "BTC-USDT-PERP", "ETH-USDT-PERP", "BTC-USD-270326-BTC")
    with simulator("--market", "7", "--symbols", ",".join(symbols), "--rate", "10") as running:
        async with watched("okx", running.rest, *(Stream(symbol, DataType.TRADE) for symbol in symbols)) as records:
            await comes(lambda: len(records) >= 4)
    found = {record.symbol: record for record in records if isinstance(record, Instrument)}
    assert {symbol: (each.kind, each.contract_size) for symbol, each in found.items()} == {
        "BTC-USDT": ("spot", None),
        "BTC-USDT-PERP": ("perpetual", "0.01"),
        "ETH-USDT-PERP": ("perpetual", "0.01"),
        "BTC-USD-270326-BTC": ("future", "100"),
    }


async def test_instruments_of_every_page_are_published() -> None:
    symbols = {"C0-USDT-PERP", "C5-USDT-PERP"}
    received = Received()
    with served(pages_of_bybit, received) as base:
        async with watched("bybit", base, *(Stream(symbol, DataType.TRADE) for symbol in symbols)) as records:
            await comes(lambda: len(received) >= 6)
    assert {record.symbol for record in records if isinstance(record, Instrument)} == symbols
    assert len(records) == 2


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instrument_watch, "INTERVAL_S", 0.02)
    monkeypatch.setattr(instrument_watch, "RETRY_S", 0.02)
    for each in EXCHANGES.values():
        monkeypatch.setattr(each.rest_api, "budgets", dict.fromkeys(each.rest_api.budgets, Budget(1000.0, 1000.0)))


@asynccontextmanager
async def watched(exchange: str, rest: str, *streams: Stream) -> AsyncIterator[list[Record]]:
    """The records of a watch that runs until the block ends."""
    records: list[Record] = []
    ledger, rest_api = Ledger(exchange, streams, 60.0, read_clock()), EXCHANGES[exchange].rest_api
    watch = InstrumentWatch(rest_api, ledger, Rest({"rest": rest}, rest_api, tls=None), records.extend, read_clock)
    task = asyncio.create_task(watch.run())
    try:
        yield records
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def comes(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_each_symbol_is_described_once(exchange: Simulator) -> None:
    streams = [
        Stream(symbol, data_type)
        for symbol in ("BTC-USDT", "ETH-USDT")
        for data_type in (DataType.TRADE, DataType.ORDERBOOK)
    ]
    async with watched(exchange.words.name, exchange.rest, *streams, Stream(ACCOUNT, DataType.BALANCE)) as records:
        await comes(lambda: len(records) >= 2)
        await asyncio.sleep(0)
    assert sorted(str(record.symbol) for record in records) == ["BTC-USDT", "ETH-USDT"]
    assert all(type(record) is Instrument for record in records)


async def test_change_of_the_state_is_published(exchange: Simulator) -> None:
    async with watched(exchange.words.name, exchange.rest, Stream("BTC-USDT", DataType.TRADE)) as records:
        await comes(lambda: len(records) == 1)
        exchange.post("/faults/crossed", {"symbol": "BTC-USDT", "seconds": 0.3, "preopen": True})
        await comes(lambda: len(records) == 3)
    found = [record for record in records if isinstance(record, Instrument)]
    assert [each.status for each in found] == ["trading", exchange.words.paused, "trading"]
    assert [each.valid_from_ns for each in found] == [each.receive_time_ns for each in found]


@pytest.mark.parametrize("symbols", [("BTC-USDT",), ("BTC-USDT", "ETH-USDT")])
async def test_delisted_instrument_is_published(exchange: Simulator, symbols: tuple[str, ...]) -> None:
    """One symbol is refused by name; of several, the list lacks it."""
    async with watched(
        exchange.words.name, exchange.rest, *(Stream(symbol, DataType.TRADE) for symbol in symbols)
    ) as records:
        await comes(lambda: len(records) == len(symbols))
        exchange.post("/faults/delist", {"symbol": "BTC-USDT", "seconds": 0.3})
        await comes(lambda: len(records) == len(symbols) + 2)
    found = [record for record in records if isinstance(record, Instrument) and record.symbol == "BTC-USDT"]
    assert [each.status for each in found] == ["trading", "delisted", "trading"]
    assert [each.valid_from_ns for each in found] == [each.receive_time_ns for each in found]


async def test_failed_request_is_repeated(exchange: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with watched(exchange.words.name, "http://127.0.0.1:9", Stream("BTC-USDT", DataType.TRADE)) as records:
        await comes(lambda: caplog.text.count("cannot read the exchange's instruments") >= 2)
    assert records == []


async def test_account_has_no_instrument(exchange: Simulator) -> None:
    rest_api = EXCHANGES[exchange.words.name].rest_api
    watch = InstrumentWatch(
        rest_api, Ledger("okx", [Stream(ACCOUNT, DataType.BALANCE)], 60.0, read_clock()),
        Rest({"rest": exchange.rest}, rest_api, tls=None), lambda records: None, read_clock,
    )  # fmt: skip
    await watch.run()
