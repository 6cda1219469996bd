"""Answers of exchanges that differ from OKX's: one for several streams, and close frames with words."""

import pytest

from feed_life import emitted
from imaginary_exchange import ImaginaryExchange
from imaginary_life import ImaginaryLife, at
from imaginary_server import trades
from market_collector.exchanges.interface import Access, Closing, Route
from market_collector.feed.account_login import NOT_KEPT
from market_collector.model.events import Disconnected, Raw

ONE, TWO, THREE = trades("A-B", "C-D", "E-F")
CLOSINGS = {"slow consumer": Closing.SLOW_READER}


def test_one_answer_acknowledges_all_streams_of_the_request() -> None:
    life = ImaginaryLife(ImaginaryExchange(), ONE, TWO)
    life.is_acked(ONE, TWO)
    assert life.feed.is_settled
    assert {progress.reason for progress in life.ledger.streams.values()} == {"NoDataYet"}


def test_answer_that_repeats_served_streams_changes_nothing_of_them() -> None:
    """Otherwise the repeated stream would count as one that has not brought data."""
    life = ImaginaryLife(ImaginaryExchange(), ONE, TWO)
    life.is_acked(ONE)
    life.ledger.confirm(life.ledger.streams[ONE], at(1))
    assert life.feed.is_serving
    life.is_acked(ONE, TWO, seconds=2)
    assert life.feed.is_serving
    assert life.feed.is_settled


def test_frames_are_kept_once_all_signed_requests_are_answered() -> None:
    """An error about the second request may repeat it, with its signature."""
    routes = {"all": Route(access=Access.SIGNED)}
    life = ImaginaryLife(ImaginaryExchange(routes=routes, streams_per_request=1), ONE, TWO, store_raw=True)
    effects = [
        *life.is_acked(ONE),
        *life.gets({"error": "signature"}, 1),
        *life.is_acked(TWO),
        *life.gets({"pong": 1}, 2),
    ]
    assert [each.frame for each in emitted(effects) if isinstance(each, Raw)] == [*[NOT_KEPT] * 3, '{"pong": 1}']


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (1008, "slow consumer", "SlowReading"),
        (1008, "policy", "ClosedByExchange"),
        (1000, "slow consumer", "ClosedByExchange"),
        (None, "", "ConnectionLost"),
    ],
)
def test_words_of_a_close_frame_decide_about_its_meaning(code: int | None, text: str, reason: str) -> None:
    life = ImaginaryLife(ImaginaryExchange(closings=CLOSINGS), THREE)
    (ended,) = emitted(life.feed.closed("why", at(2), code, text=text))
    assert isinstance(ended, Disconnected)
    assert ended.reason == reason
