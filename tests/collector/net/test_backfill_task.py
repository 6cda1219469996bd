"""The backfill task with the simulator's REST API."""

import asyncio
from collections.abc import Iterator

import pytest

from exchange_words import WORDS
from kept_records import Output
from market_collector.exchanges import EXCHANGES
from market_collector.exchanges.interface import History
from market_collector.feed.backfill import Backfiller
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Repaired, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from market_collector.net.backfill_task import BackfillTask
from market_collector.net.clock import read_clock
from market_collector.net.rest import Rest
from simulator_process import MARKET, Simulator, simulator
from truth import Truth

pytestmark = pytest.mark.simulator
TRADES = Stream("BTC-USDT", DataType.TRADE)


@pytest.fixture(params=WORDS)
def exchange(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with simulator(*MARKET, exchange=request.param) as running:
        yield running


async def backfilled(exchange: Simulator, ledger: Ledger) -> Output:
    """Run the backfill until no gap is open."""
    output, rest_api = Output(), EXCHANGES[exchange.words.name].rest_api
    rest = Rest({"rest": exchange.rest}, rest_api, tls=None)
    task = asyncio.create_task(
        BackfillTask(Backfiller(rest_api, ledger), rest, output, read_clock, ledger.complaints).run()
    )
    async with asyncio.timeout(30):
        while ledger.gaps.all_open():
            await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return output


async def with_gap(exchange: Simulator, size: int) -> tuple[Ledger, range]:
    """Return a ledger that lacks ``size`` fills before the newest, and their ids."""
    newest = 0
    async with asyncio.timeout(20):
        while newest < size + 2:
            kept = exchange.get("/truth/summary")["symbols"].get("BTC-USDT", {})
            first, newest = kept.get("firstTradeId", 0), kept.get("lastTradeId", 0) - kept.get("firstTradeId", 0)
            await asyncio.sleep(0.1)
    now = read_clock()
    ledger = Ledger("okx", [TRADES], 60.0, now)
    for number in (first, first + size + 1):
        record = Trade("okx", "BTC-USDT", number, 1, str(number), str(number), 1, "buy", "1", "1")
        ledger.ids.take_trades(ledger.ids.streams[TRADES], [record], now)
    ledger.check_overdue(Moment(now.at + 5, now.wall_ns))
    return ledger, range(first + 1, first + size + 1)


async def test_gap_of_several_pages_is_filled_with_the_true_trades(exchange: Simulator) -> None:
    ledger, missing = await with_gap(exchange, 230)
    output = await backfilled(exchange, ledger)
    fills = [record for record in output.records if isinstance(record, Trade)]
    truth = Truth(exchange).fills(missing[0], missing[-1])
    assert [(int(fill.trade_id), fill.price, fill.amount, fill.side, fill.exchange_time_ns) for fill in fills] == [
        *truth
    ]
    assert isinstance(output.records[-1], Repaired)


async def test_backfill_is_only_delayed_when_rest_fails_temporarily(exchange: Simulator) -> None:
    ledger, missing = await with_gap(exchange, 20)
    exchange.post("/faults/rest", {"path": exchange.words.trade_history, "status": 500, "count": 2})
    output = await backfilled(exchange, ledger)
    assert [int(r.trade_id) for r in output.records if isinstance(r, Trade)] == list(missing)


async def test_an_internal_error_does_not_end_the_backfill(
    exchange: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mistakes = [OverflowError("int too large")]
    rest_api = EXCHANGES[exchange.words.name].rest_api
    read_history = rest_api.read_history

    def mistaken(stream: Stream, body: bytes, receive_time_ns: int) -> History:
        if mistakes:
            raise mistakes.pop()
        return read_history(stream, body, receive_time_ns)

    monkeypatch.setattr(rest_api, "read_history", mistaken)
    ledger, ids = await with_gap(exchange, 3)
    output = await backfilled(exchange, ledger)
    assert [int(each.trade_id) for each in output.records if isinstance(each, Trade)] == list(ids)
    assert ledger.complaints.internal_errors == 1
    assert "BTC-USDT/trade: backfill: internal error: OverflowError" in caplog.text
