"""One stream in one replica's files: counts, times, and the continuity check of its records."""

from __future__ import annotations

from collections import Counter

from market_collector.model.streams import LATEST_NS
from market_collector.verify.activity import Activity
from market_collector.verify.books import BookLine
from market_collector.verify.ids import NumberLine
from market_collector.verify.order import StateOrder
from market_collector.verify.unnumbered import UnnumberedLine

Line = NumberLine | UnnumberedLine | BookLine


class StreamCheck:
    """Counts and times of one stream; ``line`` is None for a stream without a continuity rule (such as tickers)."""

    def __init__(self, line: Line | None) -> None:
        self.line = line
        self.order = StateOrder()
        self.records = 0
        self.from_ns: int | None = None
        self.to_ns = 0
        self.out_of_order = 0
        self.longest_silence_ns = 0
        self.busy = Activity()
        self.reconnects = Activity()
        self.events: Counter[str] = Counter()
        self.drops: list[list[int]] = []
        """Streams without a continuity rule: times of the records before and after those that the sink dropped."""
        self._received_ns: int | None = None
        self._time_ns = 0
        self._is_dropping = False

    @property
    def received_ns(self) -> int | None:
        """Receive time of the last record of this run."""
        return self._received_ns

    def note(self, time_ns: int, received_ns: int) -> None:
        """Counts a record of ``time_ns`` that was received at ``received_ns``."""
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
        """Like `note`, for a stream of which only the order of times can be checked."""
        if time_ns < self.to_ns:
            self.out_of_order += 1
        if self._is_dropping:
            self.drops[-1][1] = time_ns
            self._is_dropping = False
        self._time_ns = time_ns
        self.note(time_ns, received_ns)

    def dropped(self) -> None:
        """Notes that the sink dropped records after the last one."""
        if not self._is_dropping:
            self.drops.append([self._time_ns, LATEST_NS])
            self._is_dropping = True

    def start_run(self) -> None:
        """Starts the records of another process."""
        self._received_ns = None
        self.order.start_run()
        if self.line is not None:
            self.line.start_run()
