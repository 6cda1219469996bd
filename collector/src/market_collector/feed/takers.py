"""Functions that take a stream's records into the ledger and return those to emit."""

from collections.abc import Callable, Sequence
from typing import Any

from market_collector.feed.ledger import Ledger
from market_collector.feed.liquidations import take_liquidations
from market_collector.feed.states import take_funding, take_states
from market_collector.feed.stream_state import (
    CandleProgress,
    FundingProgress,
    IdProgress,
    LiquidationProgress,
    StateProgress,
    StreamProgress,
    UnnumberedProgress,
)
from market_collector.model.events import Record
from market_collector.model.moment import Moment

Take = Callable[[Any, Any, Moment], Sequence[Record]]


def takers_of(ledger: Ledger) -> dict[type[StreamProgress], Take]:
    """Return the functions by the type of a stream's progress. Records of other streams are emitted as they are."""
    return {
        IdProgress: ledger.ids.take_trades,
        UnnumberedProgress: ledger.trades.take,
        CandleProgress: ledger.ids.take_candles,
        StateProgress: take_states,
        FundingProgress: take_funding,
        LiquidationProgress: take_liquidations,
    }
