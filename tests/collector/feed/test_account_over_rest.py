"""Accounts of which a connection sends only changes: all balances come over REST."""

from collections.abc import Sequence
from typing import Any

from imaginary_exchange import GivenMessages, ImaginaryExchange
from imaginary_polls import BALANCES, ImaginaryPolls
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import (
    Access,
    AccountUpdate,
    Ack,
    Lost,
    Message,
    ProblemKind,
    RestProblem,
    Route,
)
from market_collector.feed.account_login import ACCOUNT_REPEAT_S, ACCOUNT_RETRY_S
from market_collector.feed.effects import Effect, Emit, Fetch, Question, Reconnect, SendSigned
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Balance
from market_collector.model.moment import Moment
from market_collector.model.streams import ACCOUNT, StreamState

NO_ANSWER = RequestFailedError("GET /account: HTTP 503")


def at(seconds: float) -> Moment:
    return Moment(seconds, int((1000 + seconds) * 1e9))


class Setup:
    """A connection that sends changes of an account."""

    def __init__(self) -> None:
        self.codec = GivenMessages()
        routes = {"private": Route(access=Access.SIGNED, sends_whole_accounts=False)}
        exchange: Any = ImaginaryExchange(routes=routes, polls=ImaginaryPolls(), codec=lambda *_: self.codec)
        self.ledger = Ledger("imaginary", [BALANCES], 30.0, at(0))
        self.progress = self.ledger.streams[BALANCES]
        self.feed = Feed("private", exchange, [BALANCES], self.ledger, ping_interval_s=1000.0)
        self.feed.opened(at(0))

    def gets(self, message: Message, seconds: float) -> list[Effect]:
        self.codec.messages = [message]
        return self.feed.received(b"", at(seconds))

    def fetches(self, seconds: float) -> list[Fetch]:
        """The requests of the next wake-up."""
        effects = self.feed.woken(at(seconds))
        assert not [effect for effect in effects if isinstance(effect, Reconnect | SendSigned)]
        return [effect for effect in effects if isinstance(effect, Fetch)]

    def answered(self, answer: bytes | RequestFailedError, seconds: float) -> list[tuple[str, str | None]]:
        """The balances after an answer."""
        self.codec.messages = []
        self.feed.received(b"", at(seconds))  # the connection is alive
        (fetch,) = self.fetches(seconds)
        assert (fetch.question, fetch.request.is_signed) == (Question.ACCOUNT, True)
        return balances(self.feed.answered(fetch, answer, at(seconds)))


def balances(effects: Sequence[Effect]) -> list[tuple[str, str | None]]:
    records = [record for effect in effects if isinstance(effect, Emit) for record in effect.records]
    return [(record.asset, record.total) for record in records if isinstance(record, Balance)]


def change(asset: str, total: str, seconds: float) -> AccountUpdate:
    time_ns = at(seconds).wall_ns
    held = [Balance("imaginary", ACCOUNT, time_ns, time_ns, asset, total, None, None)]
    return AccountUpdate(BALANCES, held, time_ns, is_whole=False)


def test_account_is_requested_once_it_is_subscribed() -> None:
    setup = Setup()
    assert setup.fetches(0.5) == []
    setup.gets(Ack((BALANCES,)), 1)
    assert setup.answered(b'{"BTC":"1"}', 1.5) == [("BTC", "1")]
    assert setup.fetches(2) == []
    assert (setup.progress.state, setup.feed.is_complete) == (StreamState.LIVE, True)
    assert balances(setup.gets(change("BTC", "2", 3), 3)) == [("BTC", "2")]


def test_change_that_overtakes_the_account_stays() -> None:
    setup = Setup()
    setup.gets(Ack((BALANCES,)), 1)
    (fetch,) = setup.fetches(1.5)
    setup.gets(change("ETH", "5", 100), 2)
    assert setup.fetches(2.5) == [], "one at a time"
    assert balances(setup.feed.answered(fetch, b'{"BTC":"1"}', at(3))) == [("BTC", "1")]


def test_account_is_requested_again_seldom() -> None:
    setup = Setup()
    setup.gets(Ack((BALANCES,)), 1)
    setup.answered(b'{"BTC":"1"}', 1.5)
    assert ACCOUNT_REPEAT_S == 300
    assert setup.fetches(ACCOUNT_REPEAT_S) == []
    assert setup.answered(b'{"BTC":"4"}', ACCOUNT_REPEAT_S + 2) == [("BTC", "4")]


def test_failed_request_is_the_reason_and_no_reconnect() -> None:
    setup = Setup()
    setup.gets(Ack((BALANCES,)), 1)
    assert setup.answered(NO_ANSWER, 1.5) == []
    for second in range(2, 11):
        assert setup.fetches(second) == []
    setup.ledger.age(at(40))
    assert (setup.progress.state, str(NO_ANSWER) in setup.progress.message) == (StreamState.UNKNOWN, True)
    assert setup.answered(b"<html>", 2 + ACCOUNT_RETRY_S) == []
    assert setup.answered(b'{"BTC":"1"}', 3 + 2 * ACCOUNT_RETRY_S) == [("BTC", "1")]
    assert setup.progress.unchecked == ""


def test_refused_key_is_not_repeated_soon() -> None:
    setup = Setup()
    setup.gets(Ack((BALANCES,)), 1)
    setup.answered(RequestFailedError("GET /account: API key refused", RestProblem(ProblemKind.KEY)), 1.5)
    assert setup.fetches(2 + ACCOUNT_RETRY_S) == []
    assert setup.answered(b'{"BTC":"1"}', 2 + ACCOUNT_REPEAT_S) == [("BTC", "1")]


def test_answer_of_an_unsubscribe_request_does_not_end_secrecy() -> None:
    setup = Setup()
    setup.gets(Ack(()), 1)
    assert setup.feed._login.is_pending
    setup.gets(Ack((BALANCES,)), 1)
    assert not setup.feed._login.is_pending


def test_account_is_requested_again_after_a_new_subscription() -> None:
    """The connection sent no changes between the two subscriptions."""
    setup = Setup()
    setup.gets(Ack((BALANCES,)), 1)
    setup.answered(b'{"BTC":"1"}', 1.5)
    requests = [effect for effect in setup.gets(Lost("the subscription ended"), 3) if isinstance(effect, SendSigned)]
    assert len(requests) == 2, "unsubscribe and subscribe"
    setup.gets(Ack((BALANCES,)), 4)
    assert setup.answered(b'{"BTC":"2"}', 4.5) == [("BTC", "2")]
