"""A stream moves between pods: what no pod delivered is a gap, what a predecessor delivered is none."""

from collections.abc import Mapping

import pytest

from market_collector.book.book import Book
from market_collector.feed.checkpoint_state import (
    LinePosition,
    OpenGap,
    Positions,
    StreamPosition,
    Written,
    by_stream,
    of_streams,
    positions,
    resume,
)
from market_collector.feed.handover import CONTRACT, Handover, RunningPod, Takeover
from market_collector.feed.ledger import Ledger, Loss
from market_collector.feed.stream_state import CandleProgress
from market_collector.model.events import Candle, Gap, Lost, Orderbook, Record, Repaired, Trade
from market_collector.model.moment import Moment
from market_collector.model.schema_0 import StoredGap
from market_collector.model.streams import DataType, Stream

UNKNOWN = "PositionUnknown"
NOTHING = Positions({}, [], [], {})
NOTHING_WRITTEN = Written({}, {}, {}, ())
TRADES = Stream("BTC-USDT", DataType.TRADE)
BOOK = Stream("BTC-USDT", DataType.ORDERBOOK)
CANDLES = Stream("BTC-USDT", DataType.CANDLE, "1m")
MINUTE_NS = 60 * 10**9


def at(seconds: float) -> Moment:
    return Moment(seconds, int(seconds * 1e9))


def trades_at(last: int, *gaps: OpenGap) -> StreamPosition:
    return StreamPosition(LinePosition(last, last), gaps)


def book_at(head: int) -> StreamPosition:
    return StreamPosition(LinePosition(head=head))


Running = Mapping[str, Mapping[str, StreamPosition | None] | None]


def document_of(ended: Mapping[str, StreamPosition | None] | None = None, running: Running | None = None) -> Handover:
    pods = {
        uid: RunningPod(f"{uid}:8080", None if streams is None else dict(streams))
        for uid, streams in (running or {}).items()
    }
    return Handover(CONTRACT, dict(ended or {}), pods)


class Pod:
    """A new pod that takes over at second 10."""

    def __init__(
        self,
        ended: Mapping[str, StreamPosition | None] | None = None,
        running: Running | None = None,
        *,
        has_document: bool = True,
        saved: Positions = NOTHING,
        written: Written = NOTHING_WRITTEN,
    ) -> None:
        document = document_of(ended, running) if has_document else None
        self.ledger = Ledger("okx", [TRADES, BOOK, CANDLES, Stream("BTC-USDT", DataType.TICKER)], 60.0, at(0))
        self.gaps: list[Record] = []
        """Those that were reported with data."""
        self.takeover = Takeover(self.ledger, document, "me")
        completed, self.events = self.takeover.inherit(saved, written, at(10))
        self.events += [each for effect in resume(self.ledger, completed, written, at(10)) for each in effect.records]

    def trades(self, *numbers: int, seconds: float = 11) -> list[str]:
        records = [Trade("okx", "BTC-USDT", n, 1, str(n), str(n), 1, "buy", "1", "1") for n in numbers]
        taken = self.ledger.ids.take_trades(self.ledger.ids.streams[TRADES], records, at(seconds))
        self.gaps += [each for each in taken if isinstance(each, Gap)]
        return [each.trade_id for each in taken if isinstance(each, Trade)]

    def candle(self, minute: int, *, closed: bool = True, seconds: float = 11) -> None:
        one = Candle("okx", "BTC-USDT", 1, 1, "1m", minute * MINUTE_NS, "1", "1", "1", "1", "1", "1", None, closed)
        progress = self.ledger.ids.streams[CANDLES]
        assert isinstance(progress, CandleProgress)
        self.gaps += [r for r in self.ledger.ids.take_candles(progress, [one], at(seconds)) if isinstance(r, Gap)]

    def book(self, sequence: int, seconds: float = 11) -> list[Record]:
        record = Orderbook("okx", "BTC-USDT", sequence, 2, "snapshot", [], [], sequence, None)
        progress = self.ledger.books.streams[BOOK]
        records = self.ledger.books.add_snapshot(progress, 1, Book(record), record, at(seconds))
        progress.observe(record, at(seconds))
        return [each for each in records if each is not record]

    def hears(self, uid: str, seconds: float = 12, **streams: StreamPosition) -> list[Record]:
        named = {"trades": str(TRADES), "book": str(BOOK), "candles": str(CANDLES)}
        effects = self.takeover.on_report(uid, {named[name]: each for name, each in streams.items()}, at(seconds))
        return [each for effect in effects for each in effect.records]

    def loses(self, uid: str, seconds: float = 12) -> list[Record]:
        return [each for effect in self.takeover.on_gone(uid, at(seconds)) for each in effect.records]

    def reads(
        self, ended: Mapping[str, StreamPosition | None] | None = None, running: Running | None = None
    ) -> list[Record]:
        """The document has changed."""
        effects = self.takeover.on_document(document_of(ended, running), at(13))
        return [each for effect in effects for each in effect.records]

    def saves(self) -> Positions:
        """Its checkpoint."""
        return self.takeover.hold(positions(self.ledger, [], {}))

    def overdue(self, seconds: float = 20) -> list[tuple[str | None, str | None, str]]:
        self.gaps += self.ledger.check_overdue(at(seconds))
        found, self.gaps = bounds(self.gaps), []
        return found


