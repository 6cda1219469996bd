"""Every recorded event of an imitated stream has the bytes that the dialect makes of its values."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from market_simulator.dialects.binance import frames
from market_simulator.engine.candles import Candle
from market_simulator.engine.events import Level, Levels
from market_simulator.engine.quantities import plain, price_key

RECORDINGS = Path(__file__).parents[3] / "recordings" / "binance"


def recorded() -> Iterator[tuple[str, str]]:
    """Name of the stream ("" on a raw connection) and text of each recorded event."""
    for file in sorted(RECORDINGS.glob("ws_spot_*.jsonl")):
        for entry in map(json.loads, file.read_text().splitlines()):
            if entry["url"].startswith("wss:") and "aggTrade" not in json.loads(entry["raw"]).get("stream", ""):
                yield json.loads(entry["raw"]).get("stream", ""), entry["raw"]


def short(text: str) -> str:
    """A number without trailing zeros, as the market has it."""
    return plain(Decimal(text))


def side(rows: list[list[str]]) -> Levels:
    return tuple(Level(price_key(price), short(price), short(size), "1") for price, size in rows)


def made(event: dict[str, Any]) -> str:
    """The event as the dialect makes it from its values."""
    match event.get("e"):
        case "trade":
            return frames.trade(
                event["E"], event["s"], event["t"], short(event["p"]), short(event["q"]), event["T"], event["m"]
            )
        case "depthUpdate":
            return frames.depth_update(
                event["E"], event["s"], event["U"], event["u"], side(event["b"]), side(event["a"])
            )
        case "kline":
            k = event["k"]
            first, high, low, last = (short(k[name]) for name in "ohlc")
            volume, quote, bought, bought_quote = (Decimal(k[name]) for name in "vqVQ")
            taken = (k["f"], k["L"], bought, bought_quote)
            candle = Candle(k["t"], first, high, low, last, volume, (quote, quote), *taken)
            return frames.kline(event["E"], event["s"], frames.BARS[k["i"]], candle, k["x"])
    bid, ask = side([[event["b"], event["B"]], [event["a"], event["A"]]])
    return frames.book_ticker(event["s"], event["u"], bid, ask)


@pytest.mark.parametrize(("stream", "raw"), list(recorded()))
def test_recorded_event_is_made_byte_for_byte(stream: str, raw: str) -> None:
    message = json.loads(raw)
    text = made(message["data"] if stream else message)
    assert (frames.combined(stream, text) if stream else text) == raw


def test_recordings_have_every_kind_of_event() -> None:
    kinds = {json.loads(raw).get("data", json.loads(raw)).get("e") for _, raw in recorded()}
    assert kinds == {"trade", "depthUpdate", "kline", None}


def test_empty_candle_has_no_ids() -> None:
    bar = frames.BARS["1m"]
    empty = Candle(60_000, "2", "2", "2", "2", Decimal(0), (Decimal(0), Decimal(0)))
    k = json.loads(frames.kline(120_000, "BTCUSDT", bar, empty, True))["k"]
    assert (k["f"], k["L"], k["n"], k["T"], k["x"]) == (-1, -1, 0, 119_999, True)
    row = json.loads(frames.kline_row(bar, empty))
    assert (row[0], row[6], row[8], row[11]) == (60_000, 119_999, 0, "0")


def test_weeks_open_on_mondays() -> None:
    assert frames.BARS["1w"].open_ms(1_767_225_600_000) == 1_766_966_400_000  # Thursday 2026-01-01, Monday 2025-12-29
