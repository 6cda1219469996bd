"""Backfill over HTTP from an imaginary exchange whose history has cursors, and from one that cannot help."""

import asyncio

import pytest

from kept_records import Output
from market_collector.exchanges.interface import HistoryRange
from market_collector.feed.backfill import Backfiller
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Lost, Record, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from market_collector.net.backfill_task import BackfillTask
from market_collector.net.clock import read_clock
from market_collector.net.rest import Rest
from rest_apis import ByTime, served

TRADES = Stream("BTC-USDT", DataType.TRADE)


async def backfilled(api: ByTime) -> list[Record]:
    """The records of a gap from 101 to 134."""
    now, output = read_clock(), Output()
    ledger = Ledger("imaginary", [TRADES], 60.0, now)
    seen = [Trade("imaginary", "BTC-USDT", 10 * n, 1, str(n), str(n), 1, "buy", "1", "1") for n in (100, 135)]
    ledger.ids.take_trades(ledger.ids.streams[TRADES], seen, now)
    ledger.check_overdue(Moment(now.at + 5, now.wall_ns))
    with served(lambda path: (200, {}, api.answer(path))) as base:
        rest = Rest({"rest": base}, api, tls=None)
        task = asyncio.create_task(
            BackfillTask(Backfiller(api, ledger), rest, output, read_clock, ledger.complaints).run()
        )
        async with asyncio.timeout(20):
            while ledger.gaps.all_open():
                await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
    return output.records


async def test_gap_is_filled_page_by_page_with_cursors() -> None:
    api = ByTime(*((number, 10 * number) for number in range(1, 200)))
    records = await backfilled(api)
    assert [int(record.trade_id) for record in records if isinstance(record, Trade)] == list(range(101, 135))
    assert api.paths == ["/trades?since=999", *(f"/trades?cursor={at}" for at in (109, 119, 129))]


async def test_gap_that_history_cannot_have_is_lost_without_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    api = ByTime()

    def nothing(stream: Stream, missing: HistoryRange) -> None:
        return None

    monkeypatch.setattr(api, "history", nothing)
    (record,) = await backfilled(api)
    assert isinstance(record, Lost)
    assert record.ranges == [("101", "134")]
    assert api.paths == []
