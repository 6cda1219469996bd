"""Reads recorded files: `read` gives all records of one type, `replay` everything in the order of arrival.

Files of several replicas are merged. A line that cannot be read raises `RecordingError`, which names file and line.
`Book` follows the order book of a replay.
"""

from market_collector.book.book import Book
from market_collector.errors import RecordingError
from market_collector.reading.read import Recorded, read
from market_collector.reading.replay import Replay, replay

__all__ = ["Book", "Recorded", "RecordingError", "Replay", "read", "replay"]
