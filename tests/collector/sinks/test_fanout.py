"""Every sink acknowledges every record once and in order, or counts it as dropped. Runs on a simulated clock."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from leaping_loop import clock, leap
from market_collector.errors import SinkError, SinkGoneError
from market_collector.feed.ledger import Loss
from market_collector.model.events import Dropped, Header, Record, Trade
from market_collector.model.moment import Moment
from market_collector.sinks.fanout import BATCH_RECORDS, STALL_TIMEOUT_S, UNSYNCED_RECORDS, Fanout
from market_collector.sinks.interface import PAUSE_S, Memory
from records import header


class Store:
    """A transactional sink in memory. It fails and waits by its script, then works normally."""

    type = "memory"
    pause_s = PAUSE_S
    is_recording = False
    needs_header = False

    def __init__(self, name: str = "out", sync_interval_s: float = 1.0) -> None:
        self.name = name
        self.sync_interval_s = sync_interval_s
        self.durable: list[Record] = []
        self.written: list[Record] = []
        self.writes: list[tuple[float, int]] = []
        self.open_script: list[float | str] = []
        self.write_script: list[float | str] = []
        self.sync_script: list[float | str] = []
        self.wants_sync = False
        self.is_closed = False

    def pack(self, record: Record) -> Record:
        return record

    async def open(self) -> None:
        await self._play(self.open_script)

    async def write(self, records: Sequence[Record]) -> bool:
        await self._play(self.write_script)
        self.written += records
        self.writes.append((clock().at, len(records)))
        return self.wants_sync

    async def sync(self) -> None:
        try:
            await self._play(self.sync_script)
        except SinkError:
            self.written.clear()
            raise
        self.durable += self.written
        self.written.clear()

    async def close(self) -> None:
        self.is_closed = True

    async def _play(self, script: list[float | str]) -> None:
        match script.pop(0) if script else 0.0:
            case str(error):
                raise SinkError(error)
            case delay:
                await asyncio.sleep(delay)


def trade(number: int, symbol: str = "BTC-USDT") -> Trade:
    return Trade("okx", symbol, None, number, str(number), str(number), 1, "buy", "1", "1")


def trades(first: int, last: int) -> list[Record]:
    return [trade(number) for number in range(first, last + 1)]


def test_all_sinks_get_all_records_in_order() -> None:
    async def story() -> None:
        stores = [Store("a"), Store("b", sync_interval_s=0.0)]
        fanout = Fanout(stores, clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        fanout.emit([])
        fanout.emit(trades(4, 5))
        assert await fanout.drain(5.0) == 0
        await running
        assert [store.durable for store in stores] == [trades(1, 5)] * 2
        assert all(store.is_closed for store in stores)
        assert fanout.records == 5

    leap(story())


def test_first_records_after_a_pause_are_written_at_once() -> None:
    async def story() -> None:
        store = Store()
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        await asyncio.sleep(0.5)
        for number in range(1, 11):
            fanout.emit([trade(number)])
            await asyncio.sleep(0.004)
        await asyncio.sleep(0.2)
        first, second, rest = store.writes
        assert (first, second) == ((0.5, 1), (0.504, 1))
        assert rest[0] == pytest.approx(0.5 + PAUSE_S)
        assert rest[1] == 8
        await fanout.drain(1.0)
        await running

    leap(story())


def test_a_sink_without_a_pause_gets_each_record_at_once() -> None:
    async def story() -> None:
        store = Store()
        store.pause_s = 0.0
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        for number in range(1, 4):
            await asyncio.sleep(0.01)
            fanout.emit([trade(number)])
        await fanout.drain(1.0)
        await running
        assert [at for at, _ in store.writes] == pytest.approx([0.01, 0.02, 0.03])

    leap(story())


def test_a_full_batch_does_not_wait() -> None:
    async def story() -> None:
        store = Store()
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3 * BATCH_RECORDS))
        await asyncio.sleep(0.001)
        assert [count for _, count in store.writes] == [BATCH_RECORDS] * 3
        fanout.emit(trades(1, 1))
        await asyncio.sleep(0.01)
        fanout.emit(trades(2, BATCH_RECORDS))
        await asyncio.sleep(0.001)
        assert [count for _, count in store.writes][3:] == [BATCH_RECORDS]
        await fanout.drain(1.0)
        await running

    leap(story())


def test_nothing_is_acknowledged_before_it_is_synced() -> None:
    async def story() -> None:
        store = Store(sync_interval_s=10.0)
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        await asyncio.sleep(0.5)
        fanout.emit(trades(1, 3))
        await asyncio.sleep(5.0)
        (status,) = fanout.status()
        assert (store.written, status.queued, status.acknowledged) == (trades(1, 3), 3, 0)
        await asyncio.sleep(6.0)
        (status,) = fanout.status()
        assert (store.durable, status.queued, status.acknowledged) == (trades(1, 3), 0, 3)
        await fanout.drain(1.0)
        await running

    leap(story())


def test_a_full_file_is_synced_at_once() -> None:
    async def story() -> None:
        store = Store(sync_interval_s=60.0)
        store.wants_sync = True
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        await asyncio.sleep(0.2)
        assert store.durable == trades(1, 3)
        await fanout.drain(1.0)
        await running

    leap(story())


def test_much_unsynced_data_is_synced_early() -> None:
    async def story() -> None:
        store = Store(sync_interval_s=60.0)
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, UNSYNCED_RECORDS))
        await asyncio.sleep(1.0)
        assert len(store.durable) == UNSYNCED_RECORDS
        await fanout.drain(1.0)
        await running

    leap(story())


def test_a_queue_full_of_unsynced_records_is_synced_before_it_loses_more() -> None:
    async def story() -> None:
        store = Store(sync_interval_s=60.0)
        fanout = Fanout([store], clock, queue_limit=10)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 12))
        await asyncio.sleep(0.5)
        assert fanout.status()[0].acknowledged == 10
        fanout.emit(trades(13, 20))
        await fanout.drain(1.0)
        await running
        check_nothing_is_lost_unseen({"BTC-USDT/trade": 20}, store.durable)

    leap(story())


def test_failing_sink_reports_its_error_and_drops_nothing() -> None:
    async def story() -> None:
        store = Store()
        store.write_script = ["disk full; make room"] * 3
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        await asyncio.sleep(0.2)
        (status,) = fanout.status()
        assert (status.healthy, status.error, status.queued) == (False, "disk full; make room", 3)
        fanout.emit(trades(4, 5))
        await asyncio.sleep(5.0)
        (status,) = fanout.status()
        assert (status.healthy, status.error, status.queued) == (True, "", 0)
        assert store.durable == trades(1, 5)
        await fanout.drain(1.0)
        await running

    leap(story())


def test_same_batch_is_written_again_after_a_failed_write() -> None:
    async def story() -> None:
        batches: list[list[Record]] = []

        class Picky(Store):
            async def write(self, records: Sequence[Record]) -> bool:
                batches.append(list(records))
                return await super().write(records)

        store = Picky()
        store.write_script = ["no"] * 2
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 2))
        await asyncio.sleep(0.06)
        fanout.emit(trades(3, 4))
        await fanout.drain(9.0)
        await running
        assert batches == [trades(1, 2)] * 3 + [trades(3, 4)]

    leap(story())


def test_a_sink_that_cannot_be_opened_is_tried_again() -> None:
    async def story() -> None:
        store = Store()
        store.open_script = ["no such directory"] * 4
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        await asyncio.sleep(0.01)
        assert fanout.status()[0].error == "no such directory"
        fanout.emit(trades(1, 2))
        await asyncio.sleep(5.0)
        assert (fanout.status()[0].healthy, store.durable) == (True, trades(1, 2))
        await fanout.drain(1.0)
        await running

    leap(story())


def test_records_are_written_again_after_a_failed_sync() -> None:
    async def story() -> None:
        store = Store()
        store.sync_script = ["I/O error"] * 2
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        await asyncio.sleep(9.0)
        assert store.durable == trades(1, 3)
        await fanout.drain(1.0)
        await running

    leap(story())


def test_a_failing_sink_does_not_hold_up_the_others() -> None:
    async def story() -> None:
        bad, good = Store("bad"), Store("good")
        bad.write_script = ["no"] * 1000
        fanout = Fanout([bad, good], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        await asyncio.sleep(2.0)
        assert good.durable == trades(1, 3)
        assert await fanout.drain(1.0) == 3
        await running

    leap(story())


def test_a_call_that_hangs_makes_the_sink_unhealthy() -> None:
    async def story() -> None:
        store = Store()
        store.write_script = [STALL_TIMEOUT_S * 3]
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        await asyncio.sleep(STALL_TIMEOUT_S - 1)
        assert fanout.status()[0].healthy
        await asyncio.sleep(3)
        assert fanout.status()[0].error == "has taken no data for 12 s; 3 records wait"
        assert await fanout.drain(1.0) == 3
        await running
        assert store.is_closed

    leap(story())


def test_slow_sink_drops_records_and_reports_them_in_order() -> None:
    async def story() -> None:
        store = Store(sync_interval_s=0.0)
        store.write_script = [5.0]
        fanout = Fanout([store], clock, queue_limit=10)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 10))
        fanout.emit(trades(11, 14))
        (status,) = fanout.status()
        assert (status.healthy, status.error) == (False, "is slower than the data; 4 records dropped so far")
        await asyncio.sleep(6.0)
        fanout.emit(trades(15, 16))
        await fanout.drain(1.0)
        await running
        note = store.durable[10]
        assert isinstance(note, Dropped)
        assert (note.stream, note.sink, note.count) == ("BTC-USDT/trade", "out", 4)
        assert fanout.next_number("out") == len(store.durable) == 13
        assert [*store.durable[:10], *store.durable[11:]] == [*trades(1, 10), *trades(15, 16)]
        (status,) = fanout.status()
        assert (status.healthy, status.dropped, fanout.dropped, status.acknowledged) == (True, 4, 4, 12)

    leap(story())


def test_a_bug_in_a_sink_ends_the_run() -> None:
    async def story() -> None:
        class Broken(Store):
            async def write(self, records: Sequence[Record]) -> bool:
                raise ZeroDivisionError

        broken, other = Broken(), Store()
        fanout = Fanout([broken, other], clock)
        fanout.emit(trades(1, 1))
        with pytest.raises(ZeroDivisionError):
            await fanout.run()
        assert broken.is_closed
        assert await fanout.drain(1.0) == 1, "the other sink writes on until it is drained"
        assert other.durable == trades(1, 1)
        assert other.is_closed

    leap(story())


class GoneStore(Store):
    """A sink whose reader has gone."""

    async def write(self, records: Sequence[Record]) -> bool:
        raise SinkGoneError("its reader has gone")


def test_run_ends_with_the_error_when_the_only_sink_has_gone() -> None:
    async def story() -> None:
        gone = GoneStore()
        fanout = Fanout([gone], clock)
        fanout.emit(trades(1, 3))
        with pytest.raises(SinkGoneError, match="its reader has gone"):
            await fanout.run()
        assert gone.is_closed
        started_at = clock().at
        assert await fanout.drain(15.0) == 3
        assert clock().at == started_at, "nothing is waited for"

    leap(story())


def test_other_sinks_go_on_when_one_has_gone() -> None:
    async def story() -> None:
        store = Store()
        fanout = Fanout([GoneStore("gone"), store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 1))
        await asyncio.sleep(60)
        fanout.emit(trades(2, 3))
        gone, other = fanout.status()
        assert (gone.healthy, gone.error) == (False, "its reader has gone")
        assert other.healthy
        assert await fanout.drain(15.0) == 3
        await running
        assert store.durable == trades(1, 3)

    leap(story())


@pytest.mark.parametrize("when_s", [0.0, 0.5, 1.5])
def test_cancelling_every_task_loses_no_record(when_s: float) -> None:
    """asyncio.run does so at the end of the program, even in the middle of a write."""

    async def story() -> None:
        store = Store()
        store.write_script = [0.2, 1.0, 1.0]
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 2))
        await asyncio.sleep(when_s)
        fanout.emit(trades(3, 4))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        assert await fanout.drain(15.0) == 0
        assert {record for record in store.durable if isinstance(record, Trade)} == set(trades(1, 4))
        assert running.done()

    leap(story())


def test_cancelling_a_drain_does_not_shorten_it() -> None:
    async def story() -> None:
        store = Store()
        store.write_script = [3.0]
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 2))
        draining = asyncio.create_task(fanout.drain(15.0))
        for _ in range(3):
            await asyncio.sleep(0.5)
            draining.cancel()
        assert await draining == 0
        await running
        assert store.durable == trades(1, 2)

    leap(story())


def test_drain_ends_though_a_write_and_its_sink_hang() -> None:
    async def story() -> None:
        class Hanging(Store):
            async def write(self, records: Sequence[Record]) -> bool:
                with contextlib.suppress(asyncio.CancelledError):  # as `finish_in_thread` does
                    await asyncio.sleep(3600)
                await asyncio.sleep(3600)
                return False

            async def close(self) -> None:
                await asyncio.sleep(3600)

        fanout = Fanout([Hanging()], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 2))
        await asyncio.sleep(1)
        started_at = clock().at
        assert await fanout.drain(15.0) == 2
        assert clock().at - started_at < 21
        await running

    leap(story())


def test_drain_returns_the_number_of_remaining_records_in_time() -> None:
    async def story() -> None:
        store = Store()
        store.write_script = ["no"] * 1000
        fanout = Fanout([store], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 7))
        started = clock().at
        assert await fanout.drain(2.0) == 7
        await running
        assert clock().at - started < 2.1
        assert store.is_closed

    leap(story())


def test_close_error_of_a_sink_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Sticky(Store):
        async def close(self) -> None:
            raise SinkError("would not close")

    async def story() -> None:
        fanout = Fanout([Sticky()], clock)
        running = asyncio.create_task(fanout.run())
        assert await fanout.drain(1.0) == 0
        await running

    leap(story())
    assert "sink out did not close cleanly: would not close" in caplog.text


def test_draining_before_running_has_nothing_to_wait_for() -> None:
    async def story() -> None:
        fanout = Fanout([Store()], clock)
        fanout.emit(trades(1, 2))
        assert await fanout.drain(1.0) == 2

    leap(story())


def check_nothing_is_lost_unseen(emitted: dict[str, int], durable: list[Record]) -> None:
    """Each stream's numbers go up by one; where they jump, `Dropped` records in between tell exactly how far."""
    reached = dict.fromkeys(emitted, 0)
    reported = dict.fromkeys(emitted, 0)
    for record in durable:
        if isinstance(record, Dropped):
            reported[record.stream] += record.count
        else:
            assert isinstance(record, Trade)
            stream = f"{record.symbol}/trade"
            assert int(record.trade_id) == reached[stream] + reported[stream] + 1
            reached[stream], reported[stream] = int(record.trade_id), 0
    assert {stream: reached[stream] + reported[stream] for stream in emitted} == emitted


