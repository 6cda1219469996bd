"""Publishes each ticker once and in order. Overlapping connections and a lagging channel deliver old ones again."""

from collections.abc import Sequence

import msgspec

from market_collector.feed.stream_state import TickerProgress
from market_collector.model.events import Record, Ticker
from market_collector.model.moment import Moment


def take_tickers(progress: TickerProgress, tickers: Sequence[Ticker], now: Moment) -> Sequence[Record]:
    """Return the tickers that are newer than the last one, or differ from it at the same time."""
    last, newest = progress.last, tickers[-1]
    is_newer = last is not None and (newest.exchange_time_ns or 0) > (last.exchange_time_ns or 0)
    if not is_newer or len(tickers) > 1:  # nearly never
        tickers = _newer(last, tickers)
    if tickers:
        progress.observe(tickers[-1], now)
    return tickers


def _newer(last: Ticker | None, tickers: Sequence[Ticker]) -> Sequence[Ticker]:
    newer = []
    for ticker in tickers:
        if last is None or _is_newer(last, ticker):
            newer.append(ticker)
            last = ticker
    return newer


def _is_newer(last: Ticker, ticker: Ticker) -> bool:
    known_ns, time_ns = last.exchange_time_ns, ticker.exchange_time_ns
    if known_ns is None or time_ns is None or time_ns > known_ns:
        return True
    return time_ns == known_ns and msgspec.structs.replace(ticker, receive_time_ns=last.receive_time_ns) != last
