"""Rules of continuity: one update and the states that it follows."""

import pytest

from imaginary_books import change
from market_collector.book.rule import BookRule, Proof


@pytest.mark.parametrize("proof", [Proof.SEQUENCE, Proof.COUNTER, Proof.CONNECTION, Proof.CHECKSUM])
def test_a_numbered_update_follows_exactly_one_state(proof: Proof) -> None:
    rule = BookRule(proof)
    assert [state for state in (None, *range(1, 20)) if rule.is_next(state, change(10, 11, {}))] == [10]


def test_a_range_follows_each_state_but_the_one_it_leads_to() -> None:
    rule = BookRule(Proof.RANGE)
    assert [state for state in (None, *range(1, 20)) if rule.is_next(state, change(10, 14, {}))] == [10, 11, 12, 13]


@pytest.mark.parametrize("proof", [Proof.RANGE, Proof.COUNTER])
def test_a_number_that_only_grows_shows_what_a_state_contains(proof: Proof) -> None:
    rule = BookRule(proof)
    assert [state for state in (None, *range(1, 17)) if rule.contains(state, change(10, 14, {}))] == [14, 15, 16]


@pytest.mark.parametrize("proof", [Proof.SEQUENCE, Proof.CONNECTION, Proof.CHECKSUM])
def test_a_number_that_may_restart_proves_no_content(proof: Proof) -> None:
    assert not any(BookRule(proof).contains(state, change(10, 14, {})) for state in (None, *range(1, 99)))
