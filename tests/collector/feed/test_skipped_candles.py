"""Candles of an exchange that sends none for an interval without trades."""

import pytest

from market_collector.errors import RequestFailedError
from market_collector.feed.backfill import Backfiller, HistoryRequest
from market_collector.feed.effects import Emit
from market_collector.feed.ledger import Ledger
from market_collector.feed.stream_state import CandleProgress
from market_collector.model.events import Candle, Gap, Record, Repaired
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from rest_apis import SparseCandles, minute

CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


class Setup:
    """A ledger of an exchange that skips empty candles; history has candles with these numbers."""

    def __init__(self, *there: int, skips: bool = True) -> None:
        self.api = SparseCandles(*((number, 0) for number in there))
        self.ledger = Ledger("imaginary", [CANDLES], 60.0, at(0), skips_empty_candles=skips)
        self.backfiller = Backfiller(self.api, self.ledger)
        progress = self.ledger.streams[CANDLES]
        assert isinstance(progress, CandleProgress)
        self.progress = progress

    def take(self, *candles: Candle, seconds: float = 1.0) -> list[Record]:
        return self.ledger.ids.take_candles(self.progress, candles, at(seconds))

    def request(self, seconds: float = 1.3) -> HistoryRequest:
        request = self.backfiller.next_request(at(seconds))
        assert request is not None
        assert request.request is not None
        return request

    def answer(self, request: HistoryRequest, seconds: float = 1.5) -> list[Record]:
        assert request.request is not None
        effects = self.backfiller.answered(request, self.api.answer(request.request.path), at(seconds))
        return [record for effect in effects if isinstance(effect, Emit) for record in effect.records]


def summary(records: list[Record]) -> list[object]:
    """Numbers of candles, and the types of events."""
    return [each.open_time_ns // 60_000_000_000 if isinstance(each, Candle) else type(each) for each in records]


def test_quiet_minutes_are_no_gap() -> None:
    setup = Setup(4, 5, 8)
    assert summary(setup.take(minute(5))) == [5]
    assert setup.take(minute(8, closed=False)) == []
    assert setup.take(minute(8), minute(9, closed=False), seconds=1.2) == [], "they wait"
    records = setup.answer(setup.request())
    assert summary(records) == [8, 8, 9]
    assert setup.ledger.gaps.detected == 0
    assert summary(setup.take(minute(9), minute(10), seconds=2)) == [9, 10]


def test_skipped_minute_with_trades_is_a_gap_before_the_next_candle() -> None:
    setup = Setup(4, 5, 7, 8)
    setup.take(minute(5))
    setup.take(minute(8))
    records = setup.answer(setup.request())
    assert summary(records) == [Gap, 8]
    records = []
    for second in range(2, 60):
        while request := setup.backfiller.next_request(at(second)):
            records += setup.answer(request, second)
    assert summary(records) == [7, Repaired], "6 does not exist"


def test_candles_wait_no_longer_than_the_reorder_window() -> None:
    setup = Setup(4, 5, 8)
    setup.take(minute(5))
    setup.take(minute(8))
    assert setup.ledger.check_overdue(at(1.9)) == []
    assert summary(setup.ledger.check_overdue(at(2.0))) == [Gap, 8]


@pytest.mark.parametrize("there", [(4, 5, 8), (4, 5, 7, 8)])
def test_answer_after_the_reorder_window_leaves_the_gap_to_backfill(there: tuple[int, ...]) -> None:
    setup = Setup(*there)
    setup.take(minute(5))
    setup.take(minute(8))
    request = setup.request()
    assert summary(setup.ledger.check_overdue(at(2.0))) == [Gap, 8]
    assert setup.answer(request, 2.5) == []
    records: list[Record] = []
    for second in range(3, 60):
        while again := setup.backfiller.next_request(at(second)):
            records += setup.answer(again, second)
    assert summary(records)[-1] is Repaired
    assert setup.take(minute(12), seconds=60) == [], "the next range waits for history as well"


@pytest.mark.parametrize("there", [(), (8, 9), (7, 8)])
def test_history_that_does_not_reach_back_proves_nothing(there: tuple[int, ...]) -> None:
    setup = Setup(*there)
    setup.take(minute(5))
    setup.take(minute(8))
    records = setup.answer(setup.request())
    assert summary(records) == ([Gap, 8] if 7 in there else [])
    assert setup.backfiller.next_request(at(1.6)) is None or 7 in there, "once for each range"


def test_failed_request_leaves_the_decision_to_the_window() -> None:
    setup = Setup(5, 8)
    setup.take(minute(5))
    setup.take(minute(8))
    assert setup.backfiller.failed(setup.request(), str(RequestFailedError("HTTP 500")), at(1.5)) == []
    assert summary(setup.ledger.check_overdue(at(2.0))) == [Gap, 8]


def test_candle_that_only_rest_knows_is_asked_for_before_its_gap() -> None:
    setup = Setup(4, 5, 8)
    setup.take(minute(5))
    setup.ledger.ids.expect(setup.progress, 8 * 60_000, at(1))
    assert setup.answer(setup.request()) == []
    assert setup.ledger.check_overdue(at(3)) == []
    assert summary(setup.take(minute(8), seconds=4)) == [8]


def test_waiting_candles_are_not_counted_as_received() -> None:
    """A checkpoint taken meanwhile continues after the last published candle."""
    setup = Setup(5, 8)
    setup.take(minute(5))
    setup.take(minute(8))
    assert setup.progress.ids.last_id == 5


def test_exchange_that_sends_empty_candles_has_a_gap_at_once() -> None:
    setup = Setup(5, 8, skips=False)
    setup.take(minute(5))
    assert summary(setup.take(minute(8))) == [Gap, 8]
