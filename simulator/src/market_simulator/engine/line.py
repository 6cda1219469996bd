"""Queue of frames for one client, with delays per stream and a bounded rate.

Times are seconds of a monotonic clock, passed as arguments.
"""

from heapq import heappop, heappush

from market_simulator.engine.events import Key

_SLICE = 0.05  # seconds between the writes of a slow queue


class Line:
    """Complete frames that wait for one client."""

    __slots__ = ("_arrivals", "_late", "_latest", "_ready", "_slow", "_slow_since")

    def __init__(self) -> None:
        self._ready: list[bytes] = []
        self._late: list[tuple[float, int, bytes]] = []
        self._latest: dict[Key | None, float] = {}  # time at which the last delayed frame of a stream is due
        self._arrivals = 0
        self._slow = bytearray()
        self._slow_since = 0.0

    def put(self, data: bytes, key: Key | None, now: float, late: float = 0.0) -> None:
        """Queue a frame with a delay of `late` seconds, but never before an earlier frame of its stream."""
        if not late and key not in self._latest:
            self._ready.append(data)
            return
        due = self._latest[key] = max(now + late, self._latest.get(key, 0.0))
        self._arrivals += 1
        heappush(self._late, (due, self._arrivals, data))

    def take(self, now: float, pace: float | None = None) -> bytes:
        """Remove and return the bytes to write now. `pace` is in bytes per second; None means no limit."""
        while self._late and self._late[0][0] <= now:
            self._ready.append(heappop(self._late)[2])
        if not self._late:
            self._latest.clear()
        ready = b"".join(self._ready)
        self._ready.clear()
        return ready if pace is None and not self._slow else self._slowly(ready, now, pace)

    def _slowly(self, ready: bytes, now: float, pace: float | None) -> bytes:
        if not self._slow:
            self._slow_since = now
        self._slow += ready
        size = len(self._slow) if pace is None else int((now - self._slow_since) * pace)
        self._slow_since += size / pace if pace else 0.0
        written = bytes(self._slow[:size])
        del self._slow[:size]
        return written

    def due(self, now: float) -> float | None:
        """Time of the next `take`, or None if the queue is empty."""
        moments = [self._late[0][0]] if self._late else []
        moments += [now + _SLICE] if self._slow else []
        return min(moments, default=None)

    def __len__(self) -> int:
        """Number of queued bytes."""
        return sum(map(len, self._ready)) + sum(len(data) for _, _, data in self._late) + len(self._slow)

    def __bool__(self) -> bool:
        return bool(self._ready or self._late or self._slow)
