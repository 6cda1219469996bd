"""Reads recorded messages and REST replies of Bybit v5, and makes messages of the rows that are replayed as recorded."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from market_simulator.dialects.bybit import frames
from market_simulator.dialects.bybit.symbols import LINEAR, SPOT, canonical
from market_simulator.engine.events import Level, Levels, RecordedRow
from market_simulator.engine.instruments import Instrument, kind_of
from market_simulator.engine.quantities import price_key
from market_simulator.engine.recording import Content, Push, RecordedBook, RecordedState, RecordedTrade

_TIMES: Final = ("ts", "cts")
_PRICES: Final = ("lastPrice", "bid1Price", "ask1Price", "open", "close")


def read_frame(url: str, raw: str) -> Push | list[Instrument] | None:
    """A message of a public topic, the instruments of a REST reply, or None for any other message.

    The symbol follows from the native name and the category in the URL. Dated futures are not replayed.

    Raises:
        ValueError, LookupError, TypeError: It is not a message of Bybit v5.
    """
    message = json.loads(raw)
    if url.startswith("http"):
        return _instruments(message["result"]) if "/instruments-info" in url else None
    channel, _, name = str(message.get("topic", "")).rpartition(".")
    symbol = canonical(LINEAR if url.endswith(f"/{LINEAR}") else SPOT, name)
    if not channel or symbol is None:
        return None
    return Push(channel, symbol, _time(channel, message), _content(channel, message))


def _instruments(result: Mapping[str, Any]) -> list[Instrument]:
    found = [(canonical(result["category"], row["symbol"]), row) for row in result["list"]]
    return [Instrument(symbol, kind_of(symbol), row) for symbol, row in found if symbol is not None]


def _time(channel: str, message: Mapping[str, Any]) -> int:
    """The time of the first row: when it was matched, if the message says so."""
    return int(message["data"][0]["T"]) if channel == frames.TRADES else int(message.get("cts", message["ts"]))


def _content(channel: str, message: Mapping[str, Any]) -> Content:
    if channel == frames.TRADES:
        return tuple(_trade(row) for row in message["data"])
    is_book = channel.startswith("orderbook.") and channel != "orderbook.1"
    return _book(message) if is_book else _state(message)


def _trade(row: Mapping[str, Any]) -> RecordedTrade:
    source = "BT" if row["BT"] else "RPI" if row.get("RPI") else "0"
    sequence = int(row["seq"]) if "seq" in row else None
    return RecordedTrade(None, row["p"], row["v"], 1, row["S"].lower(), source, int(row["T"]), sequence, row["i"])


def _book(message: Mapping[str, Any]) -> RecordedBook:
    data = message["data"]
    ts_ms, is_snapshot = int(message.get("cts", message["ts"])), message["type"] == "snapshot"
    return RecordedBook(_levels(data["b"]), _levels(data["a"]), ts_ms, data["seq"], 0, is_snapshot, data["u"])


def _state(message: Mapping[str, Any]) -> RecordedState:
    data = message["data"]
    rows = data if isinstance(data, list) else [data]
    prices = [row[name] for row in rows for name in _PRICES if row.get(name)]
    prices += [level[0] for row in rows for side in ("b", "a") for level in row.get(side, ())]
    sequence = message["cs"] if "cs" in message else rows[0].get("seq")
    return RecordedState(message, int(message["ts"]), sequence, tuple(prices), ())


def _levels(rows: Sequence[Sequence[str]]) -> Levels:
    return tuple(Level(price_key(price), price, size, "") for price, size in rows)


def replayed(event: RecordedRow) -> dict[str, Any]:
    """The message of a recorded row with its new times and numbers."""
    message = dict(event.row)
    shift_ms = event.ts_ms - int(message["ts"])
    message |= {name: message[name] + shift_ms for name in _TIMES if name in message}
    message |= {"cs": event.sequence} if "cs" in message else {}
    return message | {"data": _replayed_data(message["data"], event.sequence, shift_ms)}


def _replayed_data(data: Any, sequence: int | None, shift_ms: int) -> Any:
    if isinstance(data, list):
        return [_replayed_candle(row, shift_ms) for row in data]
    numbers = {"seq": sequence} if "seq" in data else {}
    funding = data.get("nextFundingTime")
    return data | numbers | ({"nextFundingTime": str(int(funding) + shift_ms)} if funding else {})


def _replayed_candle(row: dict[str, Any], shift_ms: int) -> dict[str, Any]:
    """A candle, shifted by whole intervals so that it opens at a boundary."""
    length_ms = frames.BARS[row["interval"]].length_ms
    whole_ms = shift_ms // length_ms * length_ms
    moved = {name: row[name] + whole_ms for name in ("start", "end")}
    return row | moved | {"timestamp": row["timestamp"] + shift_ms}


def merged(before: Mapping[str, Any] | None, message: dict[str, Any]) -> dict[str, Any]:
    """The whole state of a stream after a message, which is a delta on linear tickers."""
    if before is None or message.get("type") != "delta":
        return message
    return message | {"type": "snapshot", "data": before["data"] | message["data"]}
