"""Recorded messages are made byte for byte from their values."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.bybit import frames
from market_simulator.dialects.bybit.books import BookMessage
from market_simulator.dialects.bybit.frames import TradeLine
from market_simulator.dialects.bybit.symbols import LINEAR, SPOT, Listing
from market_simulator.engine.candles import Candle
from market_simulator.engine.events import Level, TradeRow
from market_simulator.engine.quantities import price_key

RECORDINGS = Path(__file__).parents[3] / "recordings" / "bybit"


def frames_of(name: str) -> list[str]:
    lines = (RECORDINGS / f"{name}.jsonl").read_text().splitlines()
    return [entry["raw"] for entry in map(json.loads, lines) if entry["dir"] == "in"]


def recorded(name: str, topic: str) -> list[tuple[str, Any]]:
    found = [(raw, json.loads(raw)) for raw in frames_of(name)]
    chosen = [(raw, message) for raw, message in found if message.get("topic", "").startswith(topic)]
    assert chosen
    return chosen


def levels(rows: list[list[str]]) -> tuple[Level, ...]:
    return tuple(Level(price_key(price), price, size, "") for price, size in rows)


@pytest.mark.parametrize(
    ("name", "category", "depth"),
    [
        ("ws_spot_testnet_2026-09-13_btcusdt", SPOT, 50),
        ("ws_spot_testnet_2026-09-13_btcusdt", SPOT, 1),
        ("ws_spot_2026-08-24_btcusdt_ob50", SPOT, 50),
        ("archive_ob500_2024-12-01_xrpusdt_part1", LINEAR, 500),
    ],
)
def test_books_are_made_from_their_values(name: str, category: str, depth: int) -> None:
    for raw, message in recorded(name, f"orderbook.{depth}."):
        data = message["data"]
        listing = Listing(data["s"], category)
        bids, asks = levels(data["b"]), levels(data["a"])
        numbers = (message["ts"], message["cts"], data["u"], data["seq"])
        assert frames.orderbook(listing, BookMessage(depth, message["type"], *numbers, (bids, asks))) == raw


@pytest.mark.parametrize("name", ["ws_linear_tickers_2026-09-30_btcusdt"])
def test_linear_tickers_are_made_from_their_values(name: str) -> None:
    for raw, message in recorded(name, "tickers."):
        data = message["data"]
        listing = Listing(data.pop("symbol"), LINEAR)
        assert frames.linear_ticker(listing, message["type"], message["ts"], message["cs"], data) == raw


def test_spot_tickers_are_made_from_their_values() -> None:
    ((raw, message),) = recorded("ws_spot_2026-09-02_btcusdt_trade_ticker", "tickers.")
    assert frames.spot_ticker(Listing("BTCUSDT", SPOT), message["ts"], message["cs"], message["data"]) == raw


def test_candle_is_made_from_its_values() -> None:
    for raw, message in recorded("ws_spot_2026-08_kline_snippet", "kline."):
        (row,) = message["data"]
        amounts = Decimal(row["volume"]), (Decimal(0), Decimal(row["turnover"]))
        candle = Candle(row["start"], row["open"], row["high"], row["low"], row["close"], *amounts)
        listing, bar = Listing("BTCUSDT", SPOT), frames.BARS["1"]
        text = frames.kline_row(listing, bar, candle, row["confirm"], row["timestamp"])
        assert frames.kline(listing, bar, message["ts"], [text]) == raw


def test_key_order_of_candles_and_trades_differs_by_category() -> None:
    row = TradeRow(7, "5", "2", ("2",), "sell", "0", 9, 3)
    spot, linear = Listing("AB", SPOT), Listing("AB", LINEAR)
    texts = [frames.trades(listing, "A-B", 10, [TradeLine(row, 0, "PlusTick")]) for listing in (spot, linear)]
    assert [list(json.loads(text)) for text in texts] == [
        ["topic", "ts", "type", "data"],
        ["topic", "type", "ts", "data"],
    ]
    assert list(json.loads(texts[0])["data"][0]) == ["i", "T", "p", "v", "S", "seq", "s", "BT", "RPI"]
    assert list(json.loads(texts[1])["data"][0]) == ["T", "s", "S", "v", "p", "L", "i", "BT", "RPI", "seq"]
    klines = [list(json.loads(frames.kline(listing, frames.BARS["1"], 10, []))) for listing in (spot, linear)]
    assert klines == [["type", "topic", "data", "ts"], ["topic", "data", "ts", "type"]]
