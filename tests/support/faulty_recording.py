"""Records of a collector after a list of faults."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from collector_program import stored
from collector_thread import collector_thread, settings_for
from market_collector.config.settings import FileSinkSettings
from simulator_process import Simulator


def recorded_under(
    faults: Iterable[tuple[str, dict[str, Any]]], exchange: Simulator, symbols: Sequence[str], directory: Path
) -> tuple[list[Any], dict[str, int]]:
    """Run a collector through the faults, one a second. Return its records, which are in a directory, and counters."""
    sink = FileSinkSettings("archive", directory, 1 << 30, 3600.0, "none", 0.1)
    with collector_thread(replace(settings_for(exchange), symbols=tuple(symbols), sinks=(sink,))) as collector:
        for fault, body in faults:
            collector.is_served()
            exchange.post(f"/faults/{fault}", body)
            time.sleep(1.0)
        exchange.clear_faults()
        counters = collector.stop()["counters"]
    assert (collector.left, collector.complaints) == ([], [])
    return list(stored(directory)), counters
