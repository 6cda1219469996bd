"""The peer's side of the handler measurements: cryptofeed's `message_handler` of an exchange reads the tape.

It runs in the peer's own environment. Its callbacks count records, as our sink does. They are plain coroutines, which
cost less than cryptofeed's callback classes.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

from bench import frames, passes, tapes
from bench.dialects import SYMBOLS
from bench.passes import Pass, Read
from bench.peer import instruments
from cryptofeed.defines import L2_BOOK, TICKER, TRADES  # type: ignore[import-not-found]


def reader(kind: passes.Kind) -> Read:
    """Create a function that reads a tape of this kind."""
    if kind == "binance":
        return BinanceSide().read
    if kind == "bybit":
        return BybitSide().read
    return OkxSide(kind).read


class Side:
    """One feed and its tape, for all rounds."""

    def __init__(self, feed_of: Callable[[instruments.Callbacks], Any], tape: Sequence[str]) -> None:
        self._records: Counter[str] = Counter()
        self._tape = tape
        self.feed = feed_of({TRADES: self._on_trade, L2_BOOK: self._on_book, TICKER: self._on_ticker})
        self.connection: Any = None
        """The connection that the handler is called with."""

    async def start(self) -> None:
        """Read the snapshots that are not in the tape's frames."""

    async def _on_trade(self, trade: Any, at: float) -> None:
        self._records["trades"] += 1

    async def _on_book(self, book: Any, at: float) -> None:
        self._records["books"] += 1

    async def _on_ticker(self, ticker: Any, at: float) -> None:
        self._records["tickers"] += 1

    def read(self) -> Pass:
        """Read the tape once."""
        return asyncio.run(self._read())

    async def _read(self) -> Pass:
        await self.start()
        self._records.clear()
        gc.collect()
        started = time.process_time_ns()
        for text in self._tape:
            await self.feed.message_handler(text, self.connection, time.time())
        return Pass(time.process_time_ns() - started, len(self._tape), self._records.copy())


class OkxSide(Side):
    """OKX, whose tape has its snapshots."""

    def __init__(self, kind: frames.Kind) -> None:
        feed_of = partial(instruments.okx, 2, checksum=kind == "checksum")
        super().__init__(feed_of, frames.tape(kind, range(passes.LOOPS)))


class BinanceSide(Side):
    """Binance spot. Requests for snapshots are answered from the tape."""

    def __init__(self) -> None:
        tape = tapes.tape("binance", passes.LOOPS, "peer")
        super().__init__(instruments.binance, tape.frames)
        self._answers = tape.answers
        self.feed.http_conn = SimpleNamespace(read=self._answer)

    async def start(self) -> None:
        """Replace the books, as the tape's update ids start again."""
        self.feed._reset()
        for symbol in self._answers:
            await self.feed._snapshot(symbol)

    async def _answer(self, address: str) -> str:
        return self._answers[parse_qs(urlsplit(address).query)["symbol"][0]]


class BybitSide(Side):
    """Bybit's linear perpetuals."""

    def __init__(self) -> None:
        tape = tapes.tape("bybit", passes.LOOPS, "peer")
        super().__init__(instruments.bybit, tape.frames)
        self._snapshots = tape.start
        topics = {"tickers": [*SYMBOLS.values()]}
        self.connection = SimpleNamespace(address="wss://stream.bybit.com/v5/public/linear", subscription=topics)

    async def start(self) -> None:
        """Replace the books and tickers."""
        for text in self._snapshots:
            await self.feed.message_handler(text, self.connection, time.time())


if __name__ == "__main__":
    passes.serve(reader)
