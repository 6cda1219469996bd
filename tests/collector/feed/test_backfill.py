"""Backfill: history requests, their answers, and records that count as lost."""

import json
from collections.abc import Iterable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.backfill import GIVE_UP_AFTER_S, Backfiller, HistoryRequest
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.ledger import Ledger, Loss
from market_collector.model.events import Candle, Gap, Lost, Record, Repaired, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream

TRADES = Stream("BTC-USDT", DataType.TRADE)
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
PAGE = 100


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def live(number: int) -> Trade:
    return Trade("okx", "BTC-USDT", number, 1, str(number), str(number), 1, "buy", "1", "1")


def page_of(numbers: Iterable[int]) -> bytes:
    """REST's answer, newest first."""
    fill = {"instId": "BTC-USDT", "side": "sell", "sz": "2", "px": "1", "source": "0"}
    rows = [fill | {"tradeId": str(number), "ts": str(number)} for number in sorted(numbers, reverse=True)]
    return json.dumps({"code": "0", "msg": "", "data": rows[:PAGE]}).encode()


def emitted(effects: Sequence[Emit | Warn]) -> list[Record]:
    return [record for effect in effects if isinstance(effect, Emit) for record in effect.records]


def ids(records: Iterable[Record]) -> list[int]:
    return [int(record.trade_id) for record in records if isinstance(record, Trade)]


class Setup:
    """A ledger whose trades have gaps, and its backfiller."""

    def __init__(self, *seen: int) -> None:
        self.ledger = Ledger("okx", [TRADES, CANDLES], 60.0, at(0))
        self.progress = self.ledger.ids.streams[TRADES]
        self.backfiller = Backfiller(Okx().rest_api, self.ledger)
        self.ledger.ids.take_trades(self.progress, [live(number) for number in seen], at(1))
        self.gaps = self.ledger.check_overdue(at(3))

    def request(self, seconds: float = 4.0) -> HistoryRequest:
        request = self.backfiller.next_request(at(seconds))
        assert request is not None
        return request

    def answer(self, numbers: Iterable[int], seconds: float = 4.0) -> list[Record]:
        return emitted(self.backfiller.answered(self.request(seconds), page_of(numbers), at(seconds)))


def test_gap_is_requested_by_the_page_that_ends_with_it() -> None:
    setup = Setup(100, 106)
    assert setup.request().request.path == "/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=106&limit=100"


def test_long_gap_is_filled_from_its_first_id_in_order() -> None:
    setup = Setup(100, 351)
    got: list[Record] = []
    for _ in range(3):
        request = setup.request()
        got += emitted(
            setup.backfiller.answered(request, page_of(range(request.last - PAGE + 1, request.last + 1)), at(4))
        )
    assert ids(got) == list(range(101, 351))
    assert all(record.backfilled for record in got if isinstance(record, Trade))
    assert isinstance(got[-1], Repaired)
    assert (got[-1].recovered, setup.ledger.gaps.all_open()) == (250, [])
    assert setup.backfiller.next_request(at(99)) is None


def test_the_newest_gap_comes_first() -> None:
    setup = Setup(100, 103)
    setup.ledger.ids.take_trades(setup.progress, [live(110)], at(5))
    setup.ledger.check_overdue(at(7))
    assert setup.request(8).first == 104


def test_missing_id_is_requested_again_and_later_ids_wait_for_it() -> None:
    setup = Setup(100, 106)
    assert ids(setup.answer([101, 102, 104, 105])) == [101, 102]
    assert setup.backfiller.next_request(at(4.1)) is None
    got = setup.answer([101, 102, 103, 104, 105], 5)
    assert ids(got) == [103, 104, 105]
    assert isinstance(got[-1], Repaired)


def test_ids_that_history_never_has_are_lost() -> None:
    setup = Setup(100, 106)
    got: list[Record] = []
    seconds = 4.0
    while setup.ledger.gaps.all_open():
        seconds += 0.25
        if request := setup.backfiller.next_request(at(seconds)):
            got += emitted(setup.backfiller.answered(request, page_of([99, 100, 101, 104]), at(seconds)))
    assert ids(got) == [101, 104]
    lost = got[-1]
    assert isinstance(lost, Lost)
    assert (lost.recovered, lost.missing, lost.ranges) == (2, 3, [("102", "103"), ("105", "105")])
    assert seconds >= 4 + GIVE_UP_AFTER_S
    assert setup.progress.ids.missing_in(0, 999) == []


def test_gap_stays_open_when_requests_fail() -> None:
    setup = Setup(100, 106)
    asked = 0
    for second in range(4, 400):
        if request := setup.backfiller.next_request(at(second)):
            asked += 1
            failed = setup.backfiller.failed(request, "HTTP Error 500", at(second))
            assert [type(effect) for effect in failed] == [Warn]
    assert 10 < asked < 30
    assert [known.gap.missing for known in setup.ledger.gaps.all_open()] == [5]


