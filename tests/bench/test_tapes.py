"""The tapes of Binance and Bybit: complete for our collector, and the same data for the peer."""

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import pytest
from bench import frames, handler, passes, tapes
from bench.tapes import KINDS, Kind, Side

RECORDS = {
    "binance": {"books": 585, "trades": 219, "tickers": 81},
    "bybit": {"books": 585, "trades": 219, "tickers": 76},
}
"""Of 3 loops. One ticker of each loop repeats the one before, and Bybit's first two are in the snapshots."""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "LOOPS", 3)


def messages(kind: Kind, side: Side) -> list[dict[str, Any]]:
    return [json.loads(text) for text in tapes.tape(kind, 3, side).frames]


def events(kind: Kind, side: Side) -> dict[str, list[dict[str, Any]]]:
    """The data of Binance's events by the channel of their stream."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for message in messages(kind, side):
        found[message["stream"].split("@")[1]].append(message["data"])
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_looped_tape_passes_our_feed_without_a_gap(kind: Kind) -> None:
    read = handler.reader(kind)
    for _ in range(2):  # each pass has a connection of its own
        done = read()
        assert done.surprises == []
        assert done.records == Counter(RECORDS[kind])
        assert done.messages == done.records.total()


@pytest.mark.parametrize("kind", KINDS)
def test_lost_book_update_would_be_found(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    complete = tapes.tape(kind, 3, "ours")
    updates = [number for number, text in enumerate(complete.frames) if "depthUpdate" in text or "orderbook" in text]
    del complete.frames[updates[50]]
    monkeypatch.setattr(tapes, "tape", lambda *arguments: complete)
    assert any("SequenceGap" in surprise for surprise in handler.reader(kind)().surprises)


def test_peer_reads_the_same_fills_and_prices_of_binance() -> None:
    ours, peer = events("binance", "ours"), events("binance", "peer")
    assert ours["depth"] == peer["depth"]
    for fill, aggregate in zip(ours["trade"], peer["aggTrade"], strict=True):
        assert aggregate["f"] == aggregate["l"] == aggregate["a"] == fill["t"]
        assert all(aggregate[field] == fill[field] for field in ("E", "s", "p", "q", "T", "m", "M"))
    for ticker, quote in zip(ours["ticker"], peer["bookTicker"], strict=True):
        assert all(ticker[field] == quote[field] for field in ("s", "b", "B", "a", "A"))


def test_both_sides_have_the_same_tape_of_bybit() -> None:
    assert tapes.tape("bybit", 2, "ours") == tapes.tape("bybit", 2, "peer")


def test_tape_has_the_fills_and_levels_of_okx() -> None:
    rows = [row for each in frames.messages("sequence", range(3)) for row in each["data"]]
    fills = [(row["tradeId"], row["px"], row["sz"], row["side"]) for row in rows if "tradeId" in row]
    assert [
        (str(int(fill["i"].split("-")[-1])), fill["p"], fill["v"], fill["S"].lower())
        for message in messages("bybit", "ours")
        if message["topic"].startswith("publicTrade")
        for fill in message["data"]
    ] == fills
    levels = sum(len(row["bids"]) + len(row["asks"]) for row in rows if row.get("prevSeqId", -1) != -1)
    assert sum(len(event["b"]) + len(event["a"]) for event in events("binance", "ours")["depth"]) == levels


def test_update_ids_of_each_book_continue_its_snapshot() -> None:
    tape = tapes.tape("binance", 3, "ours")
    for symbol, answer in tape.answers.items():
        updates = [each for each in events("binance", "ours")["depth"] if each["s"] == symbol]
        assert updates[0]["U"] == json.loads(answer)["lastUpdateId"] + 1
        assert all(later["U"] == earlier["u"] + 1 for earlier, later in pairwise(updates))


def test_ticker_of_bybit_has_only_changed_fields_after_the_first() -> None:
    last: dict[str, dict[str, str]] = {}
    tape = tapes.tape("bybit", 3, "ours")
    for message in map(json.loads, [*tape.start, *tape.frames]):
        if message["topic"].startswith("tickers"):
            fields = {name: value for name, value in message["data"].items() if name != "symbol"}
            known = last.setdefault(message["topic"], {})
            assert (message["type"] == "snapshot") == (known == {})
            assert fields
            assert all(known.get(name) != value for name, value in fields.items())
            known |= fields
