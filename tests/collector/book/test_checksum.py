"""The documented example of OKX's checksum; the recordings are checked in feed/test_recordings.py."""

from market_collector.book.book import Book
from market_collector.book.checksum import interleaved_crc32
from market_collector.model.events import Level, Orderbook


def test_the_documented_example_has_its_checksum() -> None:
    """bids [3366.1, 7] [3366, 6], asks [3366.8, 9] [3368, 8] [3372, 8]: only the longer side continues."""
    bids = [Level("3366.1", "7"), Level("3366", "6")]
    asks = [Level("3366.8", "9"), Level("3368", "8"), Level("3372", "8")]
    book = Book(Orderbook("okx", "BTC-USDT", 1, 2, "snapshot", bids, asks, 1, None))
    assert interleaved_crc32(book) == 1362239393


def test_only_the_best_levels_count() -> None:
    bids = [Level(str(price), "1") for price in range(100, 0, -1)]
    whole = Book(Orderbook("okx", "X", 1, 2, "snapshot", bids, [], 1, None))
    best = Book(Orderbook("okx", "X", 1, 2, "snapshot", bids[:25], [], 1, None))
    assert interleaved_crc32(whole) == interleaved_crc32(best)
    assert interleaved_crc32(whole, 26) != interleaved_crc32(best, 26)