def bounds(records: list[Record]) -> list[tuple[str | None, str | None, str]]:
    """First and last missing id, or the sequence before the gap of a book; and the reason."""
    return [
        (gap.first_id if gap.after_sequence is None else str(gap.after_sequence), gap.last_id, gap.reason)
        for gap in records
        if isinstance(gap, Gap)
    ]


def test_trades_that_nobody_delivered_are_a_gap() -> None:
    pod = Pod({str(TRADES): trades_at(100)})
    pod.trades(105)
    assert pod.overdue() == [("101", "104", "Restarted")]


def test_closed_candles_that_nobody_delivered_are_a_gap() -> None:
    pod = Pod({str(CANDLES): StreamPosition(LinePosition(7))})
    pod.candle(10)
    assert pod.overdue() == [("480000000000", "540000000000", "Restarted")]


def test_book_updates_that_nobody_delivered_are_a_gap() -> None:
    pod = Pod({str(BOOK): book_at(50)})
    assert bounds(pod.events) == [("50", None, "Restarted")]
    (lost,) = pod.book(70)
    assert isinstance(lost, Lost)
    assert (lost.reason, lost.resumed_sequence) == ("ReplacedBySnapshot", 70)


def test_first_start_has_no_gap() -> None:
    pod = Pod()
    pod.trades(105)
    assert pod.events == pod.book(70) == []
    assert pod.overdue() == []


def test_unknown_position_is_a_gap_whose_beginning_is_unknown() -> None:
    pod = Pod({str(TRADES): None, str(BOOK): None, str(CANDLES): None})
    assert bounds(pod.events) == [(None, None, UNKNOWN)] * 3
    assert [each.stream for each in pod.events if isinstance(each, Lost)] == [str(TRADES), str(CANDLES)]
    (lost,) = pod.book(70)
    assert isinstance(lost, Lost)
    assert pod.ledger.gaps.all_open() == []
    pod.trades(105)
    assert pod.overdue() == []


def test_own_checkpoint_and_own_files_win_over_the_document() -> None:
    """The document is older than both. A sink's own content is in the output, whatever a document says."""
    saved = Positions({str(TRADES): LinePosition(103, 103)}, [], [], {})
    pod = Pod({str(TRADES): trades_at(100), str(BOOK): book_at(50)}, saved=saved)
    pod.trades(105)
    assert pod.overdue() == [("104", "104", "Restarted")]
    written = Written({str(TRADES): [(103, 103)]}, {str(BOOK): 60}, {}, ())
    pod = Pod({str(TRADES): trades_at(100), str(BOOK): book_at(50)}, written=written)
    assert bounds(pod.events) == [("60", None, "Restarted")]
    pod.trades(105)
    assert pod.overdue() == [("104", "104", "Restarted")]


def test_old_files_of_a_stream_do_not_hide_its_later_position() -> None:
    pod = Pod({str(TRADES): trades_at(100)}, written=Written({str(TRADES): [(50, 50)]}, {}, {}, ()))
    pod.trades(105)
    assert pod.overdue() == [("101", "104", "Restarted")]


