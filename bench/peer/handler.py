"""The peer's side of the handler measurements: cryptofeed's OKX `message_handler` reads the tape.

It runs in the peer's own environment. Its callbacks count records, as our sink does. They are plain coroutines, which
cost less than cryptofeed's callback classes.
"""

import asyncio
import gc
import time
from collections import Counter
from typing import Any

from bench import frames, passes
from bench.passes import Pass, Read
from bench.peer import instruments
from cryptofeed.defines import L2_BOOK, TICKER, TRADES  # type: ignore[import-not-found]


def reader(kind: frames.Kind) -> Read:
    """Create a function that reads a tape of this kind."""
    return Side(kind).read


class Side:
    """One feed and its tape, for all rounds."""

    def __init__(self, kind: frames.Kind) -> None:
        self._records: Counter[str] = Counter()
        self._tape = frames.tape(kind, range(passes.LOOPS))
        callbacks = {TRADES: self._on_trade, L2_BOOK: self._on_book, TICKER: self._on_ticker}
        self._feed = instruments.feed(2, callbacks, checksum=kind == "checksum")

    async def _on_trade(self, trade: Any, at: float) -> None:
        self._records["trades"] += 1

    async def _on_book(self, book: Any, at: float) -> None:
        self._records["books"] += 1

    async def _on_ticker(self, ticker: Any, at: float) -> None:
        self._records["tickers"] += 1

    def read(self) -> Pass:
        """Read the tape once."""
        self._records.clear()
        gc.collect()
        return Pass(asyncio.run(self._read()), len(self._tape), self._records.copy())

    async def _read(self) -> int:
        started = time.process_time_ns()
        for text in self._tape:
            await self._feed.message_handler(text, None, time.time())
        return time.process_time_ns() - started


if __name__ == "__main__":
    passes.serve(reader)
