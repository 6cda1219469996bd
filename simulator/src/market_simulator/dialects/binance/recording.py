"""Reads recorded events and REST replies of Binance, and makes events of the rows that are replayed as recorded."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from market_simulator.dialects.binance import frames
from market_simulator.dialects.binance.frames import number
from market_simulator.engine.events import Level, Levels, RecordedRow
from market_simulator.engine.instruments import Instrument, kind_of, pair_of
from market_simulator.engine.quantities import price_key
from market_simulator.engine.recording import Content, Push, RecordedBase, RecordedBook, RecordedState, RecordedTrade

_CHANNELS: Final = {
    "trade": "trade",
    "aggTrade": "aggTrade",
    "24hrTicker": "ticker",
    "bookTicker": "bookTicker",
    "forceOrder": "forceOrder",
}
_TIMES: Final = ("E", "T")
_PRICES: Final = ("p", "b", "a", "c")


def read_frame(url: str, raw: str) -> Push | list[Instrument] | None:
    """An event of a market stream, a book or the instruments of a REST reply, or None for any other message.

    The symbol follows from the native name and the path.

    Raises:
        ValueError, LookupError, TypeError: It is not a message of Binance.
    """
    message = json.loads(raw)
    if url.startswith("http"):
        return _reply(url, message)
    event = message.get("data", message) if isinstance(message, dict) else {}
    pair = pair_of(event.get("s") or event.get("o", {}).get("s", ""))
    channel = message["stream"].partition("@")[2] if event and "stream" in message else _channel(url, event)
    if channel is None or pair is None:
        return None
    return Push(channel, _symbol(url, pair), event.get("E", 0), _content(channel, event))


def _symbol(url: str, pair: tuple[str, str]) -> str:
    """The symbol on a connection, which belongs to futures by its path."""
    is_futures = any(part in url for part in ("/public/", "/market/", "/fapi/"))
    return "-".join(pair) + (frames.PERPETUAL if is_futures else "")


def _reply(url: str, message: Any) -> Push | list[Instrument] | None:
    parts = urlsplit(url)
    if parts.path.endswith("/exchangeInfo"):
        rows = [row for row in message["symbols"] if row.get("contractType", "PERPETUAL") == "PERPETUAL"]
        pairs = [(_symbol(url, (row["baseAsset"], row["quoteAsset"])), row) for row in rows]
        return [Instrument(symbol, kind_of(symbol), row) for symbol, row in pairs]
    pair = pair_of(parse_qs(parts.query).get("symbol", [""])[0])
    if not parts.path.endswith("/depth") or pair is None:
        return None
    return Push("", _symbol(url, pair), 0, RecordedBase(_levels(message["bids"]), _levels(message["asks"])))


def _channel(url: str, event: Mapping[str, Any]) -> str | None:
    """The stream of an event on a connection that does not name it, or None for any other message."""
    kind = event.get("e", "bookTicker" if "B" in event else "")
    if kind == "kline":
        return f"kline_{event['k']['i']}"
    paced = {"depthUpdate": ("depth@100ms", "depth@500ms", "depth"), "markPriceUpdate": ("markPrice@1s", "markPrice")}
    return next((name for name in paced.get(kind, ()) if f"@{name}" in url), _CHANNELS.get(kind))


def _content(channel: str, event: Mapping[str, Any]) -> Content:
    if channel == "trade":
        side = "sell" if event["m"] else "buy"
        return (RecordedTrade(event["t"], event["p"], event["q"], 1, side, "0", event["T"], None),)
    if channel.startswith("depth"):
        sides, before = (_levels(event["b"]), _levels(event["a"])), event.get("pu", event["U"] - 1)
        ts_ms = event.get("T", event["E"])
        return RecordedBook(*sides, ts_ms, event["u"], 0, False, before=before, first=event["U"])
    prices = tuple(event[name] for name in _PRICES if isinstance(event.get(name), str))
    return RecordedState(event, event.get("E", 0), event["u"] if channel == "bookTicker" else None, prices, ())


def _levels(rows: Sequence[Sequence[str]]) -> Levels:
    return tuple(Level(price_key(price), price, size if number(size) else "0", "") for price, size in rows)


def replayed(event: RecordedRow) -> str:
    """The event of a recorded row with its new times and numbers."""
    row = dict(event.row)
    shift_ms = event.ts_ms - row.get("E", event.ts_ms)
    row |= {name: row[name] + shift_ms for name in _TIMES if name in row}
    row |= {} if event.sequence is None else {"u": event.sequence}
    return frames.compact(row | ({"k": _replayed_candle(row["k"], shift_ms)} if "k" in row else {}))


def _replayed_candle(row: Mapping[str, Any], shift_ms: int) -> dict[str, Any]:
    """A candle, shifted by whole intervals so that it opens at a boundary."""
    length_ms = row["T"] + 1 - row["t"]
    whole_ms = shift_ms // length_ms * length_ms
    return {**row, "t": row["t"] + whole_ms, "T": row["T"] + whole_ms}
