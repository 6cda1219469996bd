"""The tape: both sides read the same data, which is complete and correct."""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from bench import frames, handler

import recordings


def messages(kind: frames.Kind, loops: int, books: int = 2) -> list[dict[str, Any]]:
    return [json.loads(text) for text in frames.tape(kind, range(loops), books=books)]


def rows(found: list[dict[str, Any]], channel: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of a channel by instrument, in order."""
    by_instrument: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in found:
        if message["arg"]["channel"] == channel:
            by_instrument[message["arg"]["instId"]] += message["data"]
    return by_instrument


def test_the_first_loop_with_checksums_is_the_recording_byte_for_byte() -> None:
    """Except for the name of the future."""
    recorded = [frame.text for frame in recordings.received(recordings.OKX_2022) if '"data":' in frame.text]
    renamed = [text.replace(f'"{frames.RECORDED_FUTURE}"', f'"{frames.INSTRUMENTS[1]}"') for text in recorded]
    assert frames.tape("checksum", range(1)) == renamed


@pytest.mark.parametrize("kind", ["sequence", "checksum"])
def test_a_looped_tape_passes_our_feed_without_a_gap(kind: frames.Kind) -> None:
    tape = frames.tape(kind, range(3))
    done = handler.read([text.encode() for text in tape])
    assert done.surprises == []
    assert done.records.total() == len(tape)
    assert done.records.keys() == {"trades", "books", "tickers"}


def test_single_fills_are_the_same_fills_without_a_count() -> None:
    single = [json.loads(text) for text in frames.tape("sequence", range(2), trades="trades-all")]
    assert handler.read([frames.text(message).encode() for message in single]).surprises == []
    merged = rows(messages("sequence", 2), "trades")
    assert rows(single, "trades") == {}
    assert {
        name: [row | {"count": "1"} for row in found] for name, found in rows(single, "trades-all").items()
    } == merged


def test_every_checksum_verifies_so_a_wrong_one_would_be_found() -> None:
    found = messages("checksum", 1)
    books = [message for message in found if message["arg"]["channel"] == "books"]
    books[-1]["data"][0]["checksum"] += 1
    done = handler.read([json.dumps(message, separators=(",", ":")).encode() for message in found])
    assert any("ChecksumMismatch" in surprise for surprise in done.surprises)
    assert all(row["checksum"] != 0 for message in books for row in message["data"])


def test_a_modern_tape_is_linked_by_sequence_from_each_snapshot_on() -> None:
    for updates in rows(messages("sequence", 2), "books").values():
        assert sum(row["prevSeqId"] == -1 for row in updates) == 2
        assert all(b["prevSeqId"] in (-1, a["seqId"]) for a, b in pairwise(updates))
        assert all(a["seqId"] < b["seqId"] for a, b in pairwise(updates))
        assert {row["checksum"] for row in updates} == {0}


def test_a_lost_frame_of_a_modern_tape_would_be_found() -> None:
    tape = [text.encode() for text in frames.tape("sequence", range(1))]
    without = [frame for number, frame in enumerate(tape) if number != 100]
    assert json.loads(tape[100])["arg"]["channel"] == "books"
    assert any("SequenceGap" in surprise for surprise in handler.read(without).surprises)


def test_trade_ids_and_times_go_on_from_loop_to_loop() -> None:
    for trades in rows(messages("sequence", 3, books=3), "trades").values():
        ids = [int(trade["tradeId"]) for trade in trades]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        times = [int(trade["ts"]) for trade in trades]
        assert times == sorted(times)


def test_loops_made_one_by_one_are_those_made_together() -> None:
    one_by_one = [text for number in range(3) for text in frames.tape("sequence", [number])]
    assert one_by_one == frames.tape("sequence", range(3))


def test_the_third_book_is_a_copy_of_the_first_under_its_own_name() -> None:
    found = rows(messages("sequence", 1, books=3), "books")
    assert found.keys() == set(frames.instruments(3))
    assert [row["bids"] for row in found["ETH-USDT"]] == [row["bids"] for row in found["BTC-USDT"]]
    tape = frames.tape("sequence", range(2), books=3)
    done = handler.read([text.encode() for text in tape], books=3)
    assert done.surprises == []
    assert done.records.total() == len(tape)


def test_the_mix_is_that_of_the_recording() -> None:
    kinds = Counter(message["arg"]["channel"] for message in messages("sequence", 1))
    assert kinds == {"books": 197, "trades": 73, "tickers": 27}
