"""Quiet or stale where no number grows with each event: the exchange judges with evidence."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from feed_life import BOOK, TICKER, TRADES, ask, at, emitted
from imaginary_books import whole
from imaginary_exchange import GivenMessages, ImaginaryExchange
from market_collector.errors import FrameError, InstrumentRefusedError, RequestFailedError
from market_collector.exchanges.freshness import by_number
from market_collector.exchanges.interface import (
    Ack,
    Batch,
    Finding,
    Freshness,
    Message,
    ProblemKind,
    RestProblem,
    Seen,
)
from market_collector.exchanges.okx.rest import OkxRestApi
from market_collector.feed.effects import Effect
from market_collector.feed.feed import Feed
from market_collector.feed.ledger import Ledger
from market_collector.model.events import Resync, Ticker, Trade
from market_collector.model.streams import Stream, StreamState

UNKNOWN_SYMBOL = b'{"error":["EQuery:Unknown asset pair"]}'


class EvidenceApi(OkxRestApi):
    """Tickers are judged by the newest trade id, books by their best bid, trades by a digest without numbers."""

    def judge(self, stream: Stream, seen: Seen, body: bytes) -> Freshness:
        if body == UNKNOWN_SYMBOL:
            raise InstrumentRefusedError("SymbolNotFound", "EQuery:Unknown asset pair")
        answer = json.loads(body)
        if stream == TICKER:
            known = seen.answer if seen.last is None else seen.evidence
            return by_number(answer["trade"], known)
        if stream == BOOK:
            return self._judge_book(seen, answer["bid"])
        if not isinstance(seen.last, Trade):
            raise FrameError("no trade", stream)
        if seen.last.trade_id == answer["uuid"]:
            return Freshness(Finding.QUIET)
        return Freshness(Finding.NEWER, detail=f"trade {answer['uuid']}")

    def _judge_book(self, seen: Seen, bid: str) -> Freshness:
        """A book that differs in two answers, without an update in between, lacks one."""
        assert seen.book is not None
        ours = seen.book.best_bids(1)[0].price
        if ours == bid:
            return Freshness(Finding.QUIET)
        words = f"best bid {bid}, not {ours}"
        if seen.answer is None:
            return Freshness(Finding.UNKNOWN, evidence="differs", detail=words)
        return Freshness(Finding.NEWER, detail=words)


class Setup:
    """A feed of one acknowledged stream."""

    def __init__(self, stream: Stream) -> None:
        self.stream, self.codec = stream, GivenMessages()
        exchange: Any = ImaginaryExchange(rest_api=EvidenceApi(), codec=lambda *_: self.codec)
        self.ledger = Ledger("okx", [stream], 10.0, at(0))
        self.feed = Feed("all", exchange, [stream], self.ledger, ping_interval_s=20.0)
        self.feed.opened(at(0))
        self.gets(Ack((stream,)), 0.5)

    def gets(self, message: Message, seconds: float) -> None:
        self.codec.messages = [message]
        self.feed.received(b"", at(seconds))

    def probed(self, answer: Mapping[str, Any] | RequestFailedError, seconds: float) -> list[Effect]:
        body = answer if isinstance(answer, RequestFailedError) else json.dumps(answer).encode()
        self.feed.woken(at(seconds))
        effects = self.feed.answered(ask(self.stream), body, at(seconds))
        self.ledger.age(at(seconds + 0.1))
        return effects

    @property
    def state(self) -> StreamState:
        return self.ledger.streams[self.stream].state


def ticker(time_ns: int) -> Ticker:
    return Ticker("okx", "BTC-USDT", time_ns, 1, "1", "1", "2", "1", None, None, None, None, None, None, None)


def test_ticker_without_new_trades_is_quiet_whatever_its_time() -> None:
    setup = Setup(TICKER)
    setup.gets(Batch(TICKER, [ticker(5)], evidence=70), 1)
    assert setup.probed({"trade": 70, "time": 10**18}, 12) == []
    assert setup.state is StreamState.QUIET


def test_ticker_of_a_symbol_with_newer_trades_is_stale() -> None:
    setup = Setup(TICKER)
    setup.gets(Batch(TICKER, [ticker(5)], evidence=70), 1)
    setup.gets(Batch(TICKER, [ticker(6)]), 1.5)  # the half of a ticker that has no trade id
    setup.probed({"trade": 75}, 12)
    (resync,) = emitted(setup.probed({"trade": 75}, 18))
    assert isinstance(resync, Resync)
    assert resync.detail == "silent, but the exchange has newer data (75 after 70)"


def test_ticker_before_its_first_data_is_compared_with_the_last_answer() -> None:
    setup = Setup(TICKER)
    states = []
    for second in (4, 7):
        assert setup.probed({"trade": 70}, second) == []
        states.append(setup.state)
    assert states == [StreamState.PENDING, StreamState.QUIET]


def test_book_that_equals_its_answer_is_quiet() -> None:
    setup = Setup(BOOK)
    setup.gets(Batch(BOOK, [whole(1, {"9": "1"}, {"10": "1"})]), 1)
    setup.probed({"bid": "9"}, 12)
    assert setup.state is StreamState.QUIET


def test_book_that_differs_from_two_answers_is_stale() -> None:
    setup = Setup(BOOK)
    setup.gets(Batch(BOOK, [whole(1, {"9": "1"}, {"10": "1"})]), 1)
    assert setup.probed({"bid": "8"}, 12) == []
    progress = setup.ledger.streams[BOOK]
    assert (progress.state, progress.unchecked) == (StreamState.UNKNOWN, "best bid 8, not 9")
    records = emitted(setup.probed({"bid": "8"}, 18))
    assert isinstance(records[0], Resync)
    assert records[0].detail == "silent, but the exchange has newer data (best bid 8, not 9)"


def test_evidence_of_an_answer_ends_with_the_next_data() -> None:
    setup = Setup(BOOK)
    setup.gets(Batch(BOOK, [whole(1, {"9": "1"}, {"10": "1"})]), 1)
    setup.probed({"bid": "8"}, 12)
    setup.gets(Batch(BOOK, [whole(2, {"8": "1"}, {"10": "1"})]), 13)
    setup.probed({"bid": "7"}, 24)
    assert setup.state is StreamState.UNKNOWN, "it differs for the first time"


def test_newer_data_without_a_number_opens_no_gap() -> None:
    setup = Setup(TRADES)
    setup.gets(Batch(TRADES, [Trade("okx", "BTC-USDT", 5, 1, "70", "70", 1, "buy", "1", "1")]), 1)
    setup.probed({"uuid": "f00"}, 12)
    records = emitted(setup.probed({"uuid": "f00"}, 18))
    assert [type(record) for record in records] == [Resync]
    assert setup.ledger.check_overdue(at(30)) == []


@pytest.mark.parametrize(
    ("kind", "state"), [(ProblemKind.NO_SYMBOL, StreamState.REFUSED), (ProblemKind.SERVER, StreamState.UNKNOWN)]
)
def test_only_a_refusal_of_the_symbol_refuses_the_stream(kind: ProblemKind, state: StreamState) -> None:
    setup = Setup(TICKER)
    setup.gets(Batch(TICKER, [ticker(5)], evidence=70), 1)
    setup.probed(RequestFailedError("GET /ticker: HTTP 400", RestProblem(kind), UNKNOWN_SYMBOL), 12)
    assert setup.state is state


@pytest.mark.parametrize(
    ("newest", "known", "finding"),
    [
        (None, 5, Finding.EMPTY),
        (5, None, Finding.UNKNOWN),
        (5, 5, Finding.QUIET),
        (4, 5, Finding.OLDER),
        (6, 5, Finding.NEWER),
    ],
)
def test_growing_number_is_judged(newest: int | None, known: int | None, finding: Finding) -> None:
    assert by_number(newest, known).finding is finding
