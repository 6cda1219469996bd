"""CRC-32 checksum that several exchanges send, or once sent, with their books."""

from collections.abc import Sequence
from itertools import zip_longest
from zlib import crc32

from market_collector.book.book import Book


def interleaved_crc32(book: Book, depth: int = 25) -> int:
    """Return OKX's historic checksum: signed CRC-32 over the best levels of both sides.

    The input is ``bidPx:bidSz:askPx:askSz:...`` level by level, with the strings as received. When one side is shorter,
    the remaining levels of the other side follow.
    """
    value = crc32(":".join(_interleaved(*book.best(depth))).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def _interleaved(*columns: Sequence[str]) -> list[str]:
    bids, _, asks, _ = columns
    if len(bids) != len(asks):
        return [part for row in zip_longest(*columns) for part in row if part is not None]
    parts = [""] * (4 * len(bids))
    for place, column in enumerate(columns):
        parts[place::4] = column
    return parts
