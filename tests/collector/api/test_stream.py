"""Records as an asynchronous iterator: one order, nothing missing or doubled, the bound of callbacks, and a clear end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from exchange_words import BINANCE, BYBIT
from library_collector import collector, comes, running
from market_collector.api import callbacks, loop, stream
from market_collector.api.callbacks import CallbackSink, Subscriptions
from market_collector.api.collector import ExchangeCollector
from market_collector.api.stream import RecordStream, StreamInlet
from market_collector.book.book import Book
from market_collector.errors import ConfigurationError, InputError, WrongLoopError
from market_collector.model.streams import DataType
from market_collector.net.clock import read_clock
from market_collector.records import (
    AnyRecord,
    Candle,
    Connected,
    Disconnected,
    Dropped,
    Gap,
    Orderbook,
    Quote,
    Repaired,
    Ticker,
    Trade,
)
from market_collector.sinks.fanout import Fanout
from simulator_process import MARKET, Simulator, simulator

T = TypeVar("T", bound=Callable[..., Any])
CONNECTED = Connected("okx", None, None, 1, None, "public")
TICKER = Ticker("okx", "BTC-USDT", 1, 1, *[None] * 11)


def trades(first: int, last: int) -> list[Trade]:
    return [Trade("okx", "BTC-USDT", 1, 1, str(n), str(n), 1, "buy", "1", "1") for n in range(first, last + 1)]


def ids(records: list[AnyRecord]) -> list[int]:
    return [int(record.trade_id) for record in records if isinstance(record, Trade)]


class Opened:
    """A stream without a collector, and the sink that fills it."""

    def __init__(self, *types: DataType, starts_at: int = 0) -> None:
        self.subscriptions = Subscriptions()
        self.sink = CallbackSink(self.subscriptions)
        self.stopping = asyncio.Event()
        self.subscription = self.subscriptions.add_stream(types or (DataType.TRADE,), "the stream", starts_at)
        self.inlet = StreamInlet(self.subscription, self.stopping.is_set)
        self.sink.add_stream(self.inlet)
        self.stream = RecordStream(
            "okx", self.subscriptions, self.inlet, asyncio.get_running_loop(), lambda: self.error
        )
        self.error: Exception | None = None

    def end(self) -> None:
        self.inlet.finish()

    async def rest(self) -> list[AnyRecord]:
        return [record async for record in self.stream]


@asynccontextmanager
async def written(sink: CallbackSink, records: Any) -> AsyncIterator[asyncio.Task[bool]]:
    """A write that waits for room."""
    writing = asyncio.create_task(sink.write(records))
    await asyncio.sleep(0.03)
    assert not writing.done()
    yield writing
    await writing


# -- the queue


async def test_data_and_events_come_in_one_order() -> None:
    opened = Opened(DataType.TRADE, DataType.TICKER)
    first, second = trades(1, 2)
    await opened.sink.write([first, CONNECTED, TICKER, second])
    opened.end()
    assert await opened.rest() == [first, CONNECTED, TICKER, second]


async def test_other_types_do_not_come() -> None:
    opened = Opened(DataType.TICKER)
    await opened.sink.write([*trades(1, 2), TICKER])
    opened.end()
    assert await opened.rest() == [TICKER]


async def test_records_before_its_start_do_not_come() -> None:
    opened = Opened(starts_at=3)
    await opened.sink.write(trades(1, 2))
    await opened.sink.write(trades(3, 5))
    opened.end()
    assert ids(await opened.rest()) == [4, 5]


async def test_full_stream_blocks_the_sink_until_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 5)
    opened = Opened()
    async with written(opened.sink, trades(1, 7)):
        assert [len(each.waiting) for each in opened.subscriptions] == [5]
        taken = [await anext(opened.stream) for _ in range(7)]
    assert ids(taken) == [1, 2, 3, 4, 5, 6, 7]


async def test_full_stream_does_not_block_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 5)
    opened = Opened()
    async with written(opened.sink, trades(1, 20)):
        opened.stopping.set()
    await opened.sink.close()
    opened.end()
    assert ids(await opened.rest()) == list(range(1, 21))


async def test_records_that_a_slow_reader_makes_the_sink_drop_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 5)
    opened = Opened()
    fanout = Fanout([opened.sink], read_clock, queue_limit=20)
    writing = asyncio.create_task(fanout.run())
    for number in range(1, 101):
        fanout.emit(trades(number, number))
        await asyncio.sleep(0)
    await comes(lambda: fanout.dropped)
    reading = asyncio.create_task(opened.rest())
    await fanout.drain(5.0)
    await writing
    opened.end()
    records = await reading
    dropped = [record.count for record in records if isinstance(record, Dropped)]
    assert sum(dropped) == fanout.dropped > 0
    assert len(ids(records)) + sum(dropped) == 100
    assert ids(records) == sorted(set(ids(records)))


async def test_cancelled_wait_loses_no_record() -> None:
    opened = Opened()
    waiting = asyncio.ensure_future(anext(opened.stream))
    await asyncio.sleep(0)
    await opened.sink.write(trades(1, 1))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    opened.end()
    assert ids(await opened.rest()) == [1]


async def test_loop_that_is_left_ends_the_stream() -> None:
    opened = Opened()
    await opened.sink.write(trades(1, 5))
    made, opened.stream = [opened.stream], None  # type: ignore[assignment]
    async for _ in made.pop():
        break
    assert list(opened.subscriptions) == []
    assert not opened.subscription.waiting
    await opened.sink.write(trades(6, 7))
    assert opened.inlet.is_over
    assert not opened.subscription.waiting


async def test_closed_stream_ends_and_wakes_its_reader() -> None:
    opened = Opened()
    waiting = asyncio.create_task(opened.rest())
    await asyncio.sleep(0)
    await opened.stream.aclose()
    assert await waiting == []
    await opened.sink.write(trades(1, 2))
    assert await opened.rest() == []
    assert list(opened.subscriptions) == []


async def test_others_get_turns_while_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(stream, "monotonic", lambda: now)
    opened, turns = Opened(), 0
    await opened.sink.write(trades(1, 100))
    opened.end()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(others())
    longest, last = 0.0, (0.0, 0)
    async for _ in opened.stream:
        now += 0.001
        if turns != last[1]:
            longest, last = max(longest, now - last[0]), (now, turns)
    working.cancel()
    assert turns > 8
    assert longest <= loop.TURN_S + 0.002


async def test_status_shows_how_its_reader_keeps_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 5.0
    monkeypatch.setattr(stream, "monotonic", lambda: now)
    opened = Opened()
    await opened.sink.write(trades(1, 3))
    await anext(opened.stream)
    now += 0.5
    assert (opened.subscription.calls, opened.subscription.running_since) == (1, 5.0)
    await anext(opened.stream)
    assert (opened.subscription.slowest_s, len(opened.subscription.waiting)) == (0.5, 1)


# -- with a collector


async def take(records: RecordStream, is_enough: Callable[[list[AnyRecord]], Any]) -> list[AnyRecord]:
    taken = list[AnyRecord]()
    async with asyncio.timeout(60):
        async for record in records:
            taken.append(record)
            if is_enough(taken):
                break
    return taken


def simulated(test: T) -> T:
    """Marks a test that runs a collector against the simulator."""
    marked: T = pytest.mark.simulator(pytest.mark.usefixtures("folder", "nothing_is_left")(test))
    return marked


@simulated
async def test_every_trade_comes_once(exchange: Simulator) -> None:
    async with collector(exchange) as made:
        records = await take(made.stream(), lambda taken: len(taken) > 100)
    assert {type(record) for record in records} == {Trade}
    assert ids(records) == list(range(ids(records)[0], ids(records)[-1] + 1))


@simulated
async def test_every_collected_type_of_every_symbol_comes(exchange: Simulator) -> None:
    types, symbols = (
        (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLE),
        ["BTC-USDT", "ETH-USDT"],
    )
    wanted = {(kind, symbol) for kind in (Trade, Orderbook, Ticker, Candle) for symbol in symbols}
    async with collector(exchange, *types, symbols=symbols) as made:
        found = set[tuple[type, str | None]]()
        async for record in made.stream():
            found.add((type(record), record.symbol))
            if found >= wanted:
                break


@pytest.mark.simulator
@pytest.mark.usefixtures("folder", "nothing_is_left")
@pytest.mark.parametrize("name", [BINANCE.name, BYBIT.name])
async def test_streams_and_books_of_other_exchanges_have_the_same_form(name: str) -> None:
    types = (DataType.TRADE, DataType.ORDERBOOK, DataType.QUOTE, DataType.TICKER)
    with simulator(*MARKET, exchange=name) as other:
        async with collector(other, *types) as made:
            view, rebuilt, agreed, found = made.book("BTC-USDT"), None, 0, set[type]()
            async for record in made.stream():
                found.add(type(record))
                if isinstance(record, Orderbook):
                    rebuilt = Book(record) if record.action == "snapshot" else rebuilt
                    assert rebuilt is not None
                    rebuilt.apply(record)
                    if view.sequence == record.sequence:  # otherwise it is ahead
                        bids, _, asks, _ = rebuilt.best(1)
                        assert (view.bid, view.ask) == (Decimal(bids[0]), Decimal(asks[0]))
                        agreed += 1
                if agreed > 20 and found >= {Trade, Orderbook, Quote, Ticker}:
                    break


def assert_whole(records: list[AnyRecord]) -> None:
    """A snapshot, then updates, each of which follows the one before."""
    first, *updates = [record for record in records if isinstance(record, Orderbook)]
    assert first.action == "snapshot"
    assert updates
    sequence = first.sequence
    for update in updates:
        assert (update.action, update.previous_sequence) == ("update", sequence)
        sequence = update.sequence


@simulated
async def test_book_starts_with_a_snapshot_and_every_update_follows(exchange: Simulator) -> None:
    async with collector(exchange, DataType.TRADE, DataType.ORDERBOOK) as made:
        for _ in range(3):  # each starts where the book is by then
            assert_whole(await take(made.stream(DataType.ORDERBOOK), lambda taken: len(taken) > 50))


@simulated
async def test_book_starts_at_the_present_while_older_records_wait(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 5)
    made, go_on = collector(exchange, DataType.ORDERBOOK), asyncio.Event()
    made.add_data_callback(DataType.ORDERBOOK, lambda point: go_on.wait())
    async with running(made):
        await comes(lambda: made.get_status()["sinks"][0]["queued"] > 20)
        records = made.stream()
        go_on.set()
        assert_whole(await take(records, lambda taken: len(taken) > 50))


@simulated
async def test_gap_and_its_backfill_come_between_the_trades(exchange: Simulator) -> None:
    async with running(collector(exchange)) as made:
        records = made.stream(DataType.TRADE)
        first = await anext(records)
        exchange.post("/faults/lose", {"channel": "trades-all", "symbol": "BTC-USDT", "count": 5})
        taken = [first, *await take(records, lambda taken: isinstance(taken[-1], Repaired))]
    assert [type(record) for record in taken if not isinstance(record, Trade)] == [Gap, Repaired]
    assert sorted(ids(taken)) == list(range(min(ids(taken)), max(ids(taken)) + 1))


@simulated
async def test_stream_ends_with_the_collector(exchange: Simulator) -> None:
    made, records = collector(exchange), list[AnyRecord]()
    await made.start()

    async def read() -> str:
        async for record in made.stream():
            records.append(record)
        return made.state

    reading = asyncio.create_task(read())
    await comes(lambda: len(records) > 10)
    await made.stop()
    assert await reading == "stopped"
    assert isinstance(records[-1], Disconnected)


@simulated
async def test_reader_may_stop_the_collector_and_take_the_rest(exchange: Simulator) -> None:
    made, records = collector(exchange), list[AnyRecord]()
    await made.start()
    async for record in made.stream():
        records.append(record)
        if len(records) == 20:
            await asyncio.sleep(0.1)  # so that some wait
            async with asyncio.timeout(callbacks.CLOSE_S - 1):  # the stop does not wait for its own caller
                await made.stop()
    assert isinstance(records[-1], Disconnected)
    assert ids(records) == list(range(ids(records)[0], ids(records)[-1] + 1))


@simulated
async def test_stopped_collector_with_an_unread_stream_leaves_nothing(exchange: Simulator) -> None:
    async with running(collector(exchange)) as made:
        records = made.stream()
        await comes(lambda: made.get_status()["callbacks"][0]["queued"] > 5)
        (row,) = made.get_status()["callbacks"]
        assert (row["callback"], row["data_type"], row["calls"]) == ("ExchangeCollector.stream", "stream", 0)
    async with running(made):  # a new run has a stream of its own
        assert isinstance(await anext(made.stream()), Trade)
        assert isinstance(await anext(records), Trade)


@simulated
async def test_slow_reader_is_an_issue_of_the_health(exchange: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_collector.api.report.LATE_S", 0.05)
    async with running(collector(exchange)) as made:
        records = made.stream()
        await comes(lambda: "stream() is slower than the data: " in str(made.get_health_status()["issues"]))
        await records.aclose()
        assert made.get_health_status()["issues"] == []


@simulated
async def test_stream_of_a_failed_collector_raises_its_error(exchange: Simulator, folder: Any) -> None:
    params = {"state_directory": str(folder / "state")}
    async with running(collector(exchange, custom_params=params)):
        made = collector(exchange, custom_params=params)
        starting = asyncio.create_task(made.start())
        await asyncio.sleep(0)
        records = made.stream()
        with pytest.raises(InputError, match="state"):
            await anext(records)
        with pytest.raises(InputError, match="state"):
            await starting


@simulated
async def test_only_a_collector_that_runs_has_a_stream(exchange: Simulator) -> None:
    made = collector(exchange)
    message = r"okx_btc_usdt: stream\(\) needs a collector that runs, and it is stopped\. Await start\(\) first"
    with pytest.raises(ConfigurationError, match=message):
        made.stream()
    async with running(made):
        pass
    with pytest.raises(ConfigurationError, match=message):
        made.stream()


@simulated
async def test_second_stream_is_refused_until_the_first_is_closed(exchange: Simulator) -> None:
    async with running(collector(exchange)) as made:
        first = made.stream()
        with pytest.raises(ConfigurationError, match=r"has a stream already\. Use that one .* aclose\(\)"):
            made.stream()
        await first.aclose()
        assert isinstance(await anext(made.stream()), Trade)


@simulated
async def test_type_that_is_not_collected_is_refused(exchange: Simulator) -> None:
    async with running(collector(exchange)) as made:
        with pytest.raises(ConfigurationError, match='"ticker" would never come'):
            made.stream("ticker")
        assert isinstance(await anext(made.stream("trade")), Trade)


@simulated
async def test_another_event_loop_is_refused(exchange: Simulator) -> None:
    async with running(collector(exchange)) as made:
        records = made.stream()

        def elsewhere(call: Callable[[], Any]) -> None:
            with pytest.raises(WrongLoopError, match="belongs to the event loop of its start"):
                asyncio.run(call())

        async def opens(other: ExchangeCollector) -> None:
            other.stream()

        await asyncio.to_thread(elsewhere, lambda: opens(made))
        await asyncio.to_thread(elsewhere, lambda: anext(records))
