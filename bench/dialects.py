"""One tape of book updates as OKX, Binance and Bybit send it: the levels of OKX's recording of 2022-05-13.

Each exchange's frames have the same updates with the same levels, in its own format, so that the cost of a level can
be compared. This module imports only the standard library, as `frames` does.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from bench import frames

ExchangeName = Literal["okx", "binance", "bybit"]
NAMES: tuple[ExchangeName, ...] = ("okx", "binance", "bybit")
Side = list[list[str]]
INSTRUMENT = frames.INSTRUMENTS[0]
SYMBOLS = dict(zip(frames.INSTRUMENTS, ("BTCUSDT", "ETHUSDT"), strict=True))
"""The recorded instruments as Binance and Bybit name them. The future becomes another instrument."""
BINANCE_LEVELS = 1_000
"""Of a snapshot, for the default depth."""
SNAPSHOT = 1_000
"""Number of the snapshot's state. Each update adds 1."""


@dataclass(frozen=True, slots=True)
class State:
    """A snapshot or an update with its number, its time in milliseconds and its levels (price, amount)."""

    symbol: str
    """One of `SYMBOLS`."""
    number: int
    time_ms: int
    bids: Side
    asks: Side


def states(messages: Iterable[frames.Message], instrument: str) -> Iterator[State]:
    """The first snapshot of an instrument's book among the messages, then all updates."""
    books = (message for message in messages if message["arg"] == {"channel": "books", "instId": instrument})
    first = next(books)
    updates = (message for message in books if message["action"] == "update")
    for number, message in enumerate(chain([first], updates), SNAPSHOT):
        (row,) = message["data"]
        bids, asks = ([level[:2] for level in row[side]] for side in ("bids", "asks"))
        yield State(SYMBOLS[instrument], number, int(row["ts"]), bids, asks)


def book(exchange: ExchangeName, state: State) -> str:
    """The state as this exchange sends it; Binance's snapshot is an answer of its REST API."""
    return frames.text(_ENCODERS[exchange](state))


def snapshot_and_updates(exchange: ExchangeName, loops: int) -> tuple[str, list[str]]:
    """The snapshot and the updates of BTC-USDT in this many loops."""
    found = states(frames.messages("sequence", range(loops)), INSTRUMENT)
    first, *updates = (book(exchange, state) for state in found)
    return first, updates


def _okx(state: State) -> dict[str, Any]:
    is_first = state.number == SNAPSHOT
    row = {
        "asks": [[*level, "0", "1"] for level in state.asks],
        "bids": [[*level, "0", "1"] for level in state.bids],
        "ts": str(state.time_ms),
        "checksum": 0,
        "seqId": state.number,
        "prevSeqId": -1 if is_first else state.number - 1,
    }
    arg = {"channel": "books", "instId": INSTRUMENT}
    return {"arg": arg, "action": "snapshot" if is_first else "update", "data": [row]}


def _bybit(state: State) -> dict[str, Any]:
    data = {"s": state.symbol, "b": state.bids, "a": state.asks, "u": state.number, "seq": state.number * 7}
    kind = "snapshot" if state.number == SNAPSHOT else "delta"
    return {
        "topic": f"orderbook.1000.{state.symbol}",
        "ts": state.time_ms,
        "type": kind,
        "data": data,
        "cts": state.time_ms,
    }


def _binance(state: State) -> dict[str, Any]:
    bids, asks = _with_decimals(state.bids), _with_decimals(state.asks)
    if state.number == SNAPSHOT:
        return {"lastUpdateId": state.number, "bids": _deepened(bids, -1), "asks": _deepened(asks, 1)}
    event = {"e": "depthUpdate", "E": state.time_ms, "s": state.symbol, "U": state.number, "u": state.number}
    return {"stream": f"{state.symbol.lower()}@depth@100ms", "data": {**event, "b": bids, "a": asks}}


def _deepened(side: Side, direction: int) -> Side:
    """Add levels beyond the worst one, so that the depth of the request limits the side, as in most markets."""
    worst, missing = float(side[-1][0]), range(1, BINANCE_LEVELS + 1 - len(side))
    return side + [[f"{worst + direction * number:.8f}", "1.00000000"] for number in missing]


def _with_decimals(levels: Side) -> Side:
    return [[eight_decimals(text) for text in level] for level in levels]


def eight_decimals(number: str) -> str:
    """A number as Binance writes it."""
    return f"{float(number):.8f}"


_ENCODERS = {"okx": _okx, "binance": _binance, "bybit": _bybit}
