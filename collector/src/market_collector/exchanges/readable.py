"""Reads the rows of an answer of which some may be malformed."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from market_collector.errors import UNREADABLE

R = TypeVar("R")
T = TypeVar("T")


def readable(rows: Iterable[R], read: Callable[[R], T]) -> list[T]:
    """Return what can be read. Raises the last row's error if that is nothing."""
    found: list[T] = []
    failure: Exception | None = None
    for row in rows:
        try:
            found.append(read(row))
        except UNREADABLE as error:
            failure = error
    if failure is not None and not found:
        raise failure
    return found
