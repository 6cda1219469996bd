"""Recordings come out of the dialect byte for byte, and their numbers and times continue in later passes."""

import json
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.bybit.dialect import Bybit
from market_simulator.dialects.bybit.publications import Publisher
from market_simulator.dialects.bybit.recording import read_frame
from market_simulator.engine.events import Event, Key, RecordedRow, Trades
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.publications import Publications
from market_simulator.engine.recording import RecordedTrade, Recording, read_recording, steps
from market_simulator.engine.replay import recorded_books, recorded_keys, replay
from market_simulator.engine.timeline import with_beats
from market_simulator.engine.venue import Venue

RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"
SPOT, LINEAR = "wss://stream.bybit.com/v5/public/spot", "wss://stream.bybit.com/v5/public/linear"
FILES = (
    "archive_ob500_2024-12-01_xrpusdt_part1",
    "ws_linear_tickers_2026-09-30_btcusdt",
    "ws_spot_2026-08-24_btcusdt_ob50",
    "ws_spot_2026-08_kline_snippet",
    "ws_spot_2026-09-02_btcusdt_trade_ticker",
    "ws_spot_testnet_2026-09-13_btcusdt",
)


def recording(name: str) -> Recording:
    return read_recording(RECORDINGS / f"{name}.jsonl", read_frame, "Bybit v5")


def recorded_texts(name: str) -> list[str]:
    lines = map(json.loads, (RECORDINGS / f"{name}.jsonl").read_text().splitlines())
    return [entry["raw"] for entry in lines if '"topic"' in entry["raw"]]


class Replay:
    """A replay from the recorded time on, with a client that wants each recorded stream."""

    def __init__(self, name: str) -> None:
        read = recording(name)
        made = [Bybit().make_instrument(symbol, *steps(symbol, [read])) for symbol in sorted(read.names)]
        self.venue = Venue(made, recorded_keys([read]), 1000, recorded_books([read]))
        self.publications = Publications(self.venue, Publisher)
        self.wanted = {Key(frame.channel, frame.instrument) for frame in read.frames}
        origin_us = read.zero_ms * 1000
        self.events = with_beats(replay([read], origin_us, Fraction(1), Bybit().checksum), 60_000_000)
        self.happened: list[Event] = []

    def said(self, count: int) -> list[str]:
        """The next `count` messages."""
        texts: list[str] = []
        while len(texts) < count:
            event = next(self.events)
            self.happened.append(event)
            self.venue.apply(event)
            texts += [text for _, text in self.publications.publish(event, self.wanted)]
        return texts


@pytest.mark.parametrize("name", FILES)
def test_recorded_messages_come_out_byte_for_byte(name: str) -> None:
    texts = recorded_texts(name)
    assert Replay(name).said(len(texts)) == texts


def test_later_passes_continue_the_numbers_and_times() -> None:
    found = Replay("ws_spot_testnet_2026-09-13_btcusdt")
    messages = [json.loads(text) for text in found.said(200)]
    books = [message for message in messages if message["topic"] == "orderbook.50.BTCUSDT"]
    assert [message["type"] for message in books] == ["snapshot"] + ["delta"] * (len(books) - 1)
    assert all(after["data"]["u"] == before["data"]["u"] + 1 for before, after in pairwise(books))
    assert all(after["data"]["seq"] > before["data"]["seq"] for before, after in pairwise(books))
    for topic in {message["topic"] for message in messages}:
        times = [message["ts"] for message in messages if message["topic"] == topic]
        assert times == sorted(times)
    ids = [row["i"] for message in messages if "publicTrade" in message["topic"] for row in message["data"]]
    assert len(ids) == len(set(ids)) > 20


def test_later_passes_of_a_candle_stay_on_its_boundaries() -> None:
    rows = [json.loads(text)["data"][0] for text in Replay("ws_spot_2026-08_kline_snippet").said(300)]
    assert {row["start"] % 60_000 for row in rows} == {0}
    assert {row["end"] - row["start"] for row in rows} == {59_999}
    assert len({row["start"] for row in rows}) > 1


def test_new_subscriber_of_a_recorded_ticker_gets_its_whole_state() -> None:
    found = Replay("ws_linear_tickers_2026-09-30_btcusdt")
    state: dict[str, str] = {}
    for text in found.said(100):
        state |= json.loads(text)["data"]
    key = Key("tickers", "BTC-USDT-PERP")
    whole = json.loads(found.publications.of[key.instrument].present(key) or "")
    assert (whole["type"], whole["data"]) == ("snapshot", state)


def test_recorded_ids_stay_in_the_first_pass() -> None:
    found = Replay("ws_spot_testnet_2026-09-13_btcusdt")
    found.said(120)
    names = [row.name for event in found.happened if isinstance(event, Trades) for row in event.rows]
    first = [row["i"] for text in recorded_texts("ws_spot_testnet_2026-09-13_btcusdt")
             if "publicTrade" in text for row in json.loads(text)["data"]]  # fmt: skip
    assert names[: len(first)] == first
    assert set(names[len(first) :]) == {""}


def trade(**more: Any) -> dict[str, Any]:
    row = {"T": 5, "s": "LTCUSDT", "S": "Buy", "v": "0.4", "p": "94.53", "L": "PlusTick", "i": "4c7b-1", "BT": False}
    return {"topic": "publicTrade.LTCUSDT", "type": "snapshot", "ts": 6, "data": [row | more]}


@pytest.mark.parametrize(
    ("more", "source"), [({}, "0"), ({"BT": True}, "BT"), ({"RPI": True}, "RPI"), ({"RPI": False}, "0")]
)
def test_kind_of_a_trade_is_kept(more: dict[str, Any], source: str) -> None:
    push = read_frame(LINEAR, json.dumps(trade(**more)))
    assert push is not None
    assert not isinstance(push, list)
    assert (push.channel, push.instrument, push.ts_ms) == ("publicTrade", "LTC-USDT-PERP", 5)
    assert push.content == (RecordedTrade(None, "94.53", "0.4", 1, "buy", source, 5, None, "4c7b-1"),)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        (SPOT, '{"success":true,"ret_msg":"pong","op":"ping"}'),
        (SPOT, '{"topic":"wallet","creationTime":1,"data":[]}'),
        (LINEAR, '{"topic":"tickers.BTC-26JUN26","type":"delta","data":{},"ts":1}'),
        ("https://api.bybit.com/v5/market/time", '{"retCode":0,"result":{}}'),
    ],
)
def test_other_messages_are_not_replayed(url: str, text: str) -> None:
    assert read_frame(url, text) is None


def test_instruments_come_from_rest() -> None:
    entry = json.loads((RECORDINGS / "rest.jsonl").read_text().splitlines()[0])
    found = read_frame(entry["url"], entry["raw"])
    assert isinstance(found, list)
    assert [(i.id, i.kind, i.row["priceFilter"]["tickSize"]) for i in found if isinstance(i, Instrument)] == [
        ("BTC-USDT", "SPOT", "0.1")
    ]


def test_one_depth_of_a_book_feeds_the_market() -> None:
    name = "archive_ob500_2024-12-01_xrpusdt_part1"
    found = Replay(name)
    found.said(10)
    book = found.venue.boards["XRP-USDT-PERP"].book
    assert len(book.bids) == 500
    assert not [event for event in islice(found.happened, 10) if isinstance(event, RecordedRow)]
