"""The only place that reads the clocks for the core."""

import time

from market_collector.model.moment import Moment


def read_clock() -> Moment:
    """The present moment, on both clocks."""
    return Moment(time.monotonic(), time.time_ns())
