"""Records of the time in which each stream was recorded."""

from collections.abc import Iterable, Iterator

from market_collector.feed.event_head import event_head
from market_collector.feed.stream_state import (
    BookProgress,
    CandleProgress,
    IdProgress,
    LiquidationProgress,
    StreamProgress,
    UnnumberedProgress,
)
from market_collector.model.events import Candle, Recording
from market_collector.model.moment import Moment


def recordings(exchange: str, streams: Iterable[StreamProgress], now: Moment) -> Iterator[Recording]:
    """Yield a record for each stream that was recorded so far."""
    for progress in streams:
        if (span := _span(progress, now)) is not None:
            yield Recording(**event_head(exchange, progress.stream, now), from_time_ns=span[0], to_time_ns=span[1])


def _span(progress: StreamProgress, now: Moment) -> tuple[int, int] | None:
    first, last = progress.first_data, progress.last
    if isinstance(progress, IdProgress | UnnumberedProgress | BookProgress) and (first is None or last is None):
        return None
    match progress:
        case CandleProgress():
            assert isinstance(first, Candle)
            assert isinstance(last, Candle)
            return first.open_time_ns, last.open_time_ns
        case IdProgress(ids=ids):
            return (first.exchange_time_ns or 0) if first else 0, ids.last_time_ns
        case UnnumberedProgress():
            first_ns = (first.exchange_time_ns or 0) if first else 0
            return (first_ns, progress.proved_ns) if first_ns <= progress.proved_ns else None
        case BookProgress(first_ns=first_ns, head_ns=head_ns):
            return None if first_ns is None else (first_ns, max(first_ns, head_ns or 0))
    is_served = last is not None or (
        isinstance(progress, LiquidationProgress) and progress.confirmed_at > float("-inf")
    )
    return (progress.carried_since_ns, now.wall_ns) if progress.connections and is_served else None
