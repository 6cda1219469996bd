"""The tape that both sides of a comparison read: the OKX recording of 2022-05-13, looped.

A loop repeats every message of the recording. Its trade ids, sequences and times continue from the previous loop, and
it has its own snapshots. So a collector finds no gap in a tape of any length.

This module imports only the standard library, because the peer reads the same tape in its own environment.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal

import recordings

Kind = Literal["sequence", "checksum"]
"""``sequence`` is OKX's format of today (seqId, checksum 0), ``checksum`` that of 2022."""
Trades = Literal["trades", "trades-all"]
"""The channel of the trades: ``trades`` with ``count`` for the peer, or single fills for us.

The recording has no merged fills, so both channels have the same fills in the same number of messages.
"""
Message = dict[str, Any]

RECORDED_FUTURE = "BTC-USD-220527"
INSTRUMENTS = ("BTC-USDT", "BTC-USD")
"""The second is the recorded future under the name of a spot instrument: collectors refuse futures."""
THIRD = "ETH-USDT"
"""A copy of BTC-USDT's messages under another name, for measurements with three books."""
CHANNELS = ("trades", "books", "tickers")

LOOP_MS = 37_000
"""Time from loop to loop; the recording itself spans 36.2 s."""
FIRST_SEQUENCE = 335_226_848_531
STEP = 7
"""Step of the sequence numbers; on OKX they are not dense either."""


def instruments(books: int) -> tuple[str, ...]:
    """Names of the instruments of a tape with this many books (2 or 3)."""
    return (*INSTRUMENTS, THIRD)[:books]


def tape(kind: Kind, loops: Iterable[int], *, books: int = 2, trades: Trades = "trades") -> list[str]:
    """The text frames of these loops in order.

    Args:
        loops: numbers of the loops, from 0, in order and without gaps.
        books: 2 as recorded, or 3.
        trades: only with ``sequence``, as in 2022 there was one channel.
    """
    return [text(message) for message in messages(kind, loops, books=books, trades=trades)]


def messages(kind: Kind, loops: Iterable[int], *, books: int = 2, trades: Trades = "trades") -> Iterator[Message]:
    """The messages of these loops before encoding."""
    for number in loops:
        moved = [_moved(message, number) for message in _recorded(books)]
        yield from _modern(moved, number, trades) if kind == "sequence" else moved


def text(message: Message) -> str:
    """Encode JSON as OKX does."""
    return json.dumps(message, separators=(",", ":"))


@cache
def _recorded(books: int) -> tuple[Message, ...]:
    """Data messages in recorded order. With three books, a copy follows each message of BTC-USDT."""
    found: list[Message] = []
    for frame in recordings.received(recordings.OKX_2022):
        message = json.loads(frame.text)
        if "data" in message:
            is_future = message["arg"]["instId"] == RECORDED_FUTURE
            found.append(_renamed(message, INSTRUMENTS[1]) if is_future else message)
            if books == 3 and message["arg"]["instId"] == INSTRUMENTS[0]:
                found.append(_renamed(message, THIRD))
    return tuple(found)


def _renamed(message: Message, instrument: str) -> Message:
    message = copy.deepcopy(message)
    for place in (message["arg"], *message["data"]):
        if "instId" in place:
            place["instId"] = instrument
    return message


def _moved(message: Message, loop: int) -> Message:
    """The message ``loop`` loops later, with new rows that share their contents with the recording."""
    trades = _trades(message["arg"]["instId"])
    rows = []
    for row in message["data"]:
        moved = {**row, "ts": str(int(row["ts"]) + loop * LOOP_MS)}
        if "tradeId" in row:
            moved["tradeId"] = str(int(row["tradeId"]) + loop * trades)
        rows.append(moved)
    return {**message, "data": rows}


@cache
def _trades(instrument: str) -> int:
    """Number of trades of one loop. The recorded ids are dense, so a shift by this number continues them."""
    return sum(
        len(message["data"])
        for message in _recorded(3)
        if message["arg"] == {"channel": "trades", "instId": instrument}
    )


def _modern(messages: list[Message], loop: int, trades: Trades) -> Iterator[Message]:
    """Convert to OKX's format since 2026: sequences without checksums (docs/exchanges/okx.md section 6)."""
    last: dict[str, int] = {}
    sequence = FIRST_SEQUENCE + loop * STEP * (len(messages) + 1)
    for message in messages:
        sequence += STEP
        (row,) = message["data"]
        match message["arg"]["channel"]:
            case "books":
                instrument = message["arg"]["instId"]
                row |= {"checksum": 0, "seqId": sequence, "prevSeqId": last.get(instrument, -1)}
                last[instrument] = sequence
            case "trades":
                message["arg"] = {**message["arg"], "channel": trades}
                row |= {} if trades == "trades-all" else {"count": "1"}
                row |= {"source": "0", "seqId": sequence}
        yield message
