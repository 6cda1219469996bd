"""The simulator's truth in the form that the checks of published records use."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from simulator_process import Simulator

Sides = dict[str, dict[str, str]]
SIDES = ("bids", "asks")


@dataclass(frozen=True)
class Truth:
    """One symbol's truth. Query it after the last message is published."""

    exchange: Simulator
    symbol: str = "BTC-USDT"

    def fills(self, first: int, last: int) -> Iterator[Any]:
        """All single fills in order."""
        return self.exchange.stream(f"/truth/trades?symbol={self.symbol}&from={first}&to={last}")

    def swallowed(self, channel: str = "trades-all") -> set[int]:
        """Ids of the fills that faults have swallowed."""
        rows = self.exchange.lines(f"/truth/lost?symbol={self.symbol}&channel={channel}")
        return {number for row in rows for number in range(row["firstTradeId"], row["lastTradeId"] + 1)}

    def candles(self, interval: str) -> dict[int, list[str]]:
        """REST's closed candles of the last 300 intervals, by open time in milliseconds."""
        path = f"/api/v5/market/candles?instId={self.symbol}&bar={interval}&limit=300"
        with urlopen(self.exchange.rest + path, timeout=5) as answer:
            return {int(row[0]): row for row in json.load(answer)["data"] if row[-1] == "1"}

    def book_states(self) -> dict[int, set[int]]:
        """The digests of all states of the book by sequence. A sequence has several after a restart of the numbers."""
        changes = self.exchange.stream(f"/truth/changes?symbol={self.symbol}")
        first = next(changes)
        state = self.exchange.get(f"/truth/book?symbol={self.symbol}&sequence={first['sequence']}")
        book = Tracked({side: dict(state[side]) for side in SIDES})
        states = {first["sequence"]: {book.digest}}
        for change in changes:
            book.apply(change)
            states.setdefault(change["sequence"], set()).add(book.digest)
        return states


class Tracked:
    """A book whose digest follows each change."""

    def __init__(self, sides: Sides) -> None:
        self.sides = sides
        self.digest = digest(sides)

    def apply(self, change: Any) -> None:
        """Apply the changed levels of a record or of the truth. Price and new amount come first."""
        for side in SIDES:
            for price, amount, *_ in change[side]:
                before = self.sides[side].pop(price, None)
                if before is not None:
                    self.digest ^= hash((side, price, before))
                if amount != "0":
                    self.sides[side][price] = amount
                    self.digest ^= hash((side, price, amount))


def digest(sides: Sides) -> int:
    """A digest of a book that does not depend on the order of its levels."""
    whole = 0
    for side in SIDES:
        for price, amount in sides[side].items():
            whole ^= hash((side, price, amount))
    return whole