TROUBLE = st.lists(st.one_of(st.just("no"), st.sampled_from([0.0, 0.0, 0.01, 0.3, 2.0])), max_size=30)


@hypothesis_settings(deadline=None, max_examples=150)
@given(
    opening=TROUBLE,
    writing=TROUBLE,
    syncing=TROUBLE,
    sync_interval_s=st.sampled_from([0.0, 0.1, 1.0, 60.0]),
    limit=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_every_record_is_acknowledged_in_order_or_counted_as_dropped(
    opening: list[float | str],
    writing: list[float | str],
    syncing: list[float | str],
    sync_interval_s: float,
    limit: int,
    seed: int,
) -> None:
    async def story() -> None:
        store = Store(sync_interval_s=sync_interval_s)
        store.open_script, store.write_script, store.sync_script = [*opening], [*writing], [*syncing]
        fanout = Fanout([store], clock, queue_limit=limit)
        running = asyncio.create_task(fanout.run())
        chance = random.Random(seed)
        emitted = {"BTC-USDT/trade": 0, "ETH-USDT/trade": 0}
        for _ in range(60):
            symbol = chance.choice(["BTC-USDT", "ETH-USDT"])
            count = chance.randint(1, 12)
            start = emitted[f"{symbol}/trade"]
            fanout.emit([trade(start + number, symbol) for number in range(1, count + 1)])
            emitted[f"{symbol}/trade"] += count
            (status,) = fanout.status()
            assert fanout.records == status.acknowledged + status.dropped + status.queued
            assert status.queued <= limit
            await asyncio.sleep(chance.choice([0.0, 0.001, 0.06, 0.5]))
        assert await fanout.drain(10_000.0) == 0
        await running
        (status,) = fanout.status()
        assert fanout.records == status.acknowledged + status.dropped
        check_nothing_is_lost_unseen(emitted, store.durable)

    leap(story())


# -- what was dropped, and where each sink stands


def test_loss_is_backfilled_for_that_sink_when_it_accepts_data_again() -> None:
    async def story() -> None:
        reported: list[Loss] = []

        def backfill(loss: Loss, now: Moment) -> Sequence[Record]:
            reported.append(loss)
            return [trade(999)]

        slow, fast = Store("slow"), Store("fast")
        slow.write_script = [30.0]
        fanout = Fanout([slow, fast], clock, queue_limit=10, on_loss=backfill)
        running = asyncio.create_task(fanout.run())
        for number in range(1, 31):
            fanout.emit([trade(number)])
            await asyncio.sleep(0.5)
        assert fanout.full_sinks() == {"slow"}
        assert [loss.ids for loss in fanout.unreported_losses()] == [((11, 30),)]
        assert fanout.status()[0].error == "has taken no data for 15 s; 10 records wait"
        await asyncio.sleep(60.0)
        assert (fanout.full_sinks(), fanout.unreported_losses()) == (frozenset(), [])
        await fanout.drain(5.0)
        await running
        assert reported == [Loss("slow", "BTC-USDT/trade", 20, ((11, 30),))]
        assert [r.trade_id for r in slow.durable if isinstance(r, Trade)] == [*map(str, range(1, 11)), "999"]
        assert fast.durable == trades(1, 30)

    leap(story())


def test_records_for_one_sink_go_to_that_sink() -> None:
    async def story() -> None:
        stores = [Store("a"), Store("b")]
        fanout = Fanout(stores, clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 2), "b")
        assert (fanout.next_number("a"), fanout.next_number("b")) == (0, 2)
        await fanout.drain(5.0)
        await running
        assert [store.durable for store in stores] == [[], trades(1, 2)]

    leap(story())


