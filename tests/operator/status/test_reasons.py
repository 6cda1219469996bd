"""The reasons are a closed list, and docs/status.md explains each of them."""

import re

import pytest

from documented_reasons import documented
from market_operator.status.reasons import Reason, is_problem

CONDITIONS = {"Ready", "Accepted", "WorkloadReady", "Streaming", "Complete", "SinksHealthy", "Reconciling", "Stalled"}
REASONS = {value for name, value in vars(Reason).items() if name.isupper()}


def test_the_document_lists_exactly_the_reasons_that_there_are() -> None:
    assert set(documented()) == REASONS


def test_each_has_a_sentence_and_conditions_that_exist() -> None:
    for reason, (users, text) in documented().items():
        assert users <= CONDITIONS, reason
        assert len(text.split()) >= 4, reason


def test_every_reason_is_valid_for_kubernetes() -> None:
    assert all(re.fullmatch("[A-Za-z]{1,1024}", reason) for reason in REASONS)


@pytest.mark.parametrize(
    ("kind", "status", "reason", "expected"),
    [
        ("Ready", "True", Reason.READY, False),
        ("Ready", "False", Reason.STREAMS_STALE, True),
        ("Ready", "Unknown", Reason.PENDING, False),
        ("Streaming", "Unknown", Reason.COLLECTOR_UNREACHABLE, True),
        ("WorkloadReady", "False", Reason.ROLLING_OUT, False),
        ("Streaming", "False", Reason.SUSPENDED, False),
        ("Stalled", "True", Reason.INVALID_SPEC, True),
        ("Reconciling", "True", Reason.APPLY_FAILED, False),
    ],
)
def test_problems_are_the_reasons_that_need_attention(kind: str, status: str, reason: str, expected: bool) -> None:
    assert is_problem(kind, status, reason) is expected
