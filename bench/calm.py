"""An exchange with many symbols and few messages: a WebSocket server on loopback, as a process of its own.

Each subscription is acknowledged and gets first data: a book of 400 levels on each side, a ticker, a trade, a candle.
Then all symbols in turn get a trade (``trades``) and a book update of 20 levels (``updates``), each so often a second.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterable
from itertools import cycle
from typing import Any

from bench import worker
from websockets.asyncio.server import ServerConnection, serve

LEVELS = 400
UPDATE_LEVELS = 20
STEP = 7
"""Step of sequences."""
TICK = 0.01
"""Step of prices."""

Arg = dict[str, str]


class Instrument:
    """State of one symbol."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.trade_id = self.sequence = 0

    def first(self, channel: str) -> str:
        """The first data of a channel."""
        match channel:
            case "books":
                return self._book("snapshot", SNAPSHOT, -1)
            case "trades-all":
                return self.trade()
            case "tickers":
                return self._push(channel, text({"instId": self.name, **TICKER, "ts": now_ms()}))
        open_ms = str(time.time_ns() // 60_000_000_000 * 60_000)
        return self._push(channel, text([open_ms, *["1.5"] * 7, "0"]))

    def trade(self) -> str:
        """The next trade."""
        self.trade_id += 1
        row = {"instId": self.name, "tradeId": str(self.trade_id), "px": "1.5", "sz": "1", "side": "buy"}
        return self._push("trades-all", text({**row, "ts": now_ms()}))

    def update(self) -> str:
        """The next update of the book: it changes levels near the best price, other ones each time."""
        return self._book("update", UPDATES[self.sequence // STEP % len(UPDATES)], self.sequence)

    def _book(self, action: str, sides: str, previous: int) -> str:
        self.sequence += STEP
        row = f'{{{sides},"ts":"{now_ms()}","checksum":0,"seqId":{self.sequence},"prevSeqId":{previous}}}'
        return self._push("books", row, f'"action":"{action}",')

    def _push(self, channel: str, row: str, more: str = "") -> str:
        return f'{{"arg":{{"channel":"{channel}","instId":"{self.name}"}},{more}"data":[{row}]}}'


def sides(places: Iterable[int], chance: random.Random) -> str:
    """Levels so many steps from the middle, on each side: encoded once, as this takes longer than a collector."""
    found = {
        side: [level(sign * (place + 1), chance) for place in places] for side, sign in (("bids", -1), ("asks", 1))
    }
    return text(found)[1:-1]


def level(steps: int, chance: random.Random) -> list[str]:
    return [f"{8_500 + steps * TICK:.2f}", f"{chance.uniform(0, 10):.6f}", "0", "1"]


def text(message: Any) -> str:
    return json.dumps(message, separators=(",", ":"))


def now_ms() -> str:
    return str(time.time_ns() // 1_000_000)


CHANCE = random.Random(1)
SNAPSHOT = sides(range(LEVELS), CHANCE)
UPDATES = [sides(CHANCE.sample(range(8 * UPDATE_LEVELS), UPDATE_LEVELS // 2), CHANCE) for _ in range(100)]
TICKER = dict.fromkeys("last lastSz askPx askSz bidPx bidSz open24h high24h low24h volCcy24h vol24h".split(), "1.5")  # noqa: SIM905


class Calm:
    """The server."""

    def __init__(self, *, trades: float, updates: float) -> None:
        self._instruments: dict[str, Instrument] = {}
        self._rates = {"trades-all": trades, "books": updates}

    async def accept(self, connection: ServerConnection) -> None:
        """Serve one client."""
        tasks: list[asyncio.Task[None]] = []
        async for message in connection:
            if message == "ping":
                await connection.send("pong")
                continue
            args: list[Arg] = json.loads(message)["args"]
            for arg in args:
                instrument = self._instruments.setdefault(arg["instId"], Instrument(arg["instId"]))
                await connection.send(text({"event": "subscribe", "arg": arg, "connId": "a"}))
                await connection.send(instrument.first(arg["channel"]))
            tasks += [asyncio.create_task(self._send(connection, args, name)) for name in self._rates]
        for task in tasks:
            task.cancel()

    async def _send(self, connection: ServerConnection, args: list[Arg], channel: str) -> None:
        """Send to the instruments of one request, in turn, at their share of the rate."""
        instruments = [self._instruments[arg["instId"]] for arg in args if arg["channel"] == channel]
        if not instruments or not self._rates[channel]:
            return
        make = Instrument.trade if channel == "trades-all" else Instrument.update
        for instrument in cycle(instruments):
            await asyncio.sleep(len(self._instruments) / len(instruments) / self._rates[channel])
            await connection.send(make(instrument))


async def main(trades: float, updates: float) -> None:
    """Answer each order with the port until standard input ends."""
    calm = Calm(trades=trades, updates=updates)
    async with serve(calm.accept, "127.0.0.1", 0, compression=None) as server:
        while await asyncio.to_thread(sys.stdin.readline):
            worker.send({"port": next(iter(server.sockets)).getsockname()[1]})


if __name__ == "__main__":
    asyncio.run(main(*map(float, sys.argv[1:])))
