"""Limits repeated warnings: an exchange may send the same fault with each frame."""

import msgspec

from market_collector.feed.effects import Warn
from market_collector.model.moment import Moment

REPEAT_S = 60.0
"""Shortest time between two warnings about one subject, seconds."""


class Complaint(msgspec.Struct):
    """Warnings about one subject."""

    warned_at: float
    suppressed: int = 0
    """Warnings since the last one that was logged."""


class Complaints:
    """Warnings of one process by subject, for example a stream. They outlive connections."""

    def __init__(self) -> None:
        self._by_subject: dict[str, Complaint] = {}
        self.internal_errors = 0
        """Errors of this program that were contained, logged or not."""

    def warn(self, subject: str, message: str, now: Moment, error: Exception | None = None) -> list[Warn]:
        """Return the warning, or nothing if there was one about this subject in the last `REPEAT_S`."""
        if error is not None:
            self.internal_errors += 1
        known = self._by_subject.get(subject)
        if known is not None and now.at - known.warned_at < REPEAT_S:
            known.suppressed += 1
            return []
        self._by_subject[subject] = Complaint(now.at)
        repeated = f" ({known.suppressed} more since the last warning)" if known and known.suppressed else ""
        return [Warn(f"{message}{repeated}", error)]
