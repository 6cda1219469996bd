"""Whatever happens to connections and to REST, each trade is emitted once, or lies in a lost gap."""

from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaginary_exchange import NAME, ImaginaryExchange
from imaginary_trades import TradeLife, at
from market_collector.errors import RequestFailedError
from market_collector.exchanges import EXCHANGES
from market_collector.feed.effects import Fetch
from market_collector.feed.feed import Feed
from market_collector.model.events import Lost, Trade
from market_collector.verify.merge import streams
from market_collector.verify.report import RangeState
from replica_checks import check

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), st.integers(1, 4)),
        st.tuples(st.just("burst"), st.integers(4, 9)),
        st.tuples(st.just("connect"), st.just(0)),
        st.tuples(st.just("lose"), st.integers(0, 1)),
        st.tuples(st.just("interrupt"), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.integers(1, 12)),
        st.tuples(st.just("answer"), st.integers(0, 6)),
        st.tuples(st.just("fail"), st.just(0)),
        st.tuples(st.just("outage"), st.integers(0, 41)),
    ),
    max_size=60,
)


class Story:
    """Connections that get each trade from their subscription on, and answers that may lag behind by some trades."""

    def __init__(self) -> None:
        self.life = TradeLife()
        self.feeds: list[Feed] = []
        self.asked: list[tuple[Feed, Fetch]] = []
        self.now = 0.0
        self._names = count()

    def trade(self, number: int) -> None:
        """Trades, which every connection brings at once."""
        for _ in range(number):
            name = f"t{next(self._names)}"
            self.life.market.trade(name)
            for feed in self.feeds:
                self.life.brings(feed, name, seconds=self.now)

    burst = trade

    def connect(self, _: int) -> None:
        if len(self.feeds) < 2:
            self.feeds.append(self.life.connect(self.now))

    def lose(self, place: int) -> None:
        if place < len(self.feeds):
            feed = self.feeds.pop(place)
            self.asked = [each for each in self.asked if each[0] is not feed]
            self.life.lose(feed, self.now)

    def interrupt(self, place: int) -> None:
        """One connection does not bring a trade, and notices that a message is missing."""
        if place < len(self.feeds):
            feed = self.feeds.pop(place)
            self.trade(1)
            self.feeds.insert(place, feed)
            self.life.gets(feed, {"lost": "a number"}, self.now)

    def outage(self, kind: int) -> None:
        """Trades happen without a connection, and the answer about them lags behind."""
        missed, lag = divmod(kind, 7)
        for place in (1, 0):
            self.lose(place)
        self.trade(missed)
        self.connect(0)
        self.trade(1)
        self.wait(1)
        self.answer(lag)

    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now += 0.25
            for feed in self.feeds:
                self.asked += [(feed, fetch) for fetch in self.life.wakes(feed, self.now)]

    def answer(self, lag: int) -> None:
        if self.asked:
            feed, fetch = self.asked.pop(0)
            rows = self.life.market.rows
            market, self.life.market.rows = rows, rows[: len(rows) - lag]
            body = self.life.market.recent()
            self.life.market.rows = market
            self.life.answers(feed, fetch, body, self.now)

    def fail(self, _: int) -> None:
        if self.asked:
            feed, fetch = self.asked.pop(0)
            self.life.answers(feed, fetch, RequestFailedError("HTTP 500"), self.now)

    def end(self) -> None:
        """One connection streams on, and REST answers in time."""
        self.connect(0)
        for _ in range(400):
            self.trade(1)
            self.wait(1)
            while self.asked:
                self.answer(0)
            if self.life.progress.interruption is None and not self.life.ledger.gaps.all_open():
                return
        raise AssertionError(self.life.progress.interruption)


@pytest.fixture(autouse=True)
def _exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXCHANGES, NAME, ImaginaryExchange(has_dense_trade_ids=False))


@settings(max_examples=400, deadline=None)
@given(steps=STEPS)
def test_each_trade_is_emitted_once_or_lies_in_a_lost_gap(steps: list[tuple[str, int]]) -> None:
    story = Story()
    story.connect(0)
    story.trade(2)
    for name, number in steps:
        getattr(story, name)(number)
    story.end()
    life = story.life
    records = life.records
    emitted = Counter(record.trade_id for record in records if isinstance(record, Trade))
    assert not [name for name, times in emitted.items() if times > 1]
    lost = [(each.from_time_ns or 0, each.to_time_ns or 0) for each in records if isinstance(each, Lost)]
    missing = [
        (name, time_ns)
        for name, time_ns in life.market.rows
        if name not in emitted and not any(start < time_ns < end for start, end in lost)
    ]
    assert missing == []
    (report,) = streams([check("pod", *records)])
    assert report.counts[RangeState.UNREPORTED] == report.counts[RangeState.OPEN] == 0
    assert report.reckoning.duplicates == 0
    life.ledger.age(at(story.now))
