"""Streams that exist over REST only: when they are requested, and what their answers lead to."""

import pytest

from imaginary_polls import BALANCES, CANDLES, closed, polling_exchange
from market_collector.errors import RequestFailedError
from market_collector.exchanges.interface import ProblemKind, RestProblem
from market_collector.feed.effects import Emit, Warn
from market_collector.feed.ledger import Ledger
from market_collector.feed.polling import Polling
from market_collector.model.events import Balance, Candle, Connected, Disconnected, Gap, Record, Refused
from market_collector.model.moment import Moment
from market_collector.model.streams import DataType, Stream, StreamState

OTHER = Stream("ETH-USDT", DataType.CANDLE, "1m")
START_S = 1_000 * 60.0
"""The beginning of minute 1000."""
NO_ANSWER = RequestFailedError("GET /candles/BTC-USDT: HTTP 500")


def at(seconds: float) -> Moment:
    return Moment(seconds, int((START_S + seconds) * 1e9))


class Setup:
    """Polled streams of one route."""

    def __init__(self, *streams: Stream, route: str = "polled") -> None:
        self.ledger = Ledger("imaginary", streams, 60.0, at(0))
        self.polling = Polling(route, polling_exchange("http://x"), streams, self.ledger)
        self.progress = self.ledger.streams[streams[0]]

    def asked(self, until: float) -> list[tuple[int, Stream]]:
        """Second and stream of each request."""
        found = []
        for second in range(1, int(until) + 1):
            while request := self.polling.next_request(at(second)):
                found.append((second, request.stream))
        return found

    def answered(self, body: bytes, seconds: float, stream: Stream = CANDLES) -> list[Record]:
        return records(self.polling.answered(stream, body, at(seconds)))


def records(effects: list[Emit | Warn]) -> list[Record]:
    return [record for effect in effects if isinstance(effect, Emit) for record in effect.records]


def summary(found: list[Record]) -> list[object]:
    """Numbers of candles, and the types of other records."""
    return [each.open_time_ns // 60_000_000_000 if isinstance(each, Candle) else type(each) for each in found]


def test_candles_are_requested_regularly_and_after_their_end() -> None:
    assert [second for second, _ in Setup(CANDLES).asked(70)] == [1, 2, 12, 22, 32, 42, 52, 62]


def test_streams_are_requested_in_turn() -> None:
    assert [stream for _, stream in Setup(CANDLES, OTHER).asked(2)] == [CANDLES, OTHER, CANDLES, OTHER]


def test_answer_is_emitted_once() -> None:
    setup = Setup(CANDLES)
    assert summary(setup.answered(closed([998, 999], 1000), 1)) == [Connected, 998, 999, 1000]
    assert setup.answered(closed([998, 999], 1000), 11) == []
    assert summary(setup.answered(closed([999, 1000], 1001), 62)) == [1000, 1001]
    assert setup.progress.state is StreamState.LIVE
    assert setup.polling.is_connected


def test_answers_without_newer_data_confirm_a_quiet_market() -> None:
    setup = Setup(CANDLES)
    setup.answered(closed([999]), 1)
    for second in range(10, 100, 10):
        setup.answered(closed([999]), second)
        setup.ledger.age(at(second))
    assert setup.progress.state is StreamState.QUIET


def test_failed_request_disconnects_and_the_next_answer_shows_the_gap() -> None:
    setup = Setup(CANDLES)
    setup.answered(closed([999], 1000), 1)
    failed = setup.polling.failed(CANDLES, NO_ANSWER, at(11))
    assert summary(records(failed)) == [Disconnected]
    assert [type(effect) for effect in failed] == [Emit, Warn]
    assert setup.polling.failed(CANDLES, NO_ANSWER, at(21)) == [], "once"
    assert (setup.polling.is_connected, setup.polling.reason) == (False, str(NO_ANSWER))
    setup.ledger.age(at(100))
    assert setup.progress.state is StreamState.UNKNOWN
    assert str(NO_ANSWER) in setup.progress.message
    found = setup.answered(closed([1004, 1005]), 400)
    assert summary(found) == [Connected, Gap, 1004, 1005]
    assert isinstance(found[1], Gap)
    assert (found[1].reason, found[1].missing, setup.polling.reason) == ("Disconnected", 4, "")


def test_exclusion_of_the_region_is_the_problem_until_an_answer() -> None:
    setup = Setup(CANDLES)
    excluded = RequestFailedError("GET /candles: HTTP 451", RestProblem(ProblemKind.REGION, 600.0))
    setup.polling.failed(CANDLES, excluded, at(1))
    assert setup.polling.problem == "RegionRestricted"
    setup.polling.failed(CANDLES, NO_ANSWER, at(2))
    assert setup.polling.problem == ""
    setup.polling.failed(CANDLES, excluded, at(3))
    setup.answered(closed([999]), 4)
    assert setup.polling.problem == ""


@pytest.mark.parametrize("is_http_error", [False, True])
def test_refused_instrument_is_requested_again_later(is_http_error: bool) -> None:
    setup = Setup(CANDLES)
    setup.answered(closed([999]), 1)
    setup.polling.next_request(at(1))
    body = b'{"refused":"unknown pair"}'
    error = RequestFailedError("GET /candles: HTTP 404", RestProblem(ProblemKind.NO_SYMBOL), body)
    effects = (
        setup.polling.failed(CANDLES, error, at(2)) if is_http_error else setup.polling.answered(CANDLES, body, at(2))
    )
    assert summary(records(effects)) == [Disconnected, Refused]
    assert (setup.progress.state, setup.progress.message) == (StreamState.REFUSED, "unknown pair")
    assert setup.polling.next_request(at(300)) is None
    assert setup.polling.next_request(at(303)) is not None
    assert summary(setup.answered(closed([999]), 304)) == [Connected], "served again, without newer candles"
    setup.ledger.age(at(305))
    assert setup.progress.state is StreamState.QUIET


def test_unreadable_answer_is_counted_and_stays_the_reason() -> None:
    setup = Setup(CANDLES)
    (warning,) = setup.polling.answered(CANDLES, b"<html>", at(1))
    assert isinstance(warning, Warn)
    assert (setup.ledger.unreadable_frames, setup.progress.reason) == (1, "Unreadable")


def test_balances_are_emitted_when_they_change() -> None:
    setup = Setup(BALANCES, route="private")
    first = setup.answered(b'{"BTC":"1","ETH":"2"}', 1, BALANCES)
    assert summary(first) == [Connected, Balance, Balance]
    (gone,) = setup.answered(b'{"BTC":"1"}', 2, BALANCES)
    assert isinstance(gone, Balance)
    assert (gone.asset, gone.total) == ("ETH", "0")


def test_end_of_polling_is_recorded() -> None:
    setup = Setup(CANDLES)
    assert setup.polling.stopped(at(1)) == []
    setup.answered(closed([999]), 1)
    assert Disconnected in summary(setup.polling.stopped(at(2)))
    assert not setup.progress.connections
