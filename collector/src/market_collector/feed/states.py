"""Publishes each state once and in order: tickers, mark prices, open interest, funding rates.

Overlapping connections and a lagging channel deliver old ones again.
"""

from collections.abc import Sequence

from market_collector.feed.stream_state import FundingProgress, StateProgress
from market_collector.model.events import Funding, Record, State
from market_collector.model.identity import identity
from market_collector.model.moment import Moment


def take_states(progress: StateProgress, states: Sequence[State], now: Moment) -> Sequence[Record]:
    """Return the states that are newer than the last one, or differ from it at the same time."""
    last, newest = progress.last, states[-1]
    is_newer = last is not None and (newest.exchange_time_ns or 0) > (last.exchange_time_ns or 0)
    if not is_newer or len(states) > 1:  # nearly never
        states = _newer(progress, states, now)
    if states:
        progress.observe(states[-1], now)
    return states


def _newer(progress: StateProgress, states: Sequence[State], now: Moment) -> Sequence[State]:
    last, newer = progress.last, []
    for state in states:
        if last is None or is_newer_state(last, state):
            newer.append(state)
            last = state
        elif (state.exchange_time_ns or 0) < (last.exchange_time_ns or 0):
            progress.older_at = now.at
    return newer


def is_newer_state(last: State, state: State) -> bool:
    """Return whether a state is newer than the last one, or differs from it at the same time."""
    known_ns, time_ns = last.exchange_time_ns, state.exchange_time_ns
    if known_ns is None or time_ns is None or time_ns > known_ns:
        return True
    return time_ns == known_ns and identity(state) != identity(last)


def take_funding(progress: FundingProgress, rates: Sequence[Funding], now: Moment) -> Sequence[Record]:
    """Return the predicted rates that are new, and each settled rate once: messages repeat it until the next one."""
    records: list[Record] = []
    for rate in rates:
        if rate.kind != "settled":
            records += take_states(progress, [rate], now)
        elif rate.funding_time_ns > progress.settled_ns:
            progress.settled_ns = rate.funding_time_ns
            records.append(rate)
    return records
