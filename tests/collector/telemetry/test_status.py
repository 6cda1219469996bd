"""The status document and its short form for the termination message."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_collector.feed.checkpoint_state import LinePosition, StreamPosition
from market_collector.model.report import SinkStatus
from market_collector.model.streams import ConnectionState, GapState, StreamState
from market_collector.telemetry.status import (
    ConnectionStatus,
    Counters,
    GapStatus,
    Health,
    LastReconnect,
    Status,
    StreamStatus,
    UnreadableFrame,
    encode,
    rfc3339,
    termination_message,
    unix_seconds,
)

TIME = "2026-11-22T10:00:00.000Z"


def gap(number: int, state: GapState = GapState.OPEN, reason: str = "sequence jumped") -> GapStatus:
    return GapStatus(
        id=f"gap-{number}",
        stream="BTC-USDT/trade",
        state=state,
        first="101",
        last="105",
        missing=5,
        detected_at=rfc3339(number * 1_000_000_000),
        reason=reason,
    )


def status(**parts: Any) -> Status:
    head = {"name": "okx-btc", "namespace": "default", "shard": 0, "version": "0.1.0", "epoch": "uid/time"}
    return Status(**{**head, "started_at": TIME, "time": TIME, "health": Health.HEALTHY, **parts})


FULL = status(
    reason="all is well",
    counters=Counters(messages=7, dropped_records=1),
    connections=(ConnectionStatus(name="public", state=ConnectionState.CONNECTED, since=TIME, pings_sent=2),),
    last_reconnect=LastReconnect(time=TIME, reason="closed by the exchange"),
    last_unreadable=UnreadableFrame(time=TIME, reason="not JSON", frame="<html>"),
    last_message_time=TIME,
    streams=(StreamStatus(stream="BTC-USDT/trade", state=StreamState.LIVE, last_message_time=TIME, since=TIME),),
    gaps=(gap(1),),
    sinks=(SinkStatus(name="out", type="stdout", acknowledged=6),),
    positions={"BTC-USDT/trade": StreamPosition(LinePosition(105, 9))},
)


def test_the_document_has_the_fixed_names() -> None:
    assert json.loads(encode(FULL)) == {
        "contract": 1,
        "name": "okx-btc",
        "namespace": "default",
        "shard": 0,
        "version": "0.1.0",
        "epoch": "uid/time",
        "startedAt": TIME,
        "time": TIME,
        "health": "Healthy",
        "reason": "all is well",
        "counters": {
            "messages": 7,
            "records": 0,
            "reconnections": 0,
            "resyncs": 0,
            "droppedRecords": 1,
            "gapsDetected": 0,
            "gapsRepaired": 0,
            "gapsLost": 0,
            "missingTrades": 0,
            "recoveredTrades": 0,
            "lostTrades": 0,
            "skippedUpdates": 0,
            "duplicates": 0,
            "unreadableFrames": 0,
            "internalErrors": 0,
            "slowReaderCloses": 0,
            "tooManyRequestsCloses": 0,
        },
        "connections": [
            {
                "name": "public",
                "state": "connected",
                "since": TIME,
                "reason": "",
                "problem": "",
                "pingsSent": 2,
                "pongsReceived": 0,
            },
        ],
        "clock": {"skewMs": None, "uncertaintyMs": None, "steps": 0, "checkedAt": None},
        "lastReconnect": {"time": TIME, "reason": "closed by the exchange"},
        "lastUnreadable": {"time": TIME, "reason": "not JSON", "frame": "<html>"},
        "lastMessageTime": TIME,
        "streams": [
            {
                "stream": "BTC-USDT/trade",
                "state": "live",
                "lastMessageTime": TIME,
                "since": TIME,
                "reason": "",
                "message": "",
                "delivered": None,
                "acknowledged": {},
            },
        ],
        "gaps": [
            {
                "id": "gap-1",
                "stream": "BTC-USDT/trade",
                "state": "open",
                "from": "101",
                "to": "105",
                "missing": 5,
                "recovered": 0,
                "detectedAt": "1970-01-01T00:00:01.000Z",
                "reason": "sequence jumped",
                "sink": None,
            },
        ],
        "sinks": [
            {
                "name": "out",
                "type": "stdout",
                "healthy": True,
                "queued": 0,
                "acknowledged": 6,
                "dropped": 0,
                "error": "",
            },
        ],
        "checkpointError": "",
        "positions": {"BTC-USDT/trade": {"line": {"last": 105, "time_ns": 9}}},
    }


def test_termination_message_has_what_the_operator_reads() -> None:
    document = status(reason="no stream\nhas data", counters=Counters(messages=7), health=Health.UNHEALTHY)
    message = json.loads(termination_message(document))
    assert message["counters"] == json.loads(encode(document))["counters"]
    del message["counters"]
    reason = "no stream has data"
    kept = {"contract": 1, "epoch": "uid/time", "shard": 0, "health": "Unhealthy", "reason": reason}
    assert message == kept, "a document without positions says nothing about them"


def test_termination_message_says_that_there_was_no_data() -> None:
    message = json.loads(termination_message(status(positions={"BTC-USDT/trade": None})))
    assert message["positions"] == {}


@pytest.mark.parametrize(("streams", "are_kept"), [(20, True), (200, False)])
def test_termination_message_has_the_positions_if_they_fit(streams: int, are_kept: bool) -> None:
    positions = {f"{n}-USDT/trade": StreamPosition(LinePosition(10**9 + n, 10**18)) for n in range(streams)}
    message = termination_message(status(positions=positions, reason="r" * 500))
    assert len(message) <= 4096
    assert ("positions" in json.loads(message)) == are_kept


TEXTS = st.text(max_size=400) | st.just("\x00" * 3000) | st.just("\N{GRINNING FACE}" * 2000)


@given(TEXTS, st.integers(0, 10**12))
def test_termination_message_is_valid_json_below_1_kb_for_any_reason(reason: str, messages: int) -> None:
    counters = Counters(**dict.fromkeys(Counters.__struct_fields__, messages))
    message = termination_message(status(epoch="e" * 80, reason=reason, counters=counters))
    assert len(message) < 1024
    assert json.loads(message)["counters"]["messages"] == messages


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_341_600_123_999_999, "2026-11-22T10:00:00.123Z"),
        (1_795_341_599_999_999_999, "2026-11-22T09:59:59.999Z"),
    ],
)
def test_a_time_has_milliseconds_and_is_utc(time_ns: int, text: str) -> None:
    assert rfc3339(time_ns) == text


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_can_be_read_back(milliseconds: int) -> None:
    assert unix_seconds(rfc3339(milliseconds * 1_000_000)) == pytest.approx(milliseconds / 1000)


HOSTILE = "\x1b]0;PWN\x07\u202e\n\ud800"
SHOWN = "\\x1b]0;PWN\\x07\\u202e\n\\ud800"


def test_words_of_an_exchange_are_escaped_in_every_part() -> None:
    document = status(
        reason=HOSTILE,
        checkpoint_error=HOSTILE,
        connections=(ConnectionStatus(name="public", state=ConnectionState.BACKOFF, since=TIME, reason=HOSTILE),),
        last_reconnect=LastReconnect(time=TIME, reason=HOSTILE),
        last_unreadable=UnreadableFrame(time=TIME, reason=HOSTILE, frame=HOSTILE),
        streams=(StreamStatus(stream="A-B/trade", state=StreamState.REFUSED, message=HOSTILE),),
        gaps=(gap(1, reason=HOSTILE),),
        sinks=(SinkStatus(name="out", type="stdout", error=HOSTILE),),
    )
    assert encode(document).count(json.dumps(SHOWN).encode()) == 9
    assert json.loads(termination_message(document))["reason"] == SHOWN.replace("\n", " ")
