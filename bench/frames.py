"""The tape that both sides of a comparison read: the OKX recording of 2022-05-13, looped.

A loop repeats every message of the recording with trade ids, sequences and times that go on from the loop before, and
brings its own snapshots; so a collector that checks them finds no hole, however long the tape is.

Only the standard library is imported here: the peer reads the same tape in an environment of its own.
"""

import copy
import json
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Literal

import recordings

Kind = Literal["sequence", "checksum"]
"""``sequence``: what OKX sends today (seqId, checksum 0). ``checksum``: what it sent in 2022."""
Trades = Literal["trades", "trades-all"]
"""The channel of the trades: ``trades`` with ``count``, as the peer reads it, or single fills, as we do. The recording
has no merged fills, so both tell of the same ones, in as many messages."""
Message = dict[str, Any]

INSTRUMENTS = ("BTC-USDT", "BTC-USD-220527")
THIRD = "ETH-USDT"
"""For measurements with three books: BTC-USDT's messages once more under another name."""
CHANNELS = ("trades", "books", "tickers")

LOOP_MS = 37_000
"""From loop to loop; the recording's own times span 36.2 s."""
FIRST_SEQUENCE = 335_226_848_531
STEP = 7
"""Between two sequence numbers, which OKX does not count one by one either."""


def instruments(books: int) -> tuple[str, ...]:
    """Names of the instruments of a tape with this many books (2 or 3)."""
    return (*INSTRUMENTS, THIRD)[:books]


def tape(kind: Kind, loops: Iterable[int], *, books: int = 2, trades: Trades = "trades") -> list[str]:
    """The text frames of these loops, one after the other.

    Args:
        loops: numbers of the loops, from 0; what is read in one go must be in order and without gaps.
        books: 2 as recorded, or 3.
        trades: only with ``sequence``; in 2022 there was one channel.
    """
    return [text(message) for message in messages(kind, loops, books=books, trades=trades)]


def messages(kind: Kind, loops: Iterable[int], *, books: int = 2, trades: Trades = "trades") -> Iterator[Message]:
    """The same before it is made text."""
    for number in loops:
        moved = [_moved(message, number) for message in _recorded(books)]
        yield from _modern(moved, number, trades) if kind == "sequence" else moved


def text(message: Message) -> str:
    """JSON as OKX writes it."""
    return json.dumps(message, separators=(",", ":"))


@cache
def _recorded(books: int) -> tuple[Message, ...]:
    """Data messages in recorded order; with three books, each of BTC-USDT's is followed by its copy."""
    found: list[Message] = []
    for frame in recordings.received(recordings.OKX_2022):
        message = json.loads(frame.text)
        if "data" in message:
            found.append(message)
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
    """The message ``loop`` loops later. Its rows are new, their contents are shared with the recording's."""
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
    """Trades of one loop. The recording's ids have no holes, so moving them by this lets the next loop follow."""
    return sum(
        len(message["data"])
        for message in _recorded(3)
        if message["arg"] == {"channel": "trades", "instId": instrument}
    )


def _modern(messages: list[Message], loop: int, trades: Trades) -> Iterator[Message]:
    """What OKX sends since 2026: sequences, no checksums (docs/exchanges/okx.md section 6), trades by channel."""
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
