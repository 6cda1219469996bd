"""Checks of books whose connections cut the exchange's changes into different updates."""

from itertools import pairwise
from typing import Any

import evidence
from market_collector.verify import Interval
from truth import SIDES, Tracked, Truth

Outputs = list[list[Any]]
LATEST_NS = 5_000_000_000
"""A snapshot arrives within this time, also on a machine without free CPU."""


def is_within(book: Any, interval: Interval) -> bool:
    """Whether a record of a book lies in an interval."""
    time_ns: int = book["exchange_time_ns"] or book["receive_time_ns"]
    return interval.from_time_ns <= time_ns <= interval.to_time_ns


def check_book_ranges(outputs: Outputs, intervals: list[Interval]) -> None:
    """Check that the intervals are the ranges of update ids that the replicas together have without a break.

    A snapshot without a time counts from its arrival. Until a late one, a range is not covered.
    """
    ranges = _joined(sorted(chain for output in outputs for chain in _chains_of(output)))
    books = [book for output in outputs for book in evidence.of_type(output, "orderbook")]
    assert len(ranges) > 1
    left = list(intervals)
    for first, last in ranges:
        inside = [book for book in books if first <= book["sequence"] <= last]
        parts = [each for each in left if any(is_within(book, each) for book in inside)]
        _check_parts(inside, parts)
        assert any(is_within(book, parts[0]) for book in inside if book["sequence"] == first)
        left = [each for each in left if each not in parts]
    assert not left


def _check_parts(inside: list[Any], parts: list[Interval]) -> None:
    """Check that the records of a range lie in its intervals, and that late snapshots explain all others."""
    arrivals = {book["receive_time_ns"] for book in inside if book["exchange_time_ns"] is None}
    for one, following in pairwise(parts):
        assert {one.to_time_ns, following.from_time_ns, following.to_time_ns} & arrivals, (one, following)
    late_ns = [each.from_time_ns for each in parts if each.from_time_ns in arrivals]
    for book in inside:
        is_early = any(
            0 < at_ns - book["exchange_time_ns"] < LATEST_NS for at_ns in late_ns if book["exchange_time_ns"]
        )
        assert is_early or any(is_within(book, each) for each in parts), (book, parts)


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
