"""Answers of exchanges that differ from OKX's: one for several streams, and close frames with words."""

import pytest

from feed_life import emitted
from imaginary_exchange import ImaginaryExchange
from imaginary_life import ImaginaryLife, at
from imaginary_server import trades
from market_collector.exchanges.interface import Closing
from market_collector.model.events import Disconnected

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
