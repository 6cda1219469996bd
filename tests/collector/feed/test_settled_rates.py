"""Settled funding rates of an exchange that pushes only predicted ones: requests for them, and emitted records."""

import json
from typing import Any

import pytest

from feed_life import at, emitted
from imaginary_exchange import GivenMessages, ImaginaryExchange
from market_collector.errors import FrameError, RequestFailedError
from market_collector.exchanges.interface import Ack, Batch, Request, Route
from market_collector.feed.effects import Answer, Effect, Fetch, Question, Warn
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Record
from market_collector.model.streams import DataType, Stream
from records import funding

FUNDING, MARK = (Stream("BTC-USDT", kind) for kind in (DataType.FUNDING, DataType.MARKPRICE))
FETCH = Fetch(FUNDING, Question.SETTLED, Request("/settled"))


class Settled:
    """Answers are lists of payment times, in seconds."""

    def request(self, stream: Stream) -> Request:
        return Request("/settled")

    def read(self, stream: Stream, body: bytes, receive_time_ns: int) -> Batch:
        if not body:
            raise FrameError("no answer")
        return Batch(stream, [funding(due, kind="settled", due=due) for due in json.loads(body)])


class Setup:
    """A feed of funding rates; each wake-up is about a second after the one before."""

    def __init__(self, *, sends_settled_rates: bool = False) -> None:
        self.codec = GivenMessages()
        routes = {"all": Route(sends_settled_rates=sends_settled_rates)}
        exchange: Any = ImaginaryExchange(codec=lambda *_: self.codec, routes=routes, polls=Settled())
        self.ledger = Ledger("imaginary", [FUNDING, MARK], 60.0, at(0))
        self.exchange = exchange
        self.feed = self.connect()

    def connect(self) -> Feed:
        feed = Feed("all", self.exchange, [FUNDING, MARK], self.ledger, ping_interval_s=20.0)
        feed.opened(at(0))
        self.codec.messages = [Ack((FUNDING, MARK))]
        feed.received(b"", at(0.5))
        return feed

    def predicts(self, seconds: float, due: float) -> None:
        self.codec.messages = [Batch(FUNDING, [funding(seconds, due=due)])]
        self.feed.received(b"", at(seconds))

    def asks(self, seconds: float) -> list[Effect]:
        return [each for each in self.feed.woken(at(seconds)) if isinstance(each, Fetch) and each == FETCH]

    def answers(self, answer: Answer, seconds: float) -> list[Effect]:
        return self.feed.answered(FETCH, answer, at(seconds))

    def settles(self, due: list[float], seconds: float) -> list[Record]:
        return emitted(self.answers(json.dumps(due).encode(), seconds))


def rates(*due: float) -> list[Record]:
    return [funding(each, kind="settled", due=each) for each in due]


def test_last_settled_rate_is_requested_with_the_first_predicted_one() -> None:
    setup = Setup()
    assert setup.asks(1) == []
    setup.predicts(2, due=100)
    assert setup.asks(3) == [FETCH]
    assert setup.asks(4) == []
    assert setup.settles([1, 2], 5) == rates(2)
    assert setup.asks(90) == []


def test_rate_is_requested_after_each_payment() -> None:
    setup = Setup()
    setup.predicts(2, due=100)
    assert setup.asks(3) == [FETCH]
    setup.settles([1], 4)
    setup.predicts(100, due=200)
    assert setup.asks(101) == [FETCH]
    assert setup.settles([1, 100], 102) == rates(100)
    setup.predicts(150, due=200)
    assert setup.asks(151) == []


def test_answer_without_the_last_payment_is_requested_again() -> None:
    setup = Setup()
    setup.predicts(2, due=100)
    setup.asks(3)
    setup.settles([1], 4)
    setup.predicts(100, due=200)
    assert setup.asks(101) == [FETCH]
    assert setup.settles([1], 101) == []
    for seconds in (111, 131, 171):
        assert setup.asks(seconds - 0.5) == []
        assert setup.asks(seconds) == [FETCH]
        assert setup.settles([1], seconds) == []
    assert setup.asks(251) == [FETCH]
    assert setup.settles([1, 100], 251) == rates(100)
    assert setup.asks(900) == []


def test_all_payments_of_a_disconnection_are_emitted_once() -> None:
    setup = Setup()
    setup.predicts(2, due=100)
    setup.asks(3)
    setup.settles([1], 4)
    setup.feed.closed("gone", at(50))
    setup.feed = setup.connect()
    setup.predicts(310, due=400)
    assert setup.asks(311) == [FETCH]
    assert setup.settles([1, 100, 200, 300], 312) == rates(100, 200, 300)
    assert setup.settles([1, 100, 200, 300], 313) == []


def test_earlier_payment_by_a_shorter_interval_is_no_missing_one() -> None:
    """The time of the next payment may move though none has passed."""
    setup = Setup()
    setup.predicts(2, due=100)
    setup.asks(3)
    setup.settles([1], 4)
    setup.predicts(10, due=150)
    assert setup.asks(11) == [FETCH]
    assert setup.settles([1], 12) == []
    assert setup.asks(140) == []


@pytest.mark.parametrize("answer", [b"", RequestFailedError("GET /settled: HTTP 500")])
def test_failed_request_is_repeated_with_one_warning(answer: Answer) -> None:
    setup = Setup()
    setup.predicts(2, due=100)
    setup.asks(3)
    (warning,) = setup.answers(answer, 4)
    assert isinstance(warning, Warn)
    assert "BTC-USDT/funding: the settled rates cannot be read yet" in warning.message
    assert setup.asks(13) == []
    assert setup.asks(14) == [FETCH]
    assert setup.answers(answer, 15) == []
    assert setup.settles([1], 40) == rates(1)


def test_rates_on_the_connection_are_not_requested() -> None:
    setup = Setup(sends_settled_rates=True)
    setup.predicts(2, due=100)
    assert setup.asks(3) == []
