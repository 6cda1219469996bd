"""Trades without dense ids move between pods: what no pod delivered is a gap, if the recent trades do not show it."""

from typing import Any

from imaginary_exchange import NAME
from imaginary_trades import TRADES, TradeLife, at, short
from market_collector.feed.checkpoint_state import LinePosition, Positions, StreamPosition, Written, positions, resume
from market_collector.feed.handover import CONTRACT, Handover, RunningPod, Takeover
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record

NOTHING = Positions({}, [], [], {})
NOTHING_WRITTEN = Written({}, {}, {}, ())


def stood(name: str, number: int) -> StreamPosition:
    """The position of a pod that delivered this trade last."""
    return StreamPosition(LinePosition(time_ns=number, ids=(name,)))


class Pod(TradeLife):
    """A pod that takes over from another, which runs unless it has ended."""

    def __init__(
        self, at_start: StreamPosition, *, has_ended: bool = False, written: Written = NOTHING_WRITTEN
    ) -> None:
        ledger = Ledger(NAME, [TRADES], 60.0, at(0), has_dense_trade_ids=False)
        streams: Any = {str(TRADES): at_start}
        running = {} if has_ended else {"old": RunningPod("old:8080", streams)}
        document = Handover(CONTRACT, streams if has_ended else {}, running)
        self.takeover = Takeover(ledger, document, "me")
        inherited, events = self.takeover.inherit(NOTHING, written, at(10))
        events += [each for effect in resume(ledger, inherited, written, at(10)) for each in effect.records]
        super().__init__("a", "b", "c", ledger=ledger)
        self.start = events

    def hears(self, position: StreamPosition, seconds: float) -> list[str]:
        """The other pod says where it is."""
        return shown(self.takeover.on_report("old", {str(TRADES): position}, at(seconds)))

    def loses(self, seconds: float) -> list[str]:
        """The other pod is gone."""
        return shown(self.takeover.on_gone("old", at(seconds)))


def shown(effects: list[Any]) -> list[str]:
    records: list[Record] = [record for effect in effects for record in effect.records]
    return [short(record) for record in records]


def test_pod_that_has_ended_is_continued_like_a_checkpoint() -> None:
    pod = Pod(stood("b", 2), has_ended=True)
    feed = pod.connect(11.0)
    pod.brings(feed, "d", seconds=11.1)
    pod.learns(feed, 11.2)
    assert pod.emitted() == ["C", "whole 2-4", "d"]


def test_pods_that_overlap_miss_nothing() -> None:
    pod = Pod(stood("a", 1))
    feed = pod.connect(11.0)
    pod.brings(feed, "d", "e", seconds=11.1)
    assert pod.emitted() == ["d", "e"]
    assert not pod.takeover.is_covered
    assert pod.hears(stood("c", 3), 11.2) == []
    assert not pod.takeover.is_covered
    pod.hears(stood("e", 5), 11.3)
    assert pod.takeover.is_covered
    assert pod.loses(12.0) == []
    assert pod.wakes(feed, 13.0) == []
    assert pod.ledger.gaps.detected == 0


def test_crash_of_a_pod_that_holds_the_trades_hides_no_gap() -> None:
    pod = Pod(stood("a", 1))
    pod.brings(pod.connect(11.0), "d", "e", seconds=11.1)
    saved = pod.takeover.hold(positions(pod.ledger, [], {}))
    assert (saved.streams[str(TRADES)], saved.held) == (stood("a", 1).line, (str(TRADES),))
    written = Written({}, {}, {}, (), trades={str(TRADES): [("d", 4), ("e", 5)]})
    assert written.without_heads(saved.held).trades == {}
    pod.hears(stood("e", 5), 11.3)
    assert pod.takeover.hold(positions(pod.ledger, [], {})).held == ()


def test_trade_of_both_pods_shows_the_overlap() -> None:
    pod = Pod(stood("a", 1))
    feed = pod.connect(11.0)
    pod.brings(feed, "d", seconds=11.1)
    pod.hears(stood("d", 4), 11.2)
    assert pod.takeover.is_covered


def test_pod_that_ends_early_leaves_what_the_recent_trades_show() -> None:
    pod = Pod(stood("a", 1))
    feed = pod.connect(11.0)
    pod.brings(feed, "d", seconds=11.1)
    pod.hears(stood("b", 2), 11.2)
    assert pod.loses(11.3) == ["gap 2-4"]
    pod.learns(feed, 11.4)
    assert pod.emitted() == ["d", "C", "filled 2-4 1"]


def test_pod_killed_before_the_recent_trades_came_leaves_the_gap_open() -> None:
    """Its checkpoint has its own trades, which do not show what the pod before it left."""
    pod = Pod(stood("a", 1))
    feed = pod.connect(11.0)
    pod.brings(feed, "d", seconds=11.1)
    pod.loses(11.3)
    saved = positions(pod.ledger, [], {})
    assert saved.streams[str(TRADES)].ids == ("d",)
    next_one = Ledger(NAME, [TRADES], 60.0, at(0), has_dense_trade_ids=False)
    assert shown(resume(next_one, saved, NOTHING_WRITTEN, at(20))) == ["lost 1-4 0"]


def test_pod_that_ends_too_early_leaves_a_lost_gap() -> None:
    pod = Pod(stood("a", 1))
    pod.market.trade("d", "e", "f", "g")
    feed = pod.connect(11.0)
    pod.brings(feed, "h", seconds=11.1)
    assert pod.loses(11.3) == ["gap 1-8"]
    pod.learns(feed, 11.4)
    assert pod.emitted() == ["h", "D", "E", "F", "G", "lost 1-4 4"]


def test_pod_that_ends_before_any_trade_is_continued() -> None:
    pod = Pod(stood("a", 1))
    feed = pod.connect(11.0)
    pod.hears(stood("b", 2), 11.2)
    pod.loses(11.3)
    pod.brings(feed, "d", seconds=11.4)
    pod.learns(feed, 11.5)
    assert pod.emitted() == ["C", "whole 2-4", "d"]


def test_interruption_while_the_other_pod_runs_is_reported_besides() -> None:
    pod = Pod(stood("a", 1))
    first = pod.connect(11.0)
    pod.brings(first, "d", seconds=11.1)
    pod.lose(first, 11.2)
    assert pod.loses(11.3) == ["gap 1-4", "lost 1-4 0"]
    second = pod.connect(11.4)
    pod.brings(second, "e", seconds=11.5)
    pod.learns(second, 11.6)
    assert pod.emitted() == ["d", "whole 4-5", "e"]


def test_own_files_that_are_newer_than_the_other_pod_are_continued() -> None:
    written = Written({}, {}, {}, (), {}, {str(TRADES): [("c", 3)]})
    pod = Pod(stood("b", 2), has_ended=True, written=written)
    feed = pod.connect(11.0)
    pod.brings(feed, "d", seconds=11.1)
    pod.learns(feed, 11.2)
    assert pod.emitted() == ["whole 3-4", "d"]
