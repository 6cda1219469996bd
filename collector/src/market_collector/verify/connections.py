"""Times at which connections carried a stream: the only sign that a stream without numbers is whole."""

from __future__ import annotations

from market_collector.verify.report import Span


class Connections:
    """The connections of one stream in one replica. Times are receive times."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        """From the start to the end of each connection."""
        self._since: dict[int | None, int] = {}

    @property
    def has_open(self) -> bool:
        """Whether a connection carries the stream."""
        return bool(self._since)

    def open(self, number: int | None, time_ns: int) -> None:
        """Note that the connection with this number is open."""
        self._since[number] = time_ns

    def close(self, number: int | None, time_ns: int) -> None:
        """Note that a connection ended."""
        if (since := self._since.pop(number, None)) is not None:
            self.spans.append((since, time_ns))

    def cut(self, from_ns: int, to_ns: int) -> None:
        """Leave out the time from ``from_ns`` to now, ``to_ns``: the sink dropped records in it."""
        self.spans = [(start, min(end, from_ns)) for start, end in self.spans if start <= from_ns]
        self.spans += [(since, from_ns) for since in self._since.values() if since <= from_ns]
        self._since = dict.fromkeys(self._since, to_ns)

    def end(self, time_ns: int) -> None:
        """End all connections with their process, whose last record has this time."""
        for number in list(self._since):
            self.close(number, time_ns)
