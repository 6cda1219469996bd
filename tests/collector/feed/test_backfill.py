"""Backfill: history requests, their answers, and records that count as lost."""

import json
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_collector.exchanges.okx.exchange import Okx
from market_collector.feed.backfill import Backfiller, HistoryRequest
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.retries import GIVE_UP_AFTER_S
from market_collector.feed.stream_state import CandleProgress
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


def path_of(request: HistoryRequest) -> str:
    assert request.request is not None
    return request.request.path


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
        self.gaps: list[Gap] = []
        if seen:
            taken = self.ledger.ids.take_trades(self.progress, [live(number) for number in seen], at(1))
            self.gaps = [each for each in taken if isinstance(each, Gap)]

    def request(self, seconds: float = 4.0) -> HistoryRequest:
        request = self.backfiller.next_request(at(seconds))
        assert request is not None
        return request

    def answer(self, numbers: Iterable[int], seconds: float = 4.0) -> list[Record]:
        return emitted(self.backfiller.answered(self.request(seconds), page_of(numbers), at(seconds)))


def test_gap_is_requested_by_the_page_that_ends_with_it() -> None:
    setup = Setup(100, 106)
    assert path_of(setup.request()) == "/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=106&limit=100"


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
    asked, warned = 0, []
    for second in range(4, 400):
        if request := setup.backfiller.next_request(at(second)):
            asked += 1
            failed = setup.backfiller.failed(request, f"GET /x?after={asked}: HTTP 500", at(second))
            warned += [second for effect in failed if isinstance(effect, Warn)]
    assert 10 < asked < 30
    assert len(warned) == 2, "the same reason is repeated after five minutes"
    assert warned[0] == 4
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


# -- ids that history does not have


def backfilled_from(setup: Setup, history: Callable[[float, int], list[int]]) -> tuple[list[Record], int, float]:
    """Answer requests until no gap is open. Return the records, the number of requests, and the last second.

    ``history`` returns the ids that history has at a second, up to an id and the newest first.
    """
    got: list[Record] = []
    asked, second = 0, 4.0
    while setup.ledger.gaps.all_open():
        second += 0.5
        assert second < 10_000, "it never ends"
        if request := setup.backfiller.next_request(at(second)):
            asked += 1
            page = page_of(history(second, request.last)[:PAGE])
            got += emitted(setup.backfiller.answered(request, page, at(second)))
    return got, asked, second


def lost_ranges(records: Iterable[Record]) -> list[tuple[str, str]]:
    return [ids for record in records if isinstance(record, Lost) for ids in record.ranges or ()]


def up_to(last: int, *blocks: range) -> list[int]:
    """The newest 100 ids of the blocks up to ``last``, the newest first."""
    ids: list[int] = []
    for block in reversed(blocks):
        ids += list(block[: max(0, last + 1 - block.start)])[: -PAGE - 1 : -1]
    return ids[:PAGE]


@pytest.mark.parametrize("jump", [1_200, 2_000, 1_000_001, 3_000_000_000])
def test_ids_that_never_existed_are_lost_in_one_step(jump: int) -> None:
    setup = Setup(1_000, jump)
    got, asked, second = backfilled_from(setup, lambda _, last: up_to(last, range(500, 1_001), range(jump, jump + 9)))
    assert [type(record) for record in got] == [Lost]
    assert lost_ranges(got) == [("1001", str(jump - 1))]
    assert (asked < 20, GIVE_UP_AFTER_S < second - 4 < 2 * GIVE_UP_AFTER_S) == (True, True)
    assert setup.progress.ids.missing_in(0, jump) == []
    assert setup.ledger.gaps.lost_trades == jump - 1_001


@pytest.mark.parametrize("oldest", [500, 1_000_000])
def test_gap_is_filled_after_ids_that_never_existed_or_are_too_old(oldest: int) -> None:
    """While the collector was away, the ids jumped, or history lost its old records."""
    setup = Setup(1_000, 1_000_350)
    blocks = [range(oldest, 1_001), range(1_000_000, 1_000_351)]
    got, asked, _ = backfilled_from(setup, lambda _, last: up_to(last, *blocks))
    assert lost_ranges(got) == [("1001", "999999")]
    assert ids(got) == list(range(1_000_000, 1_000_350))
    assert asked < 60


