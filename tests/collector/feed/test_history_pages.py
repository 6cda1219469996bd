"""Backfill from exchanges whose history is addressed by number, by time with a cursor, or not at all."""

import pytest

from market_collector.feed.backfill import Backfiller
from market_collector.feed.effects import Emit
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.retries import GIVE_UP_AFTER_S
from market_collector.model.events import Lost, Record, Repaired, Trade
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream
from rest_apis import ByNumber, ByTime, HistoryApi, NewestOnly

TRADES = Stream("BTC-USDT", DataType.TRADE)


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def live(number: int, time_ns: int) -> Trade:
    return Trade("imaginary", "BTC-USDT", time_ns, 1, str(number), str(number), 1, "buy", "1", "1")


class Setup:
    """A ledger that received these trades (id and time), and its backfiller."""

    def __init__(self, api: HistoryApi, *seen: tuple[int, int]) -> None:
        self.api = api
        self.ledger = Ledger("imaginary", [TRADES], 60.0, at(0))
        self.backfiller = Backfiller(api, self.ledger)
        self.ledger.ids.take_trades(self.ledger.ids.streams[TRADES], [live(*each) for each in seen], at(1))
        self.seconds = 4.0

    def run(self) -> list[Record]:
        """Send and answer requests until no gap is open; return the records."""
        records: list[Record] = []
        while self.ledger.gaps.all_open():
            self.seconds += 0.5
            assert self.seconds < 1_000, "it never ends"
            if request := self.backfiller.next_request(at(self.seconds)):
                if request.request is None:
                    effects = self.backfiller.out_of_reach(request, at(self.seconds))
                else:
                    effects = self.backfiller.answered(request, self.api.answer(request.request.path), at(self.seconds))
                records += [record for effect in effects if isinstance(effect, Emit) for record in effect.records]
        return records


def ids(records: list[Record]) -> list[int]:
    return [int(record.trade_id) for record in records if isinstance(record, Trade)]


def lost(records: list[Record]) -> list[tuple[str, str]]:
    return [part for record in records if isinstance(record, Lost) for part in record.ranges or ()]


def rows(*numbers: int) -> list[tuple[int, int]]:
    """Trades whose time is ten times their id."""
    return [(number, 10 * number) for number in numbers]


# -- by number, ascending


def test_exactly_the_missing_ids_are_requested() -> None:
    setup = Setup(ByNumber(*rows(*range(90, 130))), *rows(100, 125))
    records = setup.run()
    assert ids(records) == list(range(101, 125))
    assert isinstance(records[-1], Repaired)
    assert setup.api.paths == [
        f"/trades?fromId={first}&limit={limit}" for first, limit in [(101, 10), (111, 10), (121, 4)]
    ]


def test_short_page_loses_nothing() -> None:
    """The exchange sends fewer rows than requested: it covers only those."""
    api = ByNumber(*rows(*range(90, 130)))
    page = api.page
    api.page = lambda **query: page(**query | {"limit": "3"})  # type: ignore[method-assign]
    setup = Setup(api, *rows(100, 110))
    records = setup.run()
    assert (ids(records), lost(records)) == (list(range(101, 110)), [])
    assert setup.seconds < 10, "without a delay"


@pytest.mark.parametrize("jump", [105, 1_000_000])
def test_ids_absent_from_an_ascending_page_are_lost_at_once(jump: int) -> None:
    setup = Setup(ByNumber(*rows(*range(90, 101), *range(jump, jump + 30))), *rows(100, jump + 20))
    records = setup.run()
    assert lost(records) == [("101", str(jump - 1))]
    assert ids(records) == list(range(jump, jump + 20))
    assert setup.seconds < 2 * GIVE_UP_AFTER_S


# -- by time, with a cursor


def test_pages_by_time_start_after_the_last_record_and_follow_the_cursor() -> None:
    setup = Setup(ByTime(*rows(*range(1, 200))), *rows(100, 135))
    records = setup.run()
    assert ids(records) == list(range(101, 135))
    assert setup.api.paths == ["/trades?since=999", *(f"/trades?cursor={at}" for at in (109, 119, 129))]
    assert setup.seconds < 8, "without a delay"


def test_instant_with_more_trades_than_a_page_is_passed_by_the_cursor() -> None:
    same = [(number, 1_000) for number in range(50, 130)]
    setup = Setup(ByTime(*same, (130, 1_001)), (100, 1_000), (130, 1_001))
    records = setup.run()
    assert (ids(records), lost(records)) == (list(range(101, 130)), [])
    assert len(setup.api.paths) == 8


def test_page_by_time_that_lacks_an_id_is_requested_again_from_its_start() -> None:
    setup = Setup(ByTime(*rows(*range(90, 104), *range(105, 160))), *rows(100, 140))
    records = setup.run()
    assert lost(records) == [("104", "104")]
    assert ids(records) == [*range(101, 104), *range(105, 140)]
    assert setup.api.paths[1:3] == ["/trades?since=1029", "/trades?since=1029"], "after the last record before it"


def test_cursor_is_dropped_when_late_rows_filled_the_next_ids() -> None:
    setup = Setup(ByTime(*rows(*range(1, 200))), *rows(100, 135))
    request = setup.backfiller.next_request(at(4))
    assert request is not None
    setup.backfiller.answered(request, setup.api.answer("/trades?since=999"), at(4))
    setup.ledger.ids.take_trades(setup.ledger.ids.streams[TRADES], [live(110, 1_100)], at(4))
    setup.run()
    assert setup.api.paths[1] == "/trades?since=1099"


def test_page_without_progress_is_requested_again_later() -> None:
    api = ByTime(*rows(*range(90, 102)))
    api.page = lambda **query: {"rows": rows(*range(90, 100)), "next": "stuck"}  # type: ignore[method-assign]
    setup = Setup(api, *rows(100, 110))
    with pytest.raises(AssertionError, match="never ends"):
        setup.run()
    assert len(api.paths) < 50
    assert setup.ledger.gaps.all_open()


def test_gap_whose_time_is_unknown_is_out_of_reach() -> None:
    setup = Setup(ByTime(*rows(*range(1, 200))), *rows(100, 101))
    setup.ledger.on_sink_loss(Loss("out", str(TRADES), 2, ((98, 99),)), at(4))
    assert lost(setup.run()) == [("98", "99")]
    assert setup.api.paths == []


# -- the newest page only


def test_records_below_the_newest_page_are_lost() -> None:
    setup = Setup(NewestOnly(*rows(*range(90, 120))), *rows(100, 119))
    records = setup.run()
    assert ids(records) == list(range(110, 119))
    assert lost(records) == [("101", "109")]
