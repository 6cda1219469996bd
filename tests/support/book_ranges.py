"""Checks of books whose connections cut the exchange's changes into different updates."""

from itertools import pairwise
from typing import Any

import evidence
from market_collector.verify import Interval
from truth import SIDES, Tracked, Truth

Outputs = list[list[Any]]
Chain = list[Any]
"""Records of one replica's book without a break, from a snapshot on."""


def time_of(book: Any) -> int:
    """The time of a record of a book. A snapshot without a time counts from its arrival."""
    return int(book["exchange_time_ns"] or book["receive_time_ns"])


def is_within(book: Any, interval: Interval) -> bool:
    """Whether a record of a book lies in an interval."""
    return interval.from_time_ns <= time_of(book) <= interval.to_time_ns


def check_book_ranges(outputs: Outputs, intervals: list[Interval]) -> None:
    """Check that the intervals are the ranges of update ids that the replicas together have without a break.

    Only what happened before a late snapshot of its own chain may lie outside.
    """
    chains = [chain for output in outputs for chain in chains_of(output)]
    ranges = ranges_of(chains)
    books = [book for chain in chains for book in chain]
    assert len(ranges) > 1
    for chain in chains:
        for book in chain:
            is_early = chain[0]["exchange_time_ns"] is None and time_of(book) < time_of(chain[0])
            assert is_early or any(is_within(book, each) for each in intervals), (book, intervals)
    for (_, last), (first, _) in pairwise(ranges):
        end_ns = max(time_of(book) for book in books if book["sequence"] == last)
        start_ns = min(time_of(book) for book in books if book["sequence"] == first)
        for each in intervals:
            assert not each.from_time_ns <= end_ns < start_ns <= each.to_time_ns, (last, first, each)
    # an interval that two chains would share is cut next to the shared time
    bounds = {time_of(book) + shift for book in books for shift in (-1, 0, 1)}
    for each in intervals:
        assert {each.from_time_ns, each.to_time_ns} <= bounds, each


def chains_of(output: list[Any]) -> list[Chain]:
    """The chains of a replica's only book."""
    chains: list[Chain] = []
    for book in evidence.of_type(output, "orderbook"):
        if not chains or (book["action"] == "snapshot" and book["sequence"] != chains[-1][-1]["sequence"]):
            chains.append([])
        chains[-1].append(book)
    return chains


def ranges_of(chains: list[Chain]) -> list[list[int]]:
    """First and last sequence of the chains, in order; those that overlap are one range."""
    found: list[list[int]] = []
    for first, last in sorted((chain[0]["sequence"], chain[-1]["sequence"]) for chain in chains):
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