def test_several_jumps_in_one_gap_have_exact_bounds() -> None:
    setup = Setup(1_000, 9_000_000)
    blocks = [range(900, 1_001), range(20_000, 20_130), range(21_000, 21_001), range(8_999_999, 9_000_001)]
    got, _, _ = backfilled_from(setup, lambda _, last: up_to(last, *blocks))
    assert lost_ranges(got) == [("1001", "19999"), ("20130", "20999"), ("21001", "8999998")]
    assert ids(got) == [*range(20_000, 20_130), 21_000, 8_999_999]


def test_nothing_is_lost_when_history_is_late_beyond_the_gap() -> None:
    setup = Setup(1_000, 2_000)
    got, _, _ = backfilled_from(
        setup, lambda second, last: up_to(last, range(500, 1_001 if second < GIVE_UP_AFTER_S else 2_001))
    )
    assert ids(got) == list(range(1_001, 2_000))
    assert not lost_ranges(got)


def test_one_empty_answer_loses_only_ids_that_all_answers_lacked() -> None:
    setup = Setup(100, 106)
    answers = [[102, 103, 105, *range(90, 100)]] * 6 + [[], [102, 103, 105]]
    got, _, _ = backfilled_from(setup, lambda _, last: answers.pop(0) if len(answers) > 1 else answers[0])
    assert (ids(got), lost_ranges(got)) == ([102, 103, 105], [("101", "101"), ("104", "104")])


def test_late_history_loses_no_more_than_a_page_at_once() -> None:
    setup = Setup(1_000, 2_000)
    got, _, _ = backfilled_from(setup, lambda second, last: up_to(last, range(500, 1_001 if second < 60 else 2_001)))
    assert lost_ranges(got) == [("1001", "1100")]
    assert ids(got) == list(range(1_101, 2_000))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(1, 2_000), st.integers(1, 150)), min_size=1, max_size=3),
    st.sets(st.integers(0, 40), max_size=4),
)
def test_blocks_of_history_are_delivered_and_all_else_is_lost(blocks: list[tuple[int, int]], errors: set[int]) -> None:
    """For any ids that history has in blocks, whatever answers are empty by mistake now and then."""
    there: list[range] = [range(800, 1_001)]
    for distance, length in blocks:
        start = there[-1].stop + distance
        there.append(range(start, start + length))
    live = there[-1].stop
    setup = Setup(1_000, live)
    answers = iter(range(1_000_000))
    history = [*there, range(live, live + 1)]
    got, _, _ = backfilled_from(setup, lambda _, last: [] if next(answers) in errors else up_to(last, *history))
    wanted = [number for block in there[1:] for number in block]
    assert ids(got) == wanted
    named = [number for first, last in lost_ranges(got) for number in range(int(first), int(last) + 1)]
    assert sorted(wanted + named) == list(range(1_001, live))


def minute(number: int) -> list[str]:
    return [str(number * 60_000), "1", "2", "3", "4", "5", "6", "7", "1"]


def closed(number: int) -> Candle:
    open_ns = number * 60_000_000_000
    return Candle("okx", "BTC-USDT", None, 1, "1m", open_ns, "1", "2", "3", "4", "5", None, None, closed=True)


def take_candles(setup: Setup, *numbers: int) -> None:
    progress = setup.ledger.ids.streams[CANDLES]
    assert isinstance(progress, CandleProgress)
    setup.ledger.ids.take_candles(progress, [closed(number) for number in numbers], at(1))


def candle_setup() -> Setup:
    setup = Setup()
    take_candles(setup, 5, 9)
    return setup