def test_sink_far_behind_is_unhealthy_before_it_drops_records() -> None:
    async def story() -> None:
        store = Store()
        store.write_script = [5.0]
        fanout = Fanout([store], clock, queue_limit=10)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 6))
        await asyncio.sleep(1.0)
        (status,) = fanout.status()
        assert (status.healthy, status.dropped) == (False, 0)
        assert status.error == "is behind: 6 records wait, its queue is 60% full"
        await fanout.drain(30.0)
        await running

    leap(story())


def test_sink_reaches_a_mark_when_it_acknowledged_all_earlier_records() -> None:
    async def story() -> None:
        fast, slow = Store("fast"), Store("slow")
        slow.write_script = [20.0]
        fanout = Fanout([fast, slow], clock)
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 3))
        fanout.mark(7)
        await asyncio.sleep(5.0)
        assert fanout.reached() == {"fast": 7, "slow": 0}
        await asyncio.sleep(30.0)
        assert fanout.reached() == {"fast": 7, "slow": 7}
        await fanout.drain(5.0)
        await running

    leap(story())


class Remembering(Store):
    """A store whose content can be recalled."""

    def __init__(self, name: str, *, is_broken: bool = False) -> None:
        super().__init__(name)
        self.recalled: list[tuple[str | None, bool]] = []
        self.is_broken = is_broken

    def place(self) -> str:
        return f"{self.name}:9"

    async def recall(self, place: str | None, *, keep: bool) -> Memory:
        self.recalled.append((place, keep))
        if self.is_broken:
            raise SinkError("cannot be read")
        return Memory({"BTC-USDT/trade": [(1, 1)]})


