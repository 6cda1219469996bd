"""Records as JSON lines: one object and one newline each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from market_collector.model.events import Record

CHUNK_RECORDS = 512
"""Encoded at a time: bounds the memory of a batch (a snapshot of 400 levels a side is 25 kB of text)."""

_encoder = msgspec.json.Encoder()


def lines(records: Sequence[Record]) -> bytes:
    """The records as JSON lines; the last line ends with a newline, too."""
    return _encoder.encode_lines(records)


def chunks_of_lines(records: Sequence[Record]) -> Iterator[bytes]:
    """`lines` in several parts, each of whole lines."""
    for start in range(0, len(records), CHUNK_RECORDS):
        yield lines(records[start : start + CHUNK_RECORDS])
