"""The clients under test in these examples: minimal clients that lose nothing. Replace them by yours."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import takewhile
from typing import Any
from urllib.request import urlopen

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection, connect


def ask(socket: ClientConnection, operation: str, channel: str, symbol: str) -> None:
    """Subscribe or unsubscribe one stream."""
    socket.send(json.dumps({"op": operation, "args": [{"channel": channel, "instId": symbol}]}))


class TradeClient:
    """All fills of one symbol in order of their ids. Missed fills are backfilled from REST."""

    def __init__(self, websocket: str, rest: str, symbol: str) -> None:
        self._websocket, self._rest, self._symbol = websocket, rest, symbol
        self._last_id: int | None = None
        self.reconnections = self.backfilled = 0

    def fills(self) -> Iterator[dict[str, Any]]:
        """An endless iterator of fills across reconnects."""
        while True:
            with suppress(ConnectionClosed, InvalidHandshake), connect(f"{self._websocket}/ws/v5/business") as socket:
                ask(socket, "subscribe", "trades-all", self._symbol)
                for text in socket:
                    for fill in json.loads(text).get("data", ()):
                        yield from self._in_order(fill)
            self.reconnections += 1

    def _in_order(self, fill: dict[str, Any]) -> list[dict[str, Any]]:
        """The missed fills before this one and the fill itself, or nothing for a duplicate."""
        fill_id, last_id = int(fill["tradeId"]), self._last_id or int(fill["tradeId"]) - 1
        missed = self._between(last_id, fill_id)
        self._last_id = max(last_id, fill_id)
        self.backfilled += len(missed)
        return [*missed, fill] if fill_id > last_id else []

    def _between(self, after_id: int, before_id: int) -> list[dict[str, Any]]:
        """The fills between two ids, oldest first. REST returns them newest first, a hundred per page."""
        found: list[dict[str, Any]] = []
        while before_id > after_id + 1:
            url = f"{self._rest}/api/v5/market/history-trades?instId={self._symbol}&after={before_id}"
            with urlopen(url, timeout=5) as answer:
                page = json.load(answer)["data"]
            found += takewhile(lambda fill: int(fill["tradeId"]) > after_id, page)
            before_id = int(page[-1]["tradeId"])
        return found[::-1]


class BookClient:
    """One symbol's order book. After a break in the sequence numbers it requests a new snapshot."""

    def __init__(self, websocket: str, symbol: str) -> None:
        self._websocket, self._symbol = websocket, symbol
        self.sides: dict[str, dict[str, str]] = {"bids": {}, "asks": {}}
        self.sequence: int | None = None
        self.resyncs = 0

    def states(self) -> Iterator["BookClient"]:
        """Yield this client after every message that leaves the book in sync, endlessly."""
        # A reader that has stopped reads no close frame either: it need not wait 10 s for it.
        with connect(f"{self._websocket}/ws/v5/public", max_size=None, close_timeout=1) as socket:
            ask(socket, "subscribe", "books", self._symbol)
            for text in socket:
                message = json.loads(text)
                if "data" not in message:
                    continue
                row = message["data"][0]
                if message["action"] == "snapshot":
                    self.sides = {"bids": {}, "asks": {}}
                elif row["prevSeqId"] != self.sequence:
                    self._resync(socket)
                    continue
                self._apply(row)
                yield self

    def _apply(self, row: dict[str, Any]) -> None:
        self.sequence = row["seqId"]
        for name, side in self.sides.items():
            side.update({price: size for price, size, *_ in row[name]})
            self.sides[name] = {price: size for price, size in side.items() if size != "0"}

    def _resync(self, socket: ClientConnection) -> None:
        if self.sequence is not None:
            self.sequence = None  # no update fits until the snapshot arrives
            self.resyncs += 1
            ask(socket, "unsubscribe", "books", self._symbol)
            ask(socket, "subscribe", "books", self._symbol)
