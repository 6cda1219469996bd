"""Checks that recorded files are complete: ``market-collector verify``, and `coverage` for programs.

`files` reads the records. `replica` checks those of one replica in order, with `stream`, `ids` and `books`. `merge`
merges replicas into a `report`, which `table`, `timeline`, `document` and `intervals` print. Only `files` and `command`
do I/O.
"""

from market_collector.errors import RecordingError
from market_collector.verify.command import coverage
from market_collector.verify.intervals import Interval

__all__ = ["Interval", "RecordingError", "coverage"]
