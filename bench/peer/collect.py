"""The peer as a whole process: cryptofeed collects a tape over TLS, with callbacks that count, and no sink.

Usage: collect.py PORT BOOKS. It prints a line when the first data came, and one with its counts at each SIGUSR1.
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
        """Counts a channel's records, and tells once that data flows."""

        async def count(record: Any, at: float) -> None:
            if not self._has_data:
                self._has_data = True
                worker.send({"first": channel})
            self.records[channel] += 1

        return count

    def tell(self) -> None:
        """To the parent."""
        worker.send({"records": self.records})


def main(port: int, books: int) -> None:
    """Collects until SIGTERM."""
    address = f"wss://localhost:{port}/ws/v5/public"
    (public, *_) = OKX.websocket_endpoints
    OKX.websocket_endpoints = [WebsocketEndpoint(address, channel_filter=public.channel_filter, options=public.options)]
    counts = Counts()
    channels = {TRADES: "trades", L2_BOOK: "books", TICKER: "tickers"}
    callbacks = {theirs: counts.callback(name) for theirs, name in channels.items()}
    handler = FeedHandler(config={"uvloop": True, "log": {"disabled": True}})
    handler.add_feed(instruments.feed(books, callbacks, checksum=False))
    loop = asyncio.new_event_loop()  # uvloop's, chosen by FeedHandler; which relies on one being there, as it once was
    asyncio.set_event_loop(loop)
    loop.add_signal_handler(signal.SIGUSR1, counts.tell)
    handler.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