def test_one_sink_that_remembers_is_believed() -> None:
    async def story() -> None:
        sink = Remembering("a")
        fanout = Fanout([sink], clock)
        assert fanout.places() == {"a": "a:9"}
        assert await fanout.recall({"a": "a:5"}) == Memory({"BTC-USDT/trade": [(1, 1)]})
        assert sink.recalled == [("a:5", False)]

    leap(story())


def test_each_of_several_sinks_keeps_its_own_content() -> None:
    async def story() -> None:
        sinks = [Remembering("a"), Store("b")]
        fanout = Fanout(sinks, clock)
        assert fanout.places() == {"a": "a:9"}
        assert await fanout.recall({"a": "a:5"}) is None
        assert isinstance(sinks[0], Remembering)
        assert sinks[0].recalled == [("a:5", True)]

    leap(story())


def test_recall_logs_a_sink_that_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        assert await Fanout([Remembering("a", is_broken=True)], clock).recall({"a": "a:5"}) is None

    leap(story())
    assert "cannot be read" in caplog.text


class Recording(Store):
    """A store of files: it needs another header after some records."""

    is_recording = True
    needs_header = True

    def __init__(self, name: str = "out", records_per_file: int = 2) -> None:
        super().__init__(name)
        self._records_per_file = records_per_file

    async def write(self, records: Sequence[Record]) -> bool:
        assert not any(isinstance(record, Header) for record in records[1:])
        if isinstance(records[0], Header):
            assert not self.written, "a header before the file is synced"
            self.needs_header = False
        return await super().write(records)

    async def sync(self) -> None:
        await super().sync()
        last = max((at for at, record in enumerate(self.durable) if isinstance(record, Header)), default=0)
        self.needs_header = len(self.durable) - last > self._records_per_file


