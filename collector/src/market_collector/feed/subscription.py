"""One stream's subscription on one connection."""

import msgspec

from market_collector.book.book import Book
from market_collector.feed.stream_state import StreamLedger
from market_collector.model.events import Orderbook
from market_collector.model.streams import DataType


class Subscription(msgspec.Struct):
    """One stream on this connection."""

    page: StreamLedger
    book: Book | None = None
    """Books only: the state, while it is provably in sync."""
    asked_at: float | None = None
    """When it was asked for; None once it is served (a book: once its snapshot is there) or refused."""
    acked_at: float | None = None
    has_data: bool = False
    """Whether this connection has brought any."""
    ask_again_at: float | None = None
    refusals: int = 0
    resyncs: tuple[float, ...] = ()
    """When it was asked for again lately because its book was in doubt."""
    was_crossed: bool = False
    """Its last doubt was that it stayed crossed: a snapshot that is crossed, too, is not published."""
    crossed_since: float | None = None
    """Since when the book's best bid is not below its best ask."""
    is_probed: bool = False
    probed_at: float = float("-inf")
    probe_mark: int | None = None
    """REST's newest mark at the last look, for a stream that has had no data of its own."""


def is_delivering(subscription: Subscription) -> bool:
    is_book = subscription.page.stream.data_type is DataType.ORDERBOOK
    return (
        subscription.acked_at is not None and subscription.has_data and (not is_book or subscription.book is not None)
    )


def probed_at(subscription: Subscription) -> float:
    return subscription.probed_at


def describe_link(subscription: Subscription, record: Orderbook) -> str:
    last = subscription.book.sequence if subscription.book else None
    return f"after sequence {last} came {record.previous_sequence} → {record.sequence}"
