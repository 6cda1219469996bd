"""Recordings come out of the dialect byte for byte, and their numbers and times continue in later passes."""

import json
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.binance.dialect import Binance
from market_simulator.dialects.binance.futures import FuturesPublisher
from market_simulator.dialects.binance.publications import CUTS, Publisher, variant
from market_simulator.dialects.binance.recording import read_frame
from market_simulator.engine.events import Key
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.publications import Publications
from market_simulator.engine.recording import Recording, read_recording, steps
from market_simulator.engine.replay import recorded_books, recorded_keys, replay
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Venue

RECORDINGS = Path(__file__).parents[3] / "recordings" / "binance"
SPOT = "wss://stream.binance.com:9443"
NKN, TESTNET = "ws_spot_2021-10-12_nknusdt_part1_blzeth", "ws_spot_testnet_2026-09-13_btcusdt"
FUTURES = "ws_usdm_demo_2026-09-15_btcusdt_part1"
FILES = (NKN, "ws_spot_2026-08-22_kline_snippet", TESTNET, FUTURES, "ws_usdm_2026-09-30_markprice")


def entries(name: str) -> list[Any]:
    return [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]


def recorded_texts(name: str) -> list[str]:
    return [entry["raw"] for entry in entries(name) if entry["url"].startswith("wss")]


class Replay:
    """A replay from the recorded time on, with a client on the recorded kind of connection."""

    def __init__(self, name: str) -> None:
        read: Recording = read_recording(RECORDINGS / f"{name}.jsonl", read_frame, "Binance spot")
        made = [Binance().make_instrument(symbol, *steps(symbol, [read])) for symbol in sorted(read.names)]
        self.venue = Venue(made, recorded_keys([read]), 1000, recorded_books([read]))
        is_futures = any(symbol.endswith("-PERP") for symbol in read.names)
        self.publications = Publications(self.venue, FuturesPublisher if is_futures else Publisher)
        form = variant("/stream?" in entries(name)[0]["url"], 0)
        self.wanted = {Key(frame.channel, frame.instrument, form) for frame in read.frames}
        self.events = with_beats(replay([read], read.zero_ms * 1000, Fraction(1), Binance().checksum), 60_000_000)

    def said(self, count: int) -> list[str]:
        """The next `count` messages."""
        texts: list[str] = []
        while len(texts) < count:
            event = next(self.events)
            self.venue.apply(event)
            texts += [text for _, text in self.publications.publish(event, self.wanted)]
        return texts


@pytest.mark.parametrize("name", FILES)
def test_recorded_events_come_out_byte_for_byte(name: str) -> None:
    texts = recorded_texts(name)
    assert Replay(name).said(len(texts)) == texts


def data(texts: list[str]) -> list[Any]:
    messages = map(json.loads, texts)
    return [message.get("data", message) for message in messages]


def test_book_equals_that_of_rest_once_it_contains_the_same_updates() -> None:
    """The recorded reply has the first update in it already."""
    found, snapshot = Replay(NKN), json.loads(entries(NKN)[1]["raw"])
    (first,) = data(found.said(1))
    assert first["u"] == snapshot["lastUpdateId"]
    book = found.venue.boards["NKN-USDT"].book
    assert [[level.price, level.size] for level in book.bids.best()] == snapshot["bids"]
    assert [[level.price, level.size] for level in book.asks.best()] == snapshot["asks"]


def test_later_passes_continue_the_updates_and_times() -> None:
    found = data(Replay(TESTNET).said(200))
    updates = [event for event in found if event.get("e") == "depthUpdate"]
    assert all(after["U"] == before["u"] + 1 for before, after in pairwise(updates))
    trades = [event for event in found if event.get("e") == "trade"]
    assert all(after["t"] == before["t"] + 1 for before, after in pairwise(trades))
    assert len(trades) > 20
    for kind in ("depthUpdate", "trade"):
        times = [event["E"] for event in found if event.get("e") == kind]
        assert times == sorted(times)


def test_later_passes_of_a_candle_stay_on_its_boundaries() -> None:
    found = data(Replay("ws_spot_2026-08-22_kline_snippet").said(1_000))
    assert {(event["k"]["t"] % 60_000, event["k"]["T"] - event["k"]["t"]) for event in found} == {(0, 59_999)}
    assert len({event["k"]["t"] for event in found}) > 1


def test_updates_of_perpetuals_are_linked_by_pu_in_later_passes() -> None:
    found = data(Replay(FUTURES).said(900))
    updates = [event for event in found if event["e"] == "depthUpdate"]
    assert all(after["pu"] == before["u"] for before, after in pairwise(updates))
    assert sum(after["U"] != before["u"] + 1 for before, after in pairwise(updates)) > 300
    assert len({event["U"] for event in updates}) == len(updates)


def test_recorded_updates_are_the_same_for_all_connections() -> None:
    found = Replay(TESTNET)
    found.wanted = {Key("depth@100ms", "BTC-USDT", variant(True, cut)) for cut in range(CUTS)}
    texts = found.said(9)
    assert texts == [text for text in texts[::CUTS] for _ in range(CUTS)]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (f"{SPOT}/ws", '{"result":null,"id":1}'),
        (f"{SPOT}/ws", "[]"),
        ("wss://ws-api.binance.com/ws-api/v3", '{"event":{"e":"outboundAccountPosition","E":5}}'),
        (f"{SPOT}/ws", '{"e":"trade","E":5,"s":"BTCXYZ","t":1}'),
        ("https://api.binance.com/api/v3/time", '{"serverTime":5}'),
    ],
)
def test_other_messages_are_not_replayed(url: str, text: str) -> None:
    assert read_frame(url, text) is None


def test_instruments_come_from_rest() -> None:
    row = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}
    found = read_frame("https://api.binance.com/api/v3/exchangeInfo?x=1", json.dumps({"symbols": [row]}))
    assert found == [Instrument("BTC-USDT", "SPOT", row)]


@pytest.mark.parametrize(
    ("path", "event", "channel"),
    [
        ("/ws/btcusdt@depth", {"e": "depthUpdate", "U": 1, "u": 2, "b": [], "a": []}, "depth"),
        ("/ws/btcusdt@depth@100ms", {"e": "depthUpdate", "U": 1, "u": 2, "b": [], "a": []}, "depth@100ms"),
        ("/ws/btcusdt@bookTicker", {"u": 5, "b": "1", "B": "1", "a": "2", "A": "1"}, "bookTicker"),
        ("/ws/btcusdt@ticker", {"e": "24hrTicker", "c": "1"}, "ticker"),
        ("/ws/btcusdt@markPrice@1s", {"e": "markPriceUpdate", "p": "1"}, "markPrice@1s"),
    ],
)
def test_raw_events_belong_to_a_stream_by_their_kind(path: str, event: dict[str, Any], channel: str) -> None:
    push = read_frame(SPOT + path, json.dumps({"E": 5, "s": "BTCUSDT"} | event))
    assert push is not None
    assert not isinstance(push, list)
    assert (push.channel, push.instrument) == (channel, "BTC-USDT")