def test_header_precedes_the_records_queued_after_it() -> None:
    async def story() -> None:
        store = Recording()
        fanout = Fanout([store], clock, start_file=lambda now: [header()])
        fanout.start_files()
        fanout.emit(trades(1, 2))
        running = asyncio.create_task(fanout.run())
        await asyncio.sleep(2)
        fanout.emit(trades(3, 3))
        await asyncio.sleep(2)
        assert store.durable == [header(), *trades(1, 2), header(), *trades(3, 3)]
        assert (fanout.records, fanout.status()[0].acknowledged, fanout.status()[0].queued) == (3, 3, 0)
        fanout.emit(trades(4, 4))
        assert await fanout.drain(5.0) == 0
        await running
        assert store.durable[-1] == trade(4), "a file for nothing at the end"

    leap(story())


def test_header_comes_again_after_a_failed_sync() -> None:
    async def story() -> None:
        store = Recording(records_per_file=9)
        store.sync_script = ["no disk"]
        fanout = Fanout([store], clock, start_file=lambda now: [header()])
        fanout.start_files()
        running = asyncio.create_task(fanout.run())
        fanout.emit(trades(1, 2))
        assert await fanout.drain(5.0) == 0
        await running
        assert store.durable == [header(), *trades(1, 2)]

    leap(story())