def test_malformed_answer_is_an_error() -> None:
    setup = Setup(100, 106)
    for body in (b"<html>", b'{"code":"50001","msg":"Service temporarily unavailable","data":[]}'):
        effects = setup.backfiller.answered(setup.request(60), body, at(4))
        assert [type(effect) for effect in effects] == [Warn]
    assert setup.ledger.gaps.all_open()


def test_rows_are_not_emitted_again_when_the_stream_delivered_them() -> None:
    setup = Setup(100, 106)
    request = setup.request()
    setup.ledger.ids.take_trades(setup.progress, [live(102)], at(4))
    got = emitted(setup.backfiller.answered(request, page_of(range(90, 106)), at(4)))
    assert ids(got) == [101, 103, 104, 105]
    assert setup.ledger.duplicates == 0


def test_answer_is_ignored_when_late_rows_filled_the_gap() -> None:
    setup = Setup(100, 103)
    request = setup.request()
    setup.ledger.ids.take_trades(setup.progress, [live(101), live(102)], at(4))
    assert setup.backfiller.answered(request, page_of([101, 102]), at(4)) == []


def test_dropped_records_are_backfilled_for_that_sink_when_it_has_room() -> None:
    setup = Setup(100, 101)
    setup.ledger.on_sink_loss(Loss("out", str(TRADES), 2, ((98, 99),)), at(4))
    assert setup.backfiller.next_request(at(5), full_sinks={"out"}) is None
    (effect,) = setup.backfiller.answered(setup.request(5), page_of(range(90, 100)), at(5))
    assert isinstance(effect, Emit)
    assert (effect.sink, ids(effect.records)) == ("out", [98, 99])
    assert isinstance(effect.records[-1], Repaired)


def minute(number: int) -> list[str]:
    return [str(number * 60_000), "1", "2", "3", "4", "5", "6", "7", "1"]


def candle_setup() -> Setup:
    setup = Setup()
    candles = [
        Candle("okx", "BTC-USDT", None, 1, "1m", n * 60_000_000_000, "1", "2", "3", "4", "5", None, None, closed=True)
        for n in (5, 9)
    ]
    setup.ledger.ids.take_candles(setup.ledger.ids.streams[CANDLES], candles, at(1))
    setup.gaps = setup.ledger.check_overdue(at(3))
    return setup


def test_closed_candles_are_backfilled_from_history() -> None:
    setup = candle_setup()
    request = setup.request()
    path = "/api/v5/market/candles?instId=BTC-USDT&bar=1m&after=540000&limit=100"
    assert request.request.path == path
    body = json.dumps({"code": "0", "data": [minute(n) for n in (8, 7, 6, 5)]}).encode()
    got = emitted(setup.backfiller.answered(request, body, at(4)))
    assert [r.open_time_ns // 60_000_000_000 for r in got if isinstance(r, Candle) and r.backfilled] == [6, 7, 8]
    assert isinstance(got[-1], Repaired)


def test_an_interval_without_trades_has_no_candle_and_nothing_is_missing() -> None:
    setup = candle_setup()
    body = json.dumps({"code": "0", "data": [minute(n) for n in (8, 6, 5)]}).encode()
    got: list[Record] = []
    for tenth in range(40, 500):
        if request := setup.backfiller.next_request(at(tenth / 10)):
            got += emitted(setup.backfiller.answered(request, body, at(tenth / 10)))
    assert isinstance(got[-1], Repaired)
    assert (got[-1].recovered, got[-1].missing, got[-1].reason) == (2, 0, "NothingTraded")


@given(st.sets(st.integers(2, 400)), st.sets(st.integers(2, 400)), st.integers(0, 7))
def test_every_fill_is_delivered_once_or_reported_as_lost(seen: set[int], forgotten: set[int], errors: int) -> None:
    """For any received ids, any ids that history lacks, and any number of errors."""
    setup = Setup(1, *sorted(seen), 401)
    history = set(range(1, 402)) - forgotten
    got: list[Record] = []
    second = 4.0
    while setup.ledger.gaps.all_open():
        second += 0.5
        assert second < 10_000, "it never ends"
        if request := setup.backfiller.next_request(at(second)):
            if errors > 0:
                errors -= 1
                setup.backfiller.failed(request, "HTTP Error 429", at(second))
                continue
            wanted = [number for number in history if number <= request.last]
            got += emitted(setup.backfiller.answered(request, page_of(wanted), at(second)))
    delivered = [1, *seen, 401, *ids(got)]
    named = [
        number
        for record in got
        if isinstance(record, Lost)
        for first, last in record.ranges or ()
        for number in range(int(first), int(last) + 1)
    ]
    assert sorted(delivered + named) == list(range(1, 402))
    assert set(named) == forgotten - seen - {1, 401}
    assert sum(gap.missing or 0 for gap in setup.gaps if isinstance(gap, Gap)) == len(ids(got)) + len(named)
