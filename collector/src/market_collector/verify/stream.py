"""One stream in one replica's files: what was there and when, and the line that its continuity is checked on."""

from __future__ import annotations

from collections import Counter

from market_collector.verify.activity import Activity
from market_collector.verify.books import BookLine
from market_collector.verify.ids import NumberLine

Line = NumberLine | BookLine


class StreamCheck:
    """Counts and times of one stream; ``line`` is None where there is no continuity to check (tickers)."""

    def __init__(self, line: Line | None) -> None:
        self.line = line
        self.records = 0
        self.from_ns: int | None = None
        self.to_ns = 0
        self.out_of_order = 0
        self.longest_silence_ns = 0
        self.busy = Activity()
        self.reconnects = Activity()
        self.events: Counter[str] = Counter()
        self._received_ns: int | None = None

    def note(self, time_ns: int, received_ns: int) -> None:
        """A record that happened at ``time_ns`` came at ``received_ns``."""
        self.records += 1
        self.busy.add(time_ns)
        if self.from_ns is None or time_ns < self.from_ns:
            self.from_ns = time_ns
        if time_ns >= self.to_ns:
            self.to_ns = time_ns
        if self._received_ns is not None and received_ns - self._received_ns > self.longest_silence_ns:
            self.longest_silence_ns = received_ns - self._received_ns
        self._received_ns = received_ns

    def note_in_order(self, time_ns: int, received_ns: int) -> None:
        """The same, where only the order of time can be checked."""
        if time_ns < self.to_ns:
            self.out_of_order += 1
        self.note(time_ns, received_ns)

    def start_run(self) -> None:
        """What follows was written by another process."""
        self._received_ns = None
        if self.line is not None:
            self.line.start_run()
