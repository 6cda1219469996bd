"""Callbacks as a sink: order, independence, the limit of the backlog, and clean-up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from leaping_loop import LeapingLoop, clock, leap
from market_collector import app
from market_collector.api import callbacks, loop
from market_collector.api.callbacks import CallbackSink, Subscription, Subscriptions
from market_collector.api.points import DataPoint, StreamEvent
from market_collector.errors import ConfigurationError
from market_collector.model.events import Connected, Raw, Record, Ticker, Trade
from market_collector.model.streams import DataType
from market_collector.net.clock import read_clock
from market_collector.sinks.fanout import Fanout
from records import instrument

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
        await made.write([*trades(1, 2), TICKER, RAW, instrument(), CONNECTED])
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


class Clock:
    """Time that passes only in callbacks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        turns = loop.Turns()
        monkeypatch.setattr(loop, "monotonic", lambda: self.now)
        monkeypatch.setattr(callbacks, "monotonic", lambda: self.now)
        monkeypatch.setattr(callbacks, "turns_of", lambda running: turns)

    def taking(self, duration_s: float) -> Callable[[DataPoint], None]:
        """A callback that takes some time without a wait."""

        def call(point: DataPoint) -> None:
            self.now += duration_s

        return call

    async def longest_standstill(self, subscriptions: Subscriptions) -> float:
        """Longest time between two turns of another task, until all records are delivered."""
        longest, last = 0.0, self.now
        while any(each.waiting for each in subscriptions):
            await asyncio.sleep(0)
            longest, last = max(longest, self.now - last), self.now
        return longest


@pytest.mark.parametrize(("call_s", "standstill_s"), [(0.001, 0.01), (0.006, 0.012), (0.1, 0.1)])
async def test_others_get_a_turn_by_time(monkeypatch: pytest.MonkeyPatch, call_s: float, standstill_s: float) -> None:
    clock, subscriptions = Clock(monkeypatch), Subscriptions()
    subscriptions.add_data(DataType.TRADE, clock.taking(call_s))
    async with sink(subscriptions) as made:
        await made.write(trades(1, 50))
        assert await clock.longest_standstill(subscriptions) <= standstill_s + call_s / 100


