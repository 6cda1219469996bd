"""Publishes each liquidation once, though overlapping connections deliver it twice. They have no ids."""

from collections.abc import Sequence

from market_collector.feed.stream_state import LiquidationProgress
from market_collector.model.events import Liquidation, Record
from market_collector.model.moment import Moment


def take_liquidations(
    progress: LiquidationProgress, liquidations: Sequence[Liquidation], now: Moment
) -> Sequence[Record]:
    """Return the liquidations that are new. Those that are equal in all fields are one."""
    new = [each for each in liquidations if progress.recent.add(each)]
    if new:
        progress.observe(new[-1], now)
    return new
