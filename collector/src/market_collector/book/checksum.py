"""The CRC-32 that several exchanges send, or once sent, with their books."""

from itertools import zip_longest
from zlib import crc32

from market_collector.book.book import Book
from market_collector.model.events import Level


def interleaved_crc32(book: Book, depth: int = 25) -> int:
    """OKX's historic checksum (exchanges/okx.md section 6): signed CRC-32 over the best levels of both sides.

    ``bidPx:bidSz:askPx:askSz:...`` level by level; when one side is shorter the rest of the other follows alone. The
    texts are those that were received.
    """
    pairs = zip_longest(book.best_bids(depth), book.best_asks(depth))
    text = ":".join(part for pair in pairs for level in pair if level is not None for part in _parts(level))
    value = crc32(text.encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def _parts(level: Level) -> tuple[str, str]:
    return level.price, level.amount