async def test_others_get_a_turn_between_the_callbacks_of_all_collectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks get their turns in order, so none starves."""
    clock, one, other = Clock(monkeypatch), Subscriptions(), Subscriptions()
    for subscriptions in (one, one, other):
        subscriptions.add_data(DataType.TRADE, clock.taking(0.1))
    first, second = CallbackSink(one), CallbackSink(other)
    await first.write(trades(1, 30))
    await second.write(trades(1, 30))
    while sum(each.calls for each in (*one, *other)) < 30:
        last = clock.now
        await asyncio.sleep(0)
        assert clock.now - last < 0.15
    calls = [each.calls for each in (*one, *other)]
    await asyncio.gather(first.close(), second.close())
    assert min(calls) >= 8


async def test_a_callback_that_blocks_is_counted_and_one_that_waits_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, subscriptions = Clock(monkeypatch), Subscriptions()

    async def blocks_after_a_wait(point: DataPoint) -> None:
        await asyncio.sleep(0)
        clock.now += 0.3

    async def waits(point: DataPoint) -> None:
        waiting = asyncio.create_task(asyncio.sleep(0.01))
        clock.now += 0.04
        await waiting
        clock.now += 0.04

    for callback in (clock.taking(0.2), blocks_after_a_wait, waits, clock.taking(0.04)):
        subscriptions.add_data(DataType.TRADE, callback)
    async with sink(subscriptions) as made:
        await made.write(trades(1, 2))
    assert [each.blocks for each in subscriptions] == [2, 2, 0, 0]
    assert [each.longest_block_s for each in subscriptions] == pytest.approx([0.2, 0.3, 0, 0])


async def test_closing_ends_while_a_callback_ignores_its_cancellation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(callbacks, "CLOSE_S", 0.01)
    monkeypatch.setattr(callbacks, "CANCEL_S", 0.01)
    subscriptions, go_on, calls = Subscriptions(), asyncio.Event(), list[DataPoint]()

    async def stubborn(point: DataPoint) -> None:
        calls.append(point)
        while not go_on.is_set():
            with suppress(asyncio.CancelledError):
                await go_on.wait()

    subscriptions.add_data(DataType.TRADE, stubborn)
    made = CallbackSink(subscriptions)
    await made.write(trades(1, 3))
    await made.close()
    assert "stubborn ignores its cancellation and still runs" in caplog.text
    go_on.set()
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    assert ids(calls) == [1]


def blocking(
    subscriptions: Subscriptions, call_s: float, points: list[DataPoint], monkeypatch: pytest.MonkeyPatch
) -> asyncio.AbstractEventLoop:
    """Adds a plain callback that moves the simulated clock by ``call_s``, and returns the loop with that clock."""
    running = asyncio.get_running_loop()
    assert isinstance(running, LeapingLoop)
    selector = running.selector
    monkeypatch.setattr(loop, "monotonic", running.time)
    monkeypatch.setattr(callbacks, "monotonic", running.time)

    def slow(point: DataPoint) -> None:
        selector.now += call_s
        points.append(point)

    subscriptions.add_data(DataType.TRADE, slow)
    return running


@pytest.mark.parametrize("records", [1_000, 25_000], ids=["queued", "more-than-its-queue"])
@pytest.mark.parametrize("call_s", [0.005, 0.1, 2.0])
def test_stop_ends_in_time_with_a_slow_plain_callback_that_is_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, call_s: float, records: int
) -> None:
    """The last step of a run; `stop` promises 20 s."""
    subscriptions, points = Subscriptions(), list[DataPoint]()

    async def seconds() -> float:
        simulated = blocking(subscriptions, call_s, points, monkeypatch)
        fanout = Fanout([CallbackSink(subscriptions)], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, records))
        await asyncio.sleep(1.0)
        started = simulated.time()
        await fanout.drain(app.DRAIN_S)
        await running
        return simulated.time() - started

    assert leap(seconds()) <= 20.0
    assert "records were not delivered before the stop" in caplog.text
    assert ids(points) == list(range(1, len(points) + 1))


@pytest.mark.parametrize("call_s", [0.005, 0.1, 2.0])
def test_closing_ends_in_time_with_a_slow_plain_callback_that_is_behind(
    monkeypatch: pytest.MonkeyPatch, call_s: float
) -> None:
    """The call during which the time ends is waited for."""
    subscriptions, points = Subscriptions(), list[DataPoint]()

    async def seconds() -> float:
        simulated = blocking(subscriptions, call_s, points, monkeypatch)
        made = CallbackSink(subscriptions)
        await made.write(trades(1, 10_000))
        await made.close()
        return simulated.time()

    assert leap(seconds()) <= 4.5 + 2 * call_s


async def test_the_sink_knows_its_own_tasks() -> None:
    subscriptions, inside = Subscriptions(), list[bool]()
    made = CallbackSink(subscriptions)
    subscriptions.add_data(DataType.TRADE, lambda point: inside.append(made.owns(asyncio.current_task())))
    await made.write(trades(1, 1))
    await made.close()
    assert inside == [True]
    assert not made.owns(asyncio.current_task())


def test_a_callback_must_be_callable() -> None:
    with pytest.raises(ConfigurationError, match=r"must be a function or coroutine function, not 7$"):
        Subscriptions().add_data(DataType.TRADE, 7)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"not None\. Pass the function itself, without calling it"):
        Subscriptions().add_data(DataType.TRADE, None)  # type: ignore[arg-type]


async def test_a_coroutine_instead_of_its_function_is_explained() -> None:
    called = asyncio.sleep(0)
    with pytest.raises(ConfigurationError, match="Pass the function itself, without calling it"):
        Subscriptions().add_events(called)  # type: ignore[arg-type]
    await called


async def test_end_of_the_program_loses_no_record_of_a_callback() -> None:
    """asyncio.run cancels every task at the end; a call that it interrupts is repeated."""
    subscriptions, points = Subscriptions(), list[DataPoint]()
    is_waiting = asyncio.Event()

    async def slow(point: DataPoint) -> None:
        is_waiting.set()
        await asyncio.sleep(0.01)
        points.append(point)

    subscriptions.add_data(DataType.TRADE, slow)
    fanout = Fanout([CallbackSink(subscriptions)], read_clock)
    running = asyncio.create_task(fanout.run())
    fanout.emit(trades(1, 5))
    await is_waiting.wait()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    assert await fanout.drain(30.0) == 0
    assert ids(points) == [1, 2, 3, 4, 5]
    assert running.done()


async def test_end_of_the_program_loses_no_record_that_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "QUEUE_RECORDS", 1)
    subscriptions, points = Subscriptions(), list[DataPoint]()
    may_go = asyncio.Event()

    async def slow(point: DataPoint) -> None:
        await may_go.wait()
        points.append(point)

    subscriptions.add_data(DataType.TRADE, slow)
    async with sink(subscriptions) as made:
        writing = asyncio.create_task(made.write(trades(1, 9)))
        while not only(subscriptions).waiting:
            await asyncio.sleep(0)
        writing.cancel()
        await writing
        may_go.set()
    assert ids(points) == list(range(1, 10))
