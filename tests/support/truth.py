"""The simulator's truth in the form that the checks of published records use."""

import json
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from typing import Any
from urllib.request import urlopen

from exchange_words import Fill
from simulator_process import ANSWER_S, Simulator

Sides = dict[str, dict[str, str]]
SIDES = ("bids", "asks")
MOST_FILLS = 10_000
"""More than any message has. Ids that are not dense would fill the memory."""


@dataclass(frozen=True)
class Truth:
    """One symbol's truth, by default that of the market. Query it after the last message is published."""

    exchange: Simulator
    symbol: str = ""

    @property
    def name(self) -> str:
        """The symbol."""
        return self.symbol or self.exchange.words.symbol

    def fills(self, first: int, last: int) -> Iterator[Fill]:
        """All single fills in order."""
        rows = self.exchange.stream(f"/truth/trades?symbol={self.name}&from={first}&to={last}")
        return map(self.exchange.words.read_fill, rows)

    def swallowed(self) -> set[int]:
        """Ids of the fills that faults have swallowed."""
        rows = self.exchange.lines(f"/truth/lost?symbol={self.name}&channel=trade")
        ranges = [(row["firstTradeId"], row["lastTradeId"]) for row in rows]
        assert all(last - first < MOST_FILLS for first, last in ranges), "these are no dense ids of one message"
        return {number for first, last in ranges for number in range(first, last + 1)}

    def candles(self, interval: str) -> dict[int, list[str]]:
        """REST's closed candles of the last 300 intervals, by open time in milliseconds."""
        words = self.exchange.words
        with urlopen(self.exchange.rest + words.candles_path(self.name, interval), timeout=ANSWER_S) as answer:
            return {int(row[0]): row for row in words.closed_candles(json.load(answer))}

    def book_states(self) -> dict[int, set[int]]:
        """The digests of all states of the book by sequence. A sequence has several after a restart of the numbers."""
        states: dict[int, set[int]] = {}
        for change, book in self.books():
            states.setdefault(change["sequence"], set()).add(book.digest)
        return states

    def best_states(self, times: Container[int]) -> dict[int, set[int]]:
        """The digests of the book's best levels at these exchange times, nanoseconds since 1970."""
        depth, states = self.exchange.words.book_depth, dict[int, set[int]]()
        for change, book in self.books():
            if (time_ns := int(change["ts"]) * 1_000_000) in times and depth is not None:
                states.setdefault(time_ns, set()).add(digest(best_levels(book.sides, depth)))
        return states

    def books(self) -> Iterator[tuple[Any, "Tracked"]]:
        """Each change of the book with the book after it, which the next one changes."""
        changes = self.changes()
        first = next(changes)
        state = self.exchange.get(f"/truth/book?symbol={self.name}&sequence={first['sequence']}")
        book = Tracked({side: dict(self._written(state[side])) for side in SIDES})
        yield first, book
        for change in changes:
            book.apply(change)
            yield change, book

    def changes(self) -> Iterator[Any]:
        """The changes of the book, with numbers as the exchange writes them."""
        for change in self.exchange.stream(f"/truth/changes?symbol={self.name}"):
            yield change | {side: self._written(change[side]) for side in SIDES}

    def _written(self, levels: Iterable[Any]) -> list[tuple[str, str]]:
        number = self.exchange.words.number
        return [(number(price), number(amount)) for price, amount, *_ in levels]


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


def best_levels(sides: Sides, depth: int) -> Sides:
    """A book with only its best levels."""
    bids, asks = nlargest(depth, sides["bids"], key=float), nsmallest(depth, sides["asks"], key=float)
    return {side: {price: sides[side][price] for price in best} for side, best in (("bids", bids), ("asks", asks))}
