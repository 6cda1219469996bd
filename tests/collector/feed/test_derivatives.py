"""Streams that only derivatives have: funding rates, mark prices, open interest, liquidations."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from feed_life import at, emitted
from imaginary_exchange import GivenMessages, ImaginaryExchange
from market_collector.exchanges.interface import Ack, Batch, Message, UnreadableData
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.feed.effects import Effect, Fetch, Question, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.feed.liquidations import take_liquidations
from market_collector.feed.states import take_funding
from market_collector.feed.stream_state import FundingProgress, LiquidationProgress
from market_collector.model.events import Data, MarkPrice, Record, Recording
from market_collector.model.streams import DataType, Stream, StreamState
from records import funding, liquidation, mark_price, open_interest

FUNDING, MARK, INTEREST, LIQUIDATIONS = (
    Stream("BTC-USDT", kind)
    for kind in (DataType.FUNDING, DataType.MARKPRICE, DataType.OPENINTEREST, DataType.LIQUIDATION)
)


class Setup:
    """A feed of acknowledged streams. Data becomes stale after 10 s."""

    def __init__(self, *streams: Stream) -> None:
        self.codec = GivenMessages()
        exchange: Any = ImaginaryExchange(codec=lambda *_: self.codec, rest_api=AllNewest())
        self.ledger = Ledger("okx", streams, 10.0, at(0))
        self.feeds = [Feed("all", exchange, streams, self.ledger, ping_interval_s=20.0) for _ in range(2)]
        for feed in self.feeds:
            feed.opened(at(0))
            self.gets(Ack(streams), 0.5, feed)

    def gets(self, message: Message, seconds: float, feed: Feed | None = None) -> list[Record]:
        self.codec.messages = [message]
        return emitted((feed or self.feeds[0]).received(b"", at(seconds)))

    def state(self, stream: Stream, seconds: float) -> StreamState:
        self.ledger.age(at(seconds))
        return self.ledger.streams[stream].state


def test_unreadable_data_in_a_frame_hurts_its_stream_only() -> None:
    """One frame may have data of several streams. It counts once."""
    setup = Setup(FUNDING, MARK, INTEREST)
    reason = "frame cannot be read: '1e-5' is not a plain decimal"
    odd = [UnreadableData(FUNDING, reason), UnreadableData(INTEREST, reason)]
    setup.codec.messages = [odd[0], Batch(MARK, [mark_price(1)]), odd[1]]
    effects = setup.feeds[0].received(b"", at(1))
    assert [type(record) for record in emitted(effects)] == [MarkPrice]
    assert [each.message for each in effects if isinstance(each, Warn)] == [
        f"{stream}: {reason}" for stream in (FUNDING, INTEREST)
    ]
    assert setup.ledger.unreadable_frames == 1
    assert [setup.ledger.streams[each].reason for each in (FUNDING, MARK, INTEREST)] == ["Unreadable", "", "Unreadable"]


class AllNewest(OkxRestApi):
    """Probes that name the stream."""

    def newest(self, stream: Stream) -> Any:
        return stream


@pytest.mark.parametrize(
    ("stream", "make"), [(MARK, mark_price), (INTEREST, open_interest), (FUNDING, funding), (LIQUIDATIONS, liquidation)]
)
def test_overlapping_connections_publish_each_record_once(stream: Stream, make: Callable[[float], Data]) -> None:
    setup = Setup(stream)
    first, second = setup.feeds
    steps = [(first, 1), (first, 2), (second, 1), (second, 2), (second, 3), (first, 3)]
    published = [record for feed, n in steps for record in setup.gets(Batch(stream, [make(n)]), 5, feed)]
    assert published == [make(1), make(2), make(3)]
    assert first.is_complete


def test_older_mark_price_is_not_published() -> None:
    setup = Setup(MARK)
    published = [each for n in (5, 4, 6) for each in setup.gets(Batch(MARK, [mark_price(n)]), 5)]
    assert published == [mark_price(5), mark_price(6)]


def funding_progress() -> FundingProgress:
    made = Ledger("okx", [FUNDING], 10.0, at(0)).streams[FUNDING]
    assert isinstance(made, FundingProgress)
    return made


def test_settled_rate_is_published_once_though_messages_repeat_it() -> None:
    progress = funding_progress()
    settled, next_one = (funding(n, kind="settled", due=due) for n, due in ((1, 0), (9, 8)))
    assert take_funding(progress, [settled, funding(1)], at(1)) == [settled, funding(1)]
    again = funding(2, kind="settled", due=0)
    assert take_funding(progress, [again, funding(2)], at(2)) == [funding(2)]
    assert take_funding(progress, [next_one, funding(9)], at(9)) == [next_one, funding(9)]
    assert progress.last == funding(9)


def test_funding_is_not_stale_between_two_of_its_rare_messages() -> None:
    setup = Setup(FUNDING, MARK)
    setup.gets(Batch(FUNDING, [funding(1)]), 1)
    setup.gets(Batch(MARK, [mark_price(1)]), 1)
    assert (setup.state(FUNDING, 91), setup.state(MARK, 91)) == (StreamState.LIVE, StreamState.STALE)
    assert setup.state(FUNDING, 122) is StreamState.STALE


def test_equal_liquidations_are_one_until_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_collector.model.recent.KEPT", 2)
    progress = Ledger("okx", [LIQUIDATIONS], 10.0, at(0)).streams[LIQUIDATIONS]
    assert isinstance(progress, LiquidationProgress)
    one, other, third = liquidation(1), liquidation(1, "4"), liquidation(2)
    assert take_liquidations(progress, [one, other, one], at(1)) == [one, other]
    assert take_liquidations(progress, [other, third, one], at(2)) == [third, one]


def test_liquidations_are_quiet_while_their_connection_is_alive() -> None:
    """There may be none for days, and REST has nothing to compare them with."""
    setup = Setup(LIQUIDATIONS)
    for second in range(1, 12):
        setup.feeds[0].woken(at(second))
    assert setup.state(LIQUIDATIONS, 11) is StreamState.QUIET
    assert setup.ledger.streams[LIQUIDATIONS].message == "subscribed, and its connection is alive"
    assert setup.feeds[0].is_serving
    setup.feeds[0].woken(at(60))
    assert setup.state(LIQUIDATIONS, 60) is StreamState.STALE


def test_liquidations_that_are_not_subscribed_are_stale() -> None:
    setup = Setup(LIQUIDATIONS)
    setup.feeds[0]._subscriptions[LIQUIDATIONS].acked_at = None
    setup.feeds[0].woken(at(11))
    assert setup.state(LIQUIDATIONS, 11) is StreamState.STALE


def test_time_without_liquidations_is_recorded() -> None:
    setup = Setup(LIQUIDATIONS, MARK)
    assert list(setup.ledger.recordings(at(1))) == []
    setup.feeds[0].woken(at(2))
    (record,) = setup.ledger.recordings(at(60))
    assert isinstance(record, Recording)
    assert (record.stream, record.from_time_ns, record.to_time_ns) == (str(LIQUIDATIONS), 0, 60_000_000_000)


def test_connection_takes_over_before_its_first_liquidation() -> None:
    setup = Setup(LIQUIDATIONS)
    assert setup.feeds[1].is_complete
    assert not Setup(MARK).feeds[1].is_complete


def fetches(effects: Sequence[Effect], question: Question) -> list[Any]:
    return [each for each in effects if isinstance(each, Fetch) and each.question is question]


def test_no_overview_is_compared_with_data_of_derivatives() -> None:
    """A ticker without changes tells nothing about a mark price."""
    tickers = [Stream(f"S{n}-USDT", DataType.TICKER) for n in range(5)]
    setup = Setup(*tickers, MARK, INTEREST, FUNDING, LIQUIDATIONS)
    effects = setup.feeds[0].woken(at(9))
    assert len(fetches(effects, Question.OVERVIEW)) == 1
    assert {each.stream for each in fetches(effects, Question.NEWEST)} == {MARK, INTEREST, FUNDING}
