"""Checks of books whose connections cut the exchange's changes into different updates."""

from typing import Any

import evidence
from market_collector.verify import Interval
from truth import SIDES, Tracked, Truth

Outputs = list[list[Any]]


def is_within(book: Any, interval: Interval) -> bool:
    """Whether a record of a book lies in an interval."""
    time_ns: int = book["exchange_time_ns"] or book["receive_time_ns"]
    return interval.from_time_ns <= time_ns <= interval.to_time_ns


def is_before(book: Any, interval: Interval) -> bool:
    """Whether a record of a book precedes an interval, but not by a second."""
    early_ns: int = interval.from_time_ns - book["exchange_time_ns"]
    return 0 < early_ns < 1_000_000_000


def check_book_ranges(outputs: Outputs, intervals: list[Interval]) -> None:
    """Check that each interval is a range of update ids that the replicas together have without a break."""
    ranges = _joined(sorted(chain for output in outputs for chain in _chains_of(output)))
    books = [book for output in outputs for book in evidence.of_type(output, "orderbook")]
    assert len(intervals) == len(ranges) > 1, (ranges, intervals)
    for each, (first, last) in zip(intervals, ranges, strict=True):
        inside = [book for book in books if first <= book["sequence"] <= last]
        # a snapshot without a time counts from its arrival, after updates that left the exchange before
        starts_late = any(book["sequence"] == first and book["exchange_time_ns"] is None for book in inside)
        assert all(is_within(book, each) or (starts_late and is_before(book, each)) for book in inside)
        assert any(is_within(book, each) for book in inside if book["sequence"] == first)


def _chains_of(output: list[Any]) -> list[list[int]]:
    """First and last update id of each book without a break."""
    chains: list[list[int]] = []
    for book in evidence.of_type(output, "orderbook"):
        if not chains or (book["action"] == "snapshot" and book["sequence"] != chains[-1][1]):
            chains.append([book["sequence"]] * 2)
        chains[-1][1] = book["sequence"]
    return chains


def _joined(chains: list[list[int]]) -> list[list[int]]:
    """Chains that overlap, as one; they are in order."""
    found: list[list[int]] = []
    for first, last in chains:
        if found and first <= found[-1][1]:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return found


def check_union(books: list[Any], truth: Truth) -> None:
    """Check that a reader of all replicas' records has the exchange's book at each sequence.

    It applies each update that starts at or before its book, and ends after it.
    """
    states = truth.book_states()
    book: Tracked | None = None
    at = 0
    for record in sorted(books, key=lambda each: (each["sequence"], each["action"])):
        if record["action"] == "update" and book is not None and record["previous_sequence"] <= at < record["sequence"]:
            book.apply(record)
        elif record["sequence"] > at:
            is_start = record["action"] == "snapshot"
            book = Tracked({side: dict(record[side]) for side in SIDES}) if is_start else None
        else:
            continue
        at = record["sequence"]
        assert book is None or book.digest in states[at], at
    assert book is not None


def check_known_books(records: list[Any], truth: Truth) -> None:
    """Check that each published book has exactly the exchange's levels, from the best one to its own worst one."""
    states = truth.books()
    change, whole = next(states)
    book: Tracked | None = None
    for record in evidence.of_type(records, "orderbook"):
        if record["action"] == "snapshot":
            book = Tracked({side: {price: amount for price, amount, *_ in record[side]} for side in SIDES})
        else:
            assert book is not None
            book.apply(record)
        while change["sequence"] < record["sequence"]:
            change, whole = next(states)
        assert change["sequence"] == record["sequence"]
        lowest, highest = min(map(float, book.sides["bids"])), max(map(float, book.sides["asks"]))
        known = {price: amount for price, amount in whole.sides["bids"].items() if float(price) >= lowest}
        assert book.sides["bids"] == known, record["sequence"]
        known = {price: amount for price, amount in whole.sides["asks"].items() if float(price) <= highest}
        assert book.sides["asks"] == known, record["sequence"]
