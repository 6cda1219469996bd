"""Reads recorded frames and REST replies of OKX v5."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from market_simulator.dialects.okx.instruments import recorded_instrument
from market_simulator.dialects.okx.protocol import CONTRACT_CHANNELS
from market_simulator.engine.events import Level, Levels
from market_simulator.engine.instruments import Instrument
from market_simulator.engine.quantities import price_key
from market_simulator.engine.recording import Content, Push, RecordedBook, RecordedState, RecordedTrade

_REPLAYED: Final = frozenset({"trades", "books", "tickers", "bbo-tbt", "books5", *CONTRACT_CHANNELS})
_PRICES: Final = ("last", "markPx")


def read_frame(url: str, raw: str) -> Push | list[Instrument] | None:
    """A push of a replayed channel, the instruments of a REST reply, or None for any other frame.

    Raises:
        ValueError, LookupError, TypeError: It is not a frame of OKX v5.
    """
    if raw == "pong":
        return None
    message = json.loads(raw)
    if url.startswith("http"):
        return [recorded_instrument(row) for row in message["data"]] if "/public/instruments" in url else None
    if "event" in message or message["arg"]["channel"] not in _REPLAYED:
        return None
    arg, rows = message["arg"], message["data"]
    return Push(arg["channel"], arg["instId"], int(rows[0]["ts"]), _content(arg["channel"], message, rows))


def _content(channel: str, message: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Content:
    match channel:
        case "trades":
            return tuple(_trade(row) for row in rows)
        case "books":
            return _book(rows[0], message.get("action") == "snapshot")
        case _:
            return _state(rows[-1])


def _trade(row: Mapping[str, Any]) -> RecordedTrade:
    return RecordedTrade(
        int(row["tradeId"]), row["px"], row["sz"], int(row.get("count", 1)), row["side"], row.get("source", "0"),
        int(row["ts"]), _sequence(row),
    )  # fmt: skip


def _book(row: Mapping[str, Any], is_snapshot: bool) -> RecordedBook:
    checksum = int(row.get("checksum", 0))
    bids, asks = _levels(row["bids"]), _levels(row["asks"])
    return RecordedBook(bids, asks, int(row["ts"]), _sequence(row), checksum, is_snapshot)


def _state(row: Mapping[str, Any]) -> RecordedState:
    prices = [level[0] for side in ("bids", "asks") for level in row.get(side, ())]
    prices += [row[name] for name in _PRICES if name in row]
    sizes = [row["lastSz"]] if "lastSz" in row else []
    return RecordedState(row, int(row["ts"]), _sequence(row), tuple(prices), tuple(sizes))


def _levels(rows: Sequence[Sequence[str]]) -> Levels:
    return tuple(Level(price_key(price), price, size, orders) for price, size, _, orders in rows)


def _sequence(row: Mapping[str, Any]) -> int | None:
    return int(row["seqId"]) if "seqId" in row else None
