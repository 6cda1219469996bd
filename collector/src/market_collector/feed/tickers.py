"""Publishes each ticker once and in order. Overlapping connections and a lagging channel deliver old ones again."""

from collections.abc import Sequence
from typing import TypeVar

from market_collector.feed.stream_state import TickerProgress
from market_collector.model.events import Balance, Record, Ticker
from market_collector.model.identity import identity
from market_collector.model.moment import Moment

State = TypeVar("State", Ticker, Balance)


def take_tickers(progress: TickerProgress, tickers: Sequence[Ticker], now: Moment) -> Sequence[Record]:
    """Return the tickers that are newer than the last one, or differ from it at the same time."""
    last, newest = progress.last, tickers[-1]
    is_newer = last is not None and (newest.exchange_time_ns or 0) > (last.exchange_time_ns or 0)
    if not is_newer or len(tickers) > 1:  # nearly never
        tickers = _newer(progress, tickers, now)
    if tickers:
        progress.observe(tickers[-1], now)
    return tickers


def _newer(progress: TickerProgress, tickers: Sequence[Ticker], now: Moment) -> Sequence[Ticker]:
    last, newer = progress.last, []
    for ticker in tickers:
        if last is None or is_newer_state(last, ticker):
            newer.append(ticker)
            last = ticker
        elif (ticker.exchange_time_ns or 0) < (last.exchange_time_ns or 0):
            progress.older_at = now.at
    return newer


def is_newer_state(last: State, ticker: State) -> bool:
    """Return whether a state is newer than the last one, or differs from it at the same time."""
    known_ns, time_ns = last.exchange_time_ns, ticker.exchange_time_ns
    if known_ns is None or time_ns is None or time_ns > known_ns:
        return True
    return time_ns == known_ns and identity(ticker) != identity(last)