def test_header_waits_while_a_book_has_no_certain_state() -> None:
    async def story() -> None:
        store, answers = Recording(), [[header()], [], [], [header()]]
        fanout = Fanout([store], clock, start_file=lambda now: answers.pop(0))
        fanout.start_files()
        fanout.emit(trades(1, 2))
        running = asyncio.create_task(fanout.run())
        await asyncio.sleep(0.5)
        fanout.emit(trades(3, 3))
        await asyncio.sleep(5)
        fanout.emit(trades(4, 4))
        await asyncio.sleep(2)
        assert store.durable == [header(), *trades(1, 3), header(), *trades(4, 4)]
        await fanout.drain(5.0)
        await running

    leap(story())


def test_header_waits_until_dropped_records_are_reported() -> None:
    async def story() -> None:
        store = Recording(records_per_file=2)
        store.sync_script = [0.0, 5.0]
        fanout = Fanout([store], clock, queue_limit=10, start_file=lambda now: [header()])
        fanout.start_files()
        running = asyncio.create_task(fanout.run())
        await asyncio.sleep(2)
        fanout.emit(trades(1, 5))
        await asyncio.sleep(1.5)
        fanout.emit(trades(6, 30))
        await asyncio.sleep(20)
        kinds = [type(record) for record in store.durable]
        assert kinds.count(Dropped) == 1
        assert kinds.index(Header, 1) > kinds.index(Dropped)
        await fanout.drain(5.0)
        await running

    leap(story())


def test_repeated_records_go_to_recording_sinks_only() -> None:
    async def story() -> None:
        recording, other = Recording(), Store("other")
        fanout = Fanout([recording, other], clock)
        assert fanout.is_recording
        assert not Fanout([other], clock).is_recording
        fanout.repeat(trades(1, 1))
        fanout.repeat([])
        running = asyncio.create_task(fanout.run())
        await fanout.drain(5.0)
        await running
        assert (recording.durable, other.durable) == (trades(1, 1), [])
        assert (fanout.records, fanout.status()[0].acknowledged) == (0, 0)

    leap(story())


def test_sink_that_is_behind_gets_no_repeated_records() -> None:
    async def story() -> None:
        recording = Recording()
        fanout = Fanout([recording], clock, queue_limit=10)
        fanout.emit(trades(1, 6))
        fanout.repeat(trades(9, 9))
        running = asyncio.create_task(fanout.run())
        await fanout.drain(5.0)
        await running
        assert recording.durable == trades(1, 6)

    leap(story())
