import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_operator.errors import ReportError
from market_operator.observed.reports import TEXT_LIMIT, Report, read_report

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = st.sampled_from(
    ["counters", "connections", "lastReconnect", "lastMessageTime", "streams", "gaps", "sinks", "shard", "health"]
)


def test_a_report_is_read(report: Callable[..., Report]) -> None:
    found = report()
    assert found.counters.messages == 10
    assert [stream.symbol for stream in found.streams] == ["BTC-USDT"] * 3
    assert found.last_message_time == "2026-11-22T10:05:00Z"
    assert found.sinks[0].healthy


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("<html>", "it is no JSON"),
        ("[]", "no JSON object"),
        ('{"contract": 2, "epoch": "a/1"}', "speaks contract 2, this operator contract 1"),
        ('{"contract": 1}', "names no epoch"),
    ],
)
def test_what_is_no_report_says_why(text: str, problem: str) -> None:
    with pytest.raises(ReportError, match=problem):
        read_report(text)


@given(fields=st.dictionaries(FIELDS, JSON))
def test_nothing_that_a_pod_says_breaks_the_operator(fields: dict[str, Any]) -> None:
    found = read_report(json.dumps({"contract": 1, "epoch": "a/1", **fields}))
    assert all(number >= 0 for number in found.counters.numbers)


def test_long_texts_are_cut(report: Callable[..., Report]) -> None:
    assert len(report(reason="x" * 5000).reason) == TEXT_LIMIT


@pytest.mark.parametrize("time", ["yesterday", "2026-11-22T10:00:00", "", 7, None])
def test_a_time_that_the_api_server_would_refuse_is_none(report: Callable[..., Report], time: object) -> None:
    assert report(lastMessageTime=time).last_message_time == ""


def test_times_are_told_in_utc(report: Callable[..., Report]) -> None:
    assert report(lastMessageTime="2026-11-22T12:00:00+02:00").last_message_time == "2026-11-22T10:00:00Z"


def test_a_connection_says_why_it_is_down_in_either_field(report: Callable[..., Report]) -> None:
    found = report(connections=[{"name": "a", "state": "backoff", "error": "refused"}])
    assert found.connections[0].reason == "refused"


def test_counters_and_message_times_are_not_of_the_essence(report: Callable[..., Report]) -> None:
    later = report(counters={"messages": 99}, lastMessageTime="2026-11-22T10:06:00Z")
    assert report().condition_inputs == later.condition_inputs
    assert report().condition_inputs != report(health="Degraded").condition_inputs