def test_overlap_with_a_predecessor_is_no_gap() -> None:
    pod = Pod(running={"old": {str(TRADES): trades_at(100), str(BOOK): book_at(50)}})
    assert pod.trades(110, 111) == ["110", "111"]
    assert pod.events == pod.book(70) == []
    assert pod.hears("old", trades=trades_at(105), book=book_at(60)) == []
    assert not pod.takeover.is_covered
    assert pod.overdue() == [], "the predecessor may deliver them yet"
    assert pod.hears("old", trades=trades_at(109), book=book_at(70)) == []
    assert pod.takeover.is_covered
    assert pod.loses("old") == pod.overdue() == []
    assert pod.trades(112, seconds=21) == ["112"]


def test_predecessor_that_ends_too_early_leaves_a_gap_with_exact_bounds() -> None:
    pod = Pod(running={"old": {str(TRADES): trades_at(100), str(BOOK): book_at(50)}})
    pod.trades(110)
    pod.book(70)
    pod.hears("old", trades=trades_at(105), book=book_at(60))
    gap, lost = pod.loses("old")
    assert isinstance(gap, Gap)
    assert isinstance(lost, Lost)
    assert (gap.after_sequence, gap.reason, lost.resumed_sequence) == (60, "Restarted", 70)
    assert pod.overdue() == [("106", "109", "Restarted")]


def test_predecessor_that_ends_before_the_first_data() -> None:
    pod = Pod(running={"old": {str(TRADES): trades_at(100), str(BOOK): book_at(50)}})
    pod.hears("old", trades=trades_at(105), book=book_at(60))
    assert bounds(pod.loses("old")) == [("60", None, "Restarted")]
    assert [type(each) for each in pod.book(60)] == [Repaired], "nothing changed in between"
    pod.trades(110)
    assert pod.overdue() == [("106", "109", "Restarted")]


def test_late_rows_after_the_start_are_no_gap() -> None:
    pod = Pod(running={"old": {str(TRADES): trades_at(100)}})
    assert pod.trades(103, 102, 105, 104) == ["103", "102", "105", "104"]
    pod.hears("old", trades=trades_at(101))
    assert pod.overdue() == []


def test_gap_of_this_pod_is_found_although_a_predecessor_runs() -> None:
    pod = Pod(running={"old": {str(TRADES): trades_at(100)}})
    pod.trades(101, 105)
    pod.hears("old", trades=trades_at(101))
    assert pod.overdue() == [("102", "104", "Restarted")]


def test_any_of_several_predecessors_may_overlap() -> None:
    pod = Pod(running={"a": {str(TRADES): trades_at(100)}, "b": {str(TRADES): trades_at(99)}})
    pod.trades(110)
    assert pod.loses("a") == []
    pod.hears("b", trades=trades_at(120))
    assert pod.takeover.is_covered
    assert pod.overdue() == []


def test_gap_that_a_predecessor_leaves_open_is_continued() -> None:
    old = Ledger("okx", [TRADES], 60.0, at(0))
    progress = old.ids.streams[TRADES]
    rows = [Trade("okx", "BTC-USDT", n, 1, str(n), str(n), 1, "buy", "1", "1") for n in (90, 100)]
    _, opened, _ = old.ids.take_trades(progress, rows, at(1))
    assert isinstance(opened, Gap)
    left = by_stream(positions(old, [], {}))[str(TRADES)]
    for pod in (Pod({str(TRADES): left}), Pod(running={"old": {str(TRADES): left}})):
        pod.trades(101)
        if pod.takeover.predecessors:
            pod.hears("old", trades=left)
            pod.loses("old")
        assert [each.gap.gap_id for each in pod.ledger.gaps.all_open()] == [opened.gap_id]
        assert pod.trades(*range(91, 100)) == [str(n) for n in range(91, 100)]
        assert pod.ledger.gaps.all_open() == []
        assert pod.overdue() == []


