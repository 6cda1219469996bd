"""``market-collector replay FILE...``: prints a replay as JSON lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from market_collector.reading.replay import replay
from market_collector.reading.speed import time_ns
from market_collector.reading.strict import check_kind
from market_collector.sinks.encode import line


def print_replay(
    files: Sequence[str],
    start: str | None,
    end: str | None,
    speed: float | None,
    symbols: Sequence[str] | None,
    types: Sequence[str] | None,
) -> int:
    """Print the records of a replay on standard output; return the exit code. See `replay` for the arguments.

    Raises:
        RecordingError, InputError: as `replay`.
        BrokenPipeError: the reader has gone.
    """
    kinds = None if types is None else [check_kind(kind, "--type") for kind in types]
    records = replay(files, time_ns(start, "--from"), time_ns(end, "--to"), speed, symbols, kinds)
    output = sys.stdout.buffer
    for record in records:
        output.write(line(record))
        if speed is not None:
            output.flush()
    return 0
