"""Order of states: a closed candle stays closed, and open candles, tickers and the like never go back in time."""

from __future__ import annotations

from msgspec.structs import replace

from market_collector.model.events import Candle, State
from market_collector.model.identity import identity
from market_collector.verify.report import Finding, find

CLOSED_KEPT = 1000
"""Closed candles of one stream whose values are compared when they come again."""


class StateOrder:
    """States of one stream in one replica's files, in the order in which they were written."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.duplicates = 0
        """States that equal the one before."""
        self._state: State | None = None
        self._running: Candle | None = None
        self._newest_ns = 0
        self._closed: dict[int, Candle] = {}

    def start_run(self) -> None:
        """Starts the records of another process, which knows only which candles are closed."""
        self._state = self._running = None
        self._newest_ns = 0

    def go_back(self) -> None:
        """Starts states from an earlier time, which a `resync` record reports."""
        self._state = None

    def state(self, state: State) -> None:
        """Adds a ticker, or another state that replaces the one before."""
        last, self._state = self._state, state
        if last is None or last.exchange_time_ns is None or state.exchange_time_ns is None:
            return
        if state.exchange_time_ns < last.exchange_time_ns:
            self._state = last
            kind = type(state).__name__
            before = _ms(last.exchange_time_ns)
            detail = f"the {kind.lower()} of {_ms(state.exchange_time_ns)} came after that of {before}"
            find(self.findings, f"{kind}BackInTime", detail, state.exchange_time_ns)
        elif identity(last) == identity(state):
            self.duplicates += 1

    def candle(self, candle: Candle, *, was_closed: bool) -> None:
        """Adds a candle. ``was_closed`` tells whether a closed one with this open time came before."""
        if candle.closed:
            self._close(candle)
        elif was_closed:
            detail = f"candle {_ms(candle.open_time_ns)} is open again after it was closed"
            find(self.findings, "CandleOpenAgain", detail, candle.open_time_ns)
        else:
            self._advance(candle)
        if not candle.backfilled:
            self._newest_ns = max(self._newest_ns, candle.open_time_ns)

    def _close(self, candle: Candle) -> None:
        known = self._closed.setdefault(candle.open_time_ns, candle)
        if _values(known) != _values(candle):
            detail = f"closed candle {_ms(candle.open_time_ns)} is there twice with different values"
            find(self.findings, "CandleChanged", detail, candle.open_time_ns)
        if len(self._closed) > CLOSED_KEPT:
            del self._closed[next(iter(self._closed))]

    def _advance(self, candle: Candle) -> None:
        open_ns, last = candle.open_time_ns, self._running
        if open_ns < self._newest_ns:
            detail = f"open candle {_ms(open_ns)} came after candle {_ms(self._newest_ns)}"
            find(self.findings, "CandleBackInTime", detail, open_ns)
            return
        if last is not None and last.open_time_ns == open_ns:
            if float(candle.volume) < float(last.volume):
                detail = f"volume of open candle {_ms(open_ns)} fell from {last.volume} to {candle.volume}"
                find(self.findings, "CandleBackInTime", detail, open_ns)
                return
            self.duplicates += replace(last, receive_time_ns=candle.receive_time_ns) == candle
        self._running = candle


def _values(candle: Candle) -> tuple[float, ...]:
    return tuple(map(float, (candle.open, candle.high, candle.low, candle.close, candle.volume)))


def _ms(time_ns: int) -> int:
    """Milliseconds, as gap records name candles."""
    return time_ns // 1_000_000
