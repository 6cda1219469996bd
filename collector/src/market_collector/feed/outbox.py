"""Paces the frames that one connection sends, within the exchange's limits."""

from collections import deque
from math import inf

import msgspec

from market_collector.exchanges.interface import Limits

MARGIN = 1.1
"""Frames are further apart than the limit allows: the network moves arrivals closer together."""


class Outgoing(msgspec.Struct, frozen=True):
    """A frame that waits for its turn."""

    text: str
    put_at: float
    """Monotonic seconds."""
    is_ping: bool = False


class Outbox:
    """Frames of one connection that wait for their turn. Pings go before requests, and no request waits for a pong."""

    def __init__(self, limits: Limits) -> None:
        self._spacing_s = MARGIN / limits.frames_per_s if limits.frames_per_s else 0.0
        self._is_one_at_a_time = limits.one_request_at_a_time
        self._pings: deque[Outgoing] = deque()
        self._requests: deque[Outgoing] = deque()
        self._free_at = -inf
        """When the next frame may be sent, monotonic seconds."""
        self._is_unanswered = False
        """Whether the next request waits for the answer to the last one."""
        self._waited_until = -inf

    @property
    def due_at(self) -> float:
        """Time of the next frame, monotonic seconds. Infinite without a frame, or while an answer is awaited."""
        return self._free_at if self._has_next else inf

    @property
    def _has_next(self) -> bool:
        return bool(self._pings or (self._requests and not self._is_unanswered))

    def put(self, frame: Outgoing) -> None:
        """Queue a frame."""
        (self._pings if frame.is_ping else self._requests).append(frame)

    def note_sent(self, now: float) -> None:
        """Count a frame, which may be one that was sent without the outbox."""
        self._free_at = now + self._spacing_s

    def on_answer(self) -> None:
        """Let the next request go: the exchange answered the last one."""
        self._is_unanswered = False

    def take_due(self, now: float) -> list[Outgoing]:
        """Return the frames to send now."""
        frames = []
        while self._has_next and now >= self._free_at:
            frames.append(self._pings.popleft() if self._pings else self._next_request(now))
            self.note_sent(now)
        return frames

    def _next_request(self, now: float) -> Outgoing:
        request = self._requests.popleft()
        self._is_unanswered = self._is_one_at_a_time
        if now > request.put_at:
            self._waited_until = now
        return request

    def waited_until(self, now: float) -> float:
        """Return until when requests waited for their turn: now while one does. Their deadlines start then."""
        return now if self._requests and not self._is_unanswered else self._waited_until
