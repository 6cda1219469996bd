"""Callbacks as a sink: order, independence, the limit of the backlog, and clean-up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from market_collector.api import callbacks
from market_collector.api.callbacks import CallbackSink, Subscription, Subscriptions
from market_collector.api.points import DataPoint, StreamEvent
from market_collector.errors import ConfigurationError
from market_collector.model.events import Connected, Raw, Record, Ticker, Trade
from market_collector.model.streams import DataType
from market_collector.net.clock import read_clock
from market_collector.sinks.fanout import Fanout

CONNECTED = Connected("okx", None, None, 1, None, "public")
RAW = Raw("okx", None, None, 1, "public", "in", "{}")
TICKER = Ticker("okx", "BTC-USDT", 1, 1, *[None] * 11)


def trades(first: int, last: int) -> list[Record]:
    return [Trade("okx", "BTC-USDT", 1, 1, str(n), str(n), 1, "buy", "1", "1") for n in range(first, last + 1)]


def ids(points: list[DataPoint]) -> list[int]:
    return [int(point.data["trade_id"]) for point in points]


@asynccontextmanager
async def sink(subscriptions: Subscriptions) -> AsyncIterator[CallbackSink]:
    made = CallbackSink(subscriptions)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}


def only(subscriptions: Subscriptions) -> Subscription:
    (subscription,) = subscriptions
    return subscription


async def test_synchronous_and_asynchronous_callbacks_get_every_record_in_order() -> None:
    subscriptions, plain, awaited, wrapped = Subscriptions(), list[DataPoint](), list[DataPoint](), list[DataPoint]()

    async def slow(point: DataPoint) -> None:
        await asyncio.sleep(0)
        awaited.append(point)

    async def hidden(point: DataPoint) -> None:
        wrapped.append(point)

    subscriptions.add_data(DataType.TRADE, plain.append)
    subscriptions.add_data(DataType.TRADE, slow)
    subscriptions.add_data(DataType.TRADE, lambda point: hidden(point))
    async with sink(subscriptions) as made:
        await made.write(trades(1, 250))
        await made.write(trades(251, 300))
    assert ids(plain) == ids(awaited) == ids(wrapped) == list(range(1, 301))


async def test_each_callback_gets_its_type_and_none_gets_raw_frames() -> None:
    subscriptions, points, events = Subscriptions(), list[DataPoint](), list[StreamEvent]()
    subscriptions.add_data(DataType.TICKER, points.append)
    subscriptions.add_events(events.append)
    async with sink(subscriptions) as made:
        await made.write([*trades(1, 2), TICKER, RAW, CONNECTED])
    assert [point.data_type for point in points] == [DataType.TICKER]
    assert [event.kind for event in events] == ["connected"]


async def test_a_failing_callback_is_counted_and_the_others_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    subscriptions, points = Subscriptions(), list[DataPoint]()

    def broken(point: DataPoint) -> None:
        raise ZeroDivisionError(f"trade {point.data['trade_id']}")

    subscriptions.add_data(DataType.TRADE, broken)
    subscriptions.add_data(DataType.TRADE, points.append)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 25))
    assert ids(points) == list(range(1, 26))
    first = next(iter(subscriptions))
    assert (first.calls, first.failures, first.last_error) == (25, 25, "ZeroDivisionError: trade 25")
    assert len(caplog.records) == callbacks.FAILURES_LOGGED
    assert "broken failed (1 of 1 calls)" in caplog.text
    assert "ZeroDivisionError: trade 1\n" in caplog.text


async def test_error_of_a_callback_is_cleared_when_it_recovers() -> None:
    subscriptions = Subscriptions()

    async def moody(point: DataPoint) -> None:
        if point.data["trade_id"] == "1":
            raise OSError("not now")

    subscriptions.add_data(DataType.TRADE, moody)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 2))
    assert (only(subscriptions).failures, only(subscriptions).last_error) == (1, "")


async def test_a_callback_with_cancelled_work_has_failed_and_goes_on() -> None:
    subscriptions, points = Subscriptions(), list[DataPoint]()

    async def waits_for_something_cancelled(point: DataPoint) -> None:
        points.append(point)
        work = asyncio.create_task(asyncio.sleep(60))
        work.cancel()
        await work

    subscriptions.add_data(DataType.TRADE, waits_for_something_cancelled)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 3))
    assert ids(points) == [1, 2, 3]
    assert only(subscriptions).failures == 3


async def test_a_slow_callback_does_not_hold_up_the_others_within_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 10)
    subscriptions, points, go_on = Subscriptions(), list[DataPoint](), asyncio.Event()
    subscriptions.add_data(DataType.TRADE, lambda point: go_on.wait())
    subscriptions.add_data(DataType.TRADE, points.append)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 1))
        await asyncio.sleep(0.01)
        await made.write(trades(2, 11))
        await asyncio.sleep(0.01)
        slow = next(iter(subscriptions))
        assert len(points) == 11
        assert (len(slow.waiting), slow.calls, slow.running_since is not None) == (10, 1, True)
        writing = asyncio.create_task(made.write(trades(12, 12)))
        await asyncio.sleep(0.05)
        assert not writing.done()  # now it is held up, and the fan-out's queue grows
        go_on.set()
        await writing
    assert slow.calls == len(points) == 12


async def test_records_dropped_by_slow_callbacks_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 5)
    subscriptions, points, events, go_on = Subscriptions(), list[DataPoint](), list[StreamEvent](), asyncio.Event()

    async def slow(point: DataPoint) -> None:
        await go_on.wait()
        points.append(point)

    subscriptions.add_data(DataType.TRADE, slow)
    subscriptions.add_events(events.append)
    fanout = Fanout([CallbackSink(subscriptions)], read_clock, queue_limit=20)
    running = asyncio.create_task(fanout.run())
    for number in range(1, 101):
        fanout.emit(trades(number, number))
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    (status,) = fanout.status()
    assert status.dropped == fanout.dropped > 0
    assert not status.healthy
    go_on.set()
    await fanout.drain(5.0)
    await running
    reported = sum(event.data["count"] for event in events if event.kind == "dropped")
    assert reported == fanout.dropped
    assert len(points) + reported == 100
    assert ids(points) == sorted(set(ids(points)))


async def test_closing_waits_for_callbacks_that_are_behind() -> None:
    subscriptions, points = Subscriptions(), list[DataPoint]()

    async def slow(point: DataPoint) -> None:
        await asyncio.sleep(0.005)
        points.append(point)

    subscriptions.add_data(DataType.TRADE, slow)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 20))
        assert len(points) < 20
    assert ids(points) == list(range(1, 21))


async def test_a_callback_that_never_returns_is_cancelled_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(callbacks, "CLOSE_S", 0.05)
    subscriptions, ended = Subscriptions(), list[str]()

    async def hangs(point: DataPoint) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    subscriptions.add_data(DataType.TRADE, hangs)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 8))
        await asyncio.sleep(0.01)
    assert ended == ["cancelled"]
    assert "7 records were not delivered" in caplog.text
    assert not only(subscriptions).waiting


async def test_closing_that_is_cancelled_leaves_no_task() -> None:
    subscriptions = Subscriptions()
    subscriptions.add_data(DataType.TRADE, lambda point: asyncio.Event().wait())
    made = CallbackSink(subscriptions)
    await made.write(trades(1, 2))
    closing = asyncio.create_task(made.close())
    await asyncio.sleep(0.01)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_removed_callback_is_not_called_and_unblocks_the_sink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 2)
    monkeypatch.setattr(callbacks, "CLOSE_S", 0.05)
    subscriptions, points, seen = Subscriptions(), list[DataPoint](), list[DataPoint]()

    async def hangs(point: DataPoint) -> None:
        seen.append(point)
        await asyncio.Event().wait()

    subscriptions.add_data(DataType.TRADE, hangs)
    subscriptions.add_data(DataType.TRADE, points.append)
    async with sink(subscriptions) as made:
        writing = asyncio.create_task(made.write(trades(1, 10)))
        await asyncio.sleep(0.05)
        assert not writing.done()
        assert subscriptions.remove(DataType.TRADE, hangs)
        await asyncio.wait_for(writing, 1)
        await made.write(trades(11, 12))
    assert len(seen) == 1
    assert ids(points)[-2:] == [11, 12]
    assert not subscriptions.remove(DataType.TRADE, hangs)


async def test_callbacks_are_added_and_removed_without_leftover_tasks() -> None:
    subscriptions, kept = Subscriptions(), list[DataPoint]()
    subscriptions.add_data(DataType.TRADE, kept.append)
    async with sink(subscriptions) as made:
        for number in range(1, 31):
            passing = list[DataPoint]()
            subscriptions.add_data(DataType.TRADE, passing.append)
            await made.write(trades(number, number))
            await asyncio.sleep(0)
            assert subscriptions.remove(DataType.TRADE, passing.append)
        await made.write(trades(31, 31))
        await asyncio.sleep(0.01)
        assert len(asyncio.all_tasks()) == 2  # this one and that of the callback that stayed
    assert ids(kept) == list(range(1, 32))


async def test_a_synchronous_callback_lets_others_have_a_turn() -> None:
    subscriptions, turns = Subscriptions(), list[int]()
    subscriptions.add_data(DataType.TRADE, lambda point: None)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 10 * callbacks.YIELD_EVERY))
        while only(subscriptions).waiting:
            await asyncio.sleep(0)
            turns.append(len(only(subscriptions).waiting))
    assert len(turns) >= 9


async def test_the_sink_knows_its_own_tasks() -> None:
    subscriptions, inside = Subscriptions(), list[bool]()
    made = CallbackSink(subscriptions)
    subscriptions.add_data(DataType.TRADE, lambda point: inside.append(made.owns(asyncio.current_task())))
    await made.write(trades(1, 1))
    await made.close()
    assert inside == [True]
    assert not made.owns(asyncio.current_task())


def test_a_callback_must_be_callable() -> None:
    with pytest.raises(ConfigurationError, match="must be a function or coroutine function, not 7"):
        Subscriptions().add_data(DataType.TRADE, 7)  # type: ignore[arg-type]
