"""The tape of `frames` as Binance and Bybit send it: books, trades and tickers, for us and for the peer.

Both sides read the same fills, levels and prices in as many frames. Where they subscribe to different channels of
Binance, a frame has the fields of its side's channel. Bybit's frames are those of linear perpetuals, because the peer
has no tickers of Bybit's spot market. This module imports only the standard library, as `frames` does.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench import dialects, frames
from bench.dialects import SYMBOLS, State, eight_decimals

Kind = Literal["binance", "bybit"]
KINDS: tuple[Kind, ...] = ("binance", "bybit")
Side = Literal["ours", "peer"]
DAY_MS = 86_400_000
Row = dict[str, Any]
Encoders = Mapping[str, Callable[[Row], Row | None]]
"""By OKX's channel: the message of a row, or None if there is none."""


@dataclass(frozen=True, slots=True)
class Tape:
    """Everything that one side reads."""

    answers: dict[str, str]
    """Snapshots over REST, by the exchange's name of the instrument."""
    start: list[str]
    """Frames with snapshots, which come first and are not measured."""
    frames: list[str]


def tape(kind: Kind, loops: int, side: Side) -> Tape:
    """All messages of this many loops, without the snapshots of later loops."""
    messages = list(frames.messages("sequence", range(loops)))
    books = {name: dialects.states(messages, name) for name in SYMBOLS}
    snapshots = {state.symbol: dialects.book(kind, state) for state in map(next, books.values())}
    if kind == "binance":
        return Tape(snapshots, [], list(_texts(kind, messages, books, BINANCE_ENCODERS[side])))
    tickers = _BybitTickers()
    encoders = {"trades": _bybit_trade, "tickers": tickers.changes}
    start = [frames.text(tickers.first(next(_rows(messages, "tickers", name)))) for name in SYMBOLS]
    return Tape({}, [*snapshots.values(), *start], list(_texts(kind, messages, books, encoders)))


def _rows(messages: list[frames.Message], channel: str, name: str) -> Iterator[Row]:
    arg = {"channel": channel, "instId": name}
    return (row for message in messages if message["arg"] == arg for row in message["data"])


def _texts(
    kind: Kind, messages: list[frames.Message], books: Mapping[str, Iterator[State]], encoders: Encoders
) -> Iterator[str]:
    for message in messages:
        channel, name = message["arg"]["channel"], message["arg"]["instId"]
        if channel != "books":
            yield from (frames.text(found) for row in message["data"] if (found := encoders[channel](row)) is not None)
        elif message["action"] == "update":
            yield dialects.book(kind, next(books[name]))


def _symbol(row: Row) -> str:
    return SYMBOLS[row["instId"]]


def _binance(channel: str, event: Row) -> Row:
    return {"stream": f"{event['s'].lower()}@{channel}", "data": event}


def _binance_trade(row: Row) -> Row:
    head = {"e": "trade", "E": int(row["ts"]), "s": _symbol(row), "t": int(row["tradeId"])}
    return _binance("trade", {**head, **_binance_fill(row)})


def _binance_aggregate(row: Row) -> Row:
    number = int(row["tradeId"])
    head = {"e": "aggTrade", "E": int(row["ts"]), "s": _symbol(row), "a": number}
    return _binance("aggTrade", {**head, **_binance_fill(row), "f": number, "l": number})


def _binance_fill(row: Row) -> Row:
    price, amount = eight_decimals(row["px"]), eight_decimals(row["sz"])
    return {"p": price, "q": amount, "T": int(row["ts"]), "m": row["side"] == "sell", "M": True}


def _binance_ticker(row: Row) -> Row:
    time_ms = int(row["ts"])
    names = {"c": "last", "Q": "lastSz", "o": "open24h", "h": "high24h", "l": "low24h", "v": "vol24h", "q": "volCcy24h"}
    head = {"e": "24hrTicker", "E": time_ms, "s": _symbol(row), "p": "0.00000000", "P": "0.000", "w": "0.00000000"}
    numbers = {ours: eight_decimals(row[theirs]) for ours, theirs in names.items()}
    tail = {"O": time_ms - DAY_MS, "C": time_ms, "F": 0, "L": 1, "n": 1}
    return _binance("ticker", {**head, **_binance_best(row), **numbers, **tail})


def _binance_quote(row: Row) -> Row:
    return _binance("bookTicker", {"u": int(row["ts"]), "s": _symbol(row), **_binance_best(row)})


def _binance_best(row: Row) -> Row:
    names = {"b": "bidPx", "B": "bidSz", "a": "askPx", "A": "askSz"}
    return {ours: eight_decimals(row[theirs]) for ours, theirs in names.items()}


def _bybit_trade(row: Row) -> Row:
    symbol, time_ms = _symbol(row), int(row["ts"])
    fill = {"T": time_ms, "s": symbol, "S": row["side"].capitalize(), "v": row["sz"], "p": row["px"], "L": "PlusTick"}
    fill |= {"i": f"00000000-0000-5000-8000-{int(row['tradeId']):012}", "BT": False, "RPI": False, "seq": row["seqId"]}
    return {"topic": f"publicTrade.{symbol}", "type": "snapshot", "ts": time_ms, "data": [fill]}


class _BybitTickers:
    """Tickers of linear perpetuals: all fields first, then the changed ones."""

    def __init__(self) -> None:
        self._last: dict[str, Row] = {}

    def first(self, row: Row) -> Row:
        """The message with all fields."""
        self._last[_symbol(row)] = fields = _bybit_fields(row)
        return _bybit_ticker(row, "snapshot", fields)

    def changes(self, row: Row) -> Row | None:
        """The message with the changed fields; None if there are none."""
        last, fields = self._last[_symbol(row)], _bybit_fields(row)
        self._last[_symbol(row)] = fields
        changed = {name: value for name, value in fields.items() if value != last[name]}
        return _bybit_ticker(row, "delta", changed) if changed else None


def _bybit_fields(row: Row) -> Row:
    names = {"lastPrice": "last", "turnover24h": "volCcy24h", "volume24h": "vol24h", "prevPrice24h": "open24h"}
    names |= {"highPrice24h": "high24h", "lowPrice24h": "low24h"}
    names |= {"bid1Price": "bidPx", "bid1Size": "bidSz", "ask1Price": "askPx", "ask1Size": "askSz"}
    return {ours: row[theirs] for ours, theirs in names.items()}


def _bybit_ticker(row: Row, kind: str, fields: Row) -> Row:
    symbol, time_ms = _symbol(row), int(row["ts"])
    data = {"symbol": symbol, **fields}
    return {"topic": f"tickers.{symbol}", "type": kind, "data": data, "cs": time_ms, "ts": time_ms}


BINANCE_ENCODERS: Mapping[Side, Encoders] = {
    "ours": {"trades": _binance_trade, "tickers": _binance_ticker},
    "peer": {"trades": _binance_aggregate, "tickers": _binance_quote},
}
"""The channels that each side subscribes to."""
