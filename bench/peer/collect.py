"""The peer as a complete process: cryptofeed collects a tape over TLS, with callbacks that count and without a sink.

Usage: collect.py PORT BOOKS. It prints a line at the first record, and its counts at each SIGUSR1.
"""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from bench import worker
from bench.peer import instruments
from cryptofeed import FeedHandler  # type: ignore[import-not-found]
from cryptofeed.connection import WebsocketEndpoint  # type: ignore[import-not-found]
from cryptofeed.defines import L2_BOOK, TICKER, TRADES  # type: ignore[import-not-found]
from cryptofeed.exchanges.okx import OKX  # type: ignore[import-not-found]

Callback = Callable[[Any, float], Awaitable[None]]


class Counts:
    """Records by channel."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        self._has_data = False

    def callback(self, channel: str) -> Callback:
        """Create a callback that counts a channel's records, and reports the first record to the parent."""

        async def count(record: Any, at: float) -> None:
            if not self._has_data:
                self._has_data = True
                worker.send({"first": channel})
            self.records[channel] += 1

        return count

    def send(self) -> None:
        """Send the counts to the parent."""
        worker.send({"records": self.records})


def main(port: int, books: int) -> None:
    """Collect until SIGTERM."""
    address = f"wss://localhost:{port}/ws/v5/public"
    (public, *_) = OKX.websocket_endpoints
    OKX.websocket_endpoints = [WebsocketEndpoint(address, channel_filter=public.channel_filter, options=public.options)]
    counts = Counts()
    channels = {TRADES: "trades", L2_BOOK: "books", TICKER: "tickers"}
    callbacks = {theirs: counts.callback(name) for theirs, name in channels.items()}
    handler = FeedHandler(config={"uvloop": True, "log": {"disabled": True}})
    handler.add_feed(instruments.okx(books, callbacks, checksum=False))
    loop = asyncio.new_event_loop()  # uvloop's, set by FeedHandler, which relies on an existing loop
    asyncio.set_event_loop(loop)
    loop.add_signal_handler(signal.SIGUSR1, counts.send)
    handler.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