def test_predecessors_with_open_gaps_are_awaited_after_the_overlap() -> None:
    gap = StoredGap("okx", "BTC-USDT", None, 1, "g", str(TRADES), "91", "99", None, None, 9, "IdsMissing")
    pod = Pod(running={"old": {str(TRADES): trades_at(100, OpenGap(gap))}})
    pod.trades(101)
    pod.hears("old", trades=trades_at(100, OpenGap(gap)))
    assert pod.takeover.is_covered
    assert pod.takeover.awaited == {"old"}
    pod.hears("old", trades=trades_at(101))
    assert pod.takeover.awaited == set()


def test_gap_of_a_predecessor_after_its_position_is_continued() -> None:
    gap = StoredGap("okx", "BTC-USDT", None, 1, "g", str(TRADES), "103", "104", None, None, 2, "IdsMissing")
    pod = Pod(running={"old": {str(TRADES): trades_at(100)}})
    pod.trades(107, 110)
    left = StreamPosition(LinePosition(120, 120, ((103, 104),)), (OpenGap(gap),))
    pod.hears("old", trades=left)
    pod.loses("old")
    assert [each.gap.gap_id for each in pod.ledger.gaps.all_open()] == ["g"]
    assert pod.overdue() == [("108", "109", "Restarted")], "a gap of this pod, although the other one delivered these"


@pytest.mark.parametrize(("number", "expected"), [(104, []), (102, [("103", "104", "Restarted")])])
def test_stream_that_just_started_is_held_by_the_first_report(number: int, expected: list[object]) -> None:
    """The document does not know it yet. This pod may have its own first data before it asks."""
    for has_data in (True, False):
        pod = Pod(running={"old": {str(BOOK): book_at(50)}})
        if has_data:
            pod.trades(105)
        pod.hears("old", trades=trades_at(number))
        if not has_data:
            pod.trades(105)
        pod.loses("old")
        assert pod.overdue() == expected


def test_own_entry_of_a_crashed_container_counts_as_ended() -> None:
    pod = Pod(running={"me": {str(TRADES): trades_at(100)}})
    assert pod.takeover.predecessors == {}
    pod.trades(105)
    assert pod.overdue() == [("101", "104", "Restarted")]


def test_crash_of_a_pod_that_was_not_settled_loses_no_question() -> None:
    first = Pod(has_document=False)
    first.trades(105, 106)
    saved = first.saves()
    assert saved.unsettled == (str(TRADES), str(BOOK), str(CANDLES))

    at_start = Pod({str(TRADES): trades_at(100)}, saved=saved)
    at_start.trades(109)
    assert at_start.overdue() == [("101", "108", "Restarted")], "from the predecessor's end, delivered ones included"

    later = Pod(has_document=False, saved=saved)
    later.trades(109)
    assert later.reads({str(TRADES): trades_at(100)}) == []
    assert later.overdue() == [("107", "108", "Restarted"), ("101", "105", "Restarted")]

    nothing_before = Pod(running={"me": {}}, saved=saved)
    assert nothing_before.takeover.is_settled
    nothing_before.trades(109)
    assert nothing_before.overdue() == [("107", "108", "Restarted")]

    overlapping = Pod({str(TRADES): trades_at(106)}, saved=saved)
    overlapping.trades(109)
    assert overlapping.overdue() == [("107", "108", "Restarted")]


def test_crash_of_a_pod_that_holds_a_stream_hides_no_gap() -> None:
    """Its own data would look as if it continued what the predecessor delivered."""
    left_open = OpenGap(StoredGap("okx", "BTC-USDT", None, 1, "g", str(TRADES), "50", "51", None, None, 2, "Other"))
    old = StreamPosition(LinePosition(100, 100, ((50, 51),)), (left_open,))
    first = Pod(running={"old": {str(TRADES): old, str(BOOK): book_at(50)}})
    first.trades(105, 106)
    first.book(70)
    first.hears("old", trades=old, book=book_at(60))
    saved = first.saves()
    assert by_stream(saved) == {str(TRADES): old, str(BOOK): book_at(60)}

    written = Written({str(TRADES): [(105, 105), (106, 106)]}, {str(BOOK): 70}, {}, ())
    second = Pod(saved=saved, written=written.without_heads(saved.held))
    assert bounds(second.events) == [("60", None, "Restarted")]
    second.trades(109)
    assert second.overdue() == [("101", "104", "Restarted"), ("107", "108", "Restarted")]
    assert second.ledger.gaps.all_open()[0].gap.gap_id == "g", "what the predecessor left open"

    first.hears("old", trades=trades_at(104), book=book_at(70))
    saved = first.saves()
    assert (saved.streams[str(TRADES)].last, saved.streams[str(BOOK)].head, saved.held) == (106, 70, ())


