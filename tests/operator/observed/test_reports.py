import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_operator.errors import ReportError
from market_operator.observed.reported_streams import STREAMS_LIMIT
from market_operator.observed.reports import (
    CONNECTIONS_LIMIT,
    OPEN_GAPS_LIMIT,
    TEXT_LIMIT,
    VALUES_LIMIT,
    Report,
    read_report,
)

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
def test_invalid_report_is_refused_with_the_reason(text: str, problem: str) -> None:
    with pytest.raises(ReportError, match=problem):
        read_report(text)


@given(fields=st.dictionaries(FIELDS, JSON))
def test_hostile_report_does_not_break_the_operator(fields: dict[str, Any]) -> None:
    found = read_report(json.dumps({"contract": 1, "epoch": "a/1", **fields}))
    assert all(number >= 0 for number in found.counters.numbers)


def test_long_strings_are_cut(report: Callable[..., Report]) -> None:
    assert len(report(reason="x" * 5000).reason) == TEXT_LIMIT


@pytest.mark.parametrize(
    "time",
    [
        *("yesterday", "2026-11-22T10:00:00", "", 7, None),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        *("0099-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_invalid_time_is_none(report: Callable[..., Report], time: object) -> None:
    assert report(lastMessageTime=time).last_message_time == ""


def test_times_are_converted_to_utc(report: Callable[..., Report]) -> None:
    assert report(lastMessageTime="2026-11-22T12:00:00+02:00").last_message_time == "2026-11-22T10:00:00Z"


def test_half_a_surrogate_pair_is_replaced(report: Callable[..., Report]) -> None:
    """The API server stores another text than it was sent, so the status would be written again and again."""
    assert report(reason="broken \ud800").reason == "broken \ufffd"


def test_control_characters_reach_no_status_log_or_terminal(report: Callable[..., Report]) -> None:
    assert report(reason="a\x1b]0;title\x07\nb\u202ec é").reason == "a\ufffd]0;title\ufffd\ufffdb\ufffdc é"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"contract": 1, "epoch": "a/1", "x": ' + "[" * 100_000])
def test_deeply_nested_report_is_refused(text: str) -> None:
    """A RecursionError would end the task that probes all pods."""
    with pytest.raises(ReportError, match="nested too deeply"):
        read_report(text)


@pytest.mark.parametrize("value", ["{}", "[]", '{"a":1}', "1"])
def test_report_of_more_values_than_a_collector_has_is_refused(value: str) -> None:
    text = '{"contract": 1, "epoch": "a/1", "x": [' + ",".join([value] * (VALUES_LIMIT + 1)) + "]}"
    with pytest.raises(ReportError, match="more than 300000 values"):
        read_report(text.encode())


def test_words_of_tenants_are_not_interned(report: Callable[..., Report]) -> None:
    """CPython 3.12 never frees an interned string."""
    found = report(reason="a reason that only this report has")
    assert sys.intern("".join(["a reason that only ", "this report has"])) is not found.reason


def test_lists_are_as_long_as_those_of_a_resource(report: Callable[..., Report]) -> None:
    found = report(
        connections=[{"name": str(number)} for number in range(1_000)],
        sinks=[{"name": str(number)} for number in range(1_000)],
        gaps=[{"state": "open", "stream": str(number)} for number in range(10_000)],
        positions={str(number): None for number in range(20_000)},
    )
    assert (len(found.connections), len(found.sinks), len(found.open_gaps)) == (CONNECTIONS_LIMIT, 8, OPEN_GAPS_LIMIT)
    assert len(json.loads(found.positions)) == STREAMS_LIMIT


def test_closed_gaps_are_not_kept(report: Callable[..., Report]) -> None:
    gaps = [{"id": "1", "stream": "BTC-USDT/trade", "state": state} for state in ("repaired", "open", "lost")]
    assert report(gaps=gaps).open_gaps == ("BTC-USDT/trade",)


def test_small_report_has_no_size(report: Callable[..., Report]) -> None:
    streams = [{"stream": f"S{number}-USDT/trade", "state": "live"} for number in range(50)]
    assert report(streams=streams).size == 0
    assert report(streams=streams * 1_000, positions={"a": {"line": {"last": 1}, "gaps": "x" * 3_900}}).size > 0


def test_long_positions_become_earlier_ones_and_then_unknown(report: Callable[..., Report]) -> None:
    """Without any, the operator says of every stream that nobody knows where it ended."""
    position = {"line": {"last": 9, "holes": [[5, 6]]}, "gaps": ["x" * 3_000]}
    found = json.loads(report(positions={str(number): position for number in range(1_000)}).positions)
    assert set(map(json.dumps, found.values())) == {'{"line": {"last": 4}}'}
    assert report(positions={f"{number:0128d}": position for number in range(9_000)}).positions == ""


def test_connection_reason_is_read_from_either_field(report: Callable[..., Report]) -> None:
    found = report(connections=[{"name": "a", "state": "backoff", "error": "refused"}])
    assert found.connections[0].reason == "refused"


def test_counters_and_message_times_are_no_condition_inputs(report: Callable[..., Report]) -> None:
    later = report(counters={"messages": 99}, lastMessageTime="2026-11-22T10:06:00Z")
    assert report().condition_inputs == later.condition_inputs
    assert report().condition_inputs != report(health="Degraded").condition_inputs