def test_closed_candles_are_backfilled_from_history() -> None:
    setup = candle_setup()
    request = setup.request()
    path = "/api/v5/market/candles?instId=BTC-USDT&bar=1m&after=540000&limit=100"
    assert path_of(request) == path
    body = json.dumps({"code": "0", "data": [minute(n) for n in (8, 7, 6, 5)]}).encode()
    got = emitted(setup.backfiller.answered(request, body, at(4)))
    assert [r.open_time_ns // 60_000_000_000 for r in got if isinstance(r, Candle) and r.backfilled] == [6, 7, 8]
    assert isinstance(got[-1], Repaired)


@pytest.mark.parametrize(
    ("odd", "row"), [(CANDLES, minute(8)[:5]), (TRADES, {"tradeId": "101", "sz": "2", "side": "sell", "ts": "1"})]
)
def test_history_row_that_lacks_a_field_leaves_other_gaps_alone(odd: Stream, row: object) -> None:
    setup = Setup(100, 102)
    take_candles(setup, 5, 9)
    setup.ledger.check_overdue(at(3))
    answers = {
        TRADES: page_of([101]),
        CANDLES: json.dumps({"code": "0", "data": [minute(n) for n in (8, 7, 6)]}).encode(),
    }
    answers[odd] = json.dumps({"code": "0", "data": [row]}).encode()
    effects: list[Emit | Warn] = []
    for second in range(4, 10):
        while request := setup.backfiller.next_request(at(second)):
            effects += setup.backfiller.answered(request, answers[request.stream], at(second))
    (warning,) = {effect.message for effect in effects if isinstance(effect, Warn)}
    assert warning.startswith(f"{odd}: ")
    assert f"OKX's answer for {odd} cannot be read" in warning
    assert [known.stream for known in setup.ledger.gaps.all_open()] == [odd]
    (repaired,) = [record for record in emitted(effects) if isinstance(record, Repaired)]
    assert repaired.missing == 0


def test_an_interval_without_trades_has_no_candle_and_nothing_is_missing() -> None:
    setup = candle_setup()
    body = json.dumps({"code": "0", "data": [minute(n) for n in (8, 6, 5)]}).encode()
    got: list[Record] = []
    for tenth in range(40, 500):
        if request := setup.backfiller.next_request(at(tenth / 10)):
            got += emitted(setup.backfiller.answered(request, body, at(tenth / 10)))
    assert isinstance(got[-1], Repaired)
    assert (got[-1].recovered, got[-1].missing, got[-1].reason) == (2, 0, "NothingTraded")


def test_candle_of_history_that_cannot_be_read_is_lost() -> None:
    """It exists, so its interval is not one without trades."""
    setup = candle_setup()
    body = json.dumps({"code": "0", "data": [minute(8), minute(7)[:5], minute(6), minute(5)]}).encode()
    got: list[Record] = []
    for tenth in range(40, 500):
        if request := setup.backfiller.next_request(at(tenth / 10)):
            got += emitted(setup.backfiller.answered(request, body, at(tenth / 10)))
    assert [r.open_time_ns // 60_000_000_000 for r in got if isinstance(r, Candle) and r.backfilled] == [6, 8]
    assert lost_ranges(got) == [("420000000000", "420000000000")]
    assert not setup.ledger.gaps.all_open()


@pytest.mark.parametrize(("oldest", "kind"), [(1, Repaired), (100_000, Lost)])
def test_candles_of_a_long_halt_do_not_exist_but_too_old_ones_are_lost(oldest: int, kind: type[Record]) -> None:
    """History shows the candles around a halt. Before its oldest candle it proves nothing."""
    setup = Setup()
    take_candles(setup, 5, 100_001)
    setup.ledger.check_overdue(at(3))
    got: list[Record] = []
    for tenth in range(40, 500):
        if request := setup.backfiller.next_request(at(tenth / 10)):
            rest = [minute(n) for n in up_to(request.last, range(oldest, 6), range(100_000, 100_002))]
            body = json.dumps({"code": "0", "data": rest}).encode()
            got += emitted(setup.backfiller.answered(request, body, at(tenth / 10)))
    assert [type(record) for record in got] == [Candle, kind]
    assert lost_ranges(got) == ([] if kind is Repaired else [("360000000000", str(99_999 * 60_000_000_000))])


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
    assert sum(gap.missing or 0 for gap in setup.gaps) == len(ids(got)) + len(named)