def test_positions_by_stream_keep_everything() -> None:
    loss = Loss("out", str(TRADES), 2, ((3, 4),))
    gap = OpenGap(StoredGap("okx", "BTC-USDT", None, 1, "g", str(BOOK), "91", None, None, None, None, "Disconnected"))
    whole = Positions({str(TRADES): LinePosition(9, 9, ((1, 2),)), str(BOOK): LinePosition(head=4)}, [gap], [loss], {})
    assert of_streams(by_stream(whole)) == whole


NEW: Running = {"me": {}}
"""A document that is newer than the pod and lists no other."""


@pytest.mark.parametrize("has_document", [True, False])
def test_stream_is_new_only_if_a_document_with_this_pod_says_so(has_document: bool) -> None:
    assert Pod(running=NEW).takeover.is_settled
    pod = Pod(has_document=has_document)
    assert not pod.takeover.is_settled
    assert pod.trades(105) == ["105"]
    assert [*pod.reads(running=NEW), *pod.overdue()] == []
    assert pod.takeover.is_settled


@pytest.mark.parametrize("has_data", [False, True])
def test_end_that_the_first_document_did_not_know(has_data: bool) -> None:
    """A predecessor that ends before it is asked may have delivered more streams than the first document says."""
    pod = Pod(running={"old": {str(BOOK): book_at(50), str(TRADES): None}})
    if has_data:
        pod.trades(105)
        pod.candle(9)
        pod.book(70)
    ended = {str(TRADES): trades_at(102), str(CANDLES): StreamPosition(LinePosition(5)), str(BOOK): book_at(60)}
    gaps = bounds(pod.reads(ended, NEW))
    assert gaps == [("60", None, "Restarted")]
    if not has_data:
        pod.trades(105)
        pod.candle(9)
    assert pod.overdue() == [("103", "104", "Restarted"), ("360000000000", "480000000000", "Restarted")]
    assert pod.takeover.is_settled


def test_overlap_with_an_end_that_the_first_document_did_not_know() -> None:
    pod = Pod()
    pod.trades(105)
    pod.book(70)
    assert [*pod.reads({str(TRADES): trades_at(104), str(BOOK): book_at(70)}, NEW), *pod.overdue()] == []


def test_predecessor_that_the_first_document_did_not_list_is_asked() -> None:
    pod = Pod()
    pod.trades(105)
    pod.reads(running={**NEW, "old": None})
    assert pod.takeover.predecessors == {"old": "old:8080"}
    assert not pod.takeover.is_settled
    pod.hears("old", trades=trades_at(101))
    pod.loses("old")
    assert pod.overdue() == [("102", "104", "Restarted")]


def test_end_of_a_predecessor_that_nobody_knows_is_a_gap() -> None:
    pod = Pod(running={"old": None})
    pod.loses("old")
    assert pod.overdue() == []
    records = pod.reads({str(TRADES): None, str(CANDLES): None, str(BOOK): None}, NEW)
    assert bounds(records) == [(None, None, UNKNOWN)] * 3
    assert pod.reads({str(TRADES): None}, NEW) == []


def test_without_a_newer_document_the_position_stays_unknown() -> None:
    pod = Pod()
    records = [each for effect in pod.takeover.give_up(at(200)) for each in effect.records]
    assert bounds(records) == [(None, None, UNKNOWN)] * 3
    assert pod.takeover.give_up(at(201)) == []


def test_positions_of_a_pod_that_does_not_answer_come_by_document() -> None:
    pod = Pod(running={"old": {str(TRADES): trades_at(100)}})
    pod.trades(110)
    pod.loses("old")
    assert pod.overdue() == [("101", "109", "Restarted")]
    pod = Pod(running={"old": {}, **NEW})
    pod.loses("old")
    pod.trades(110)
    pod.reads(running={**NEW, "old": {str(TRADES): trades_at(105)}})
    assert pod.overdue() == [], "the first document said that it delivers none of these streams"
